//! nginx as Longshore needs it: its own base file, and nothing of the distribution's in the way.

use std::path::Path;

use longshore_shared::setup::SetupFailure;

use super::facts::Facts;
use super::files::Wanted;
use super::pending::{self, Load};
use super::plan::{Planned, failed};
use crate::command;
use crate::layout::{ACME_ROOT, NGINX_CONFIG};
use crate::system_file;

const BASE: &str = "/etc/nginx/conf.d/00-longshore.conf";
const DEFAULT_SITE: &str = "/etc/nginx/sites-enabled/default";
const OTHERS: [&str; 2] = ["/etc/nginx/conf.d", "/etc/nginx/sites-enabled"];

pub(super) fn plan(facts: &Facts, planned: &mut Planned) {
    // The package brings it along.
    let there = fs_err::symlink_metadata(DEFAULT_SITE);
    let distributions = there.as_ref().is_ok_and(std::fs::Metadata::is_symlink);
    if distributions || !facts.has("nginx") {
        planned.change("- nginx's default site", |_| {
            pending::note(Load::Nginx).map_err(failed)?;
            match fs_err::remove_file(DEFAULT_SITE) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            }
        });
    }
    if let Some(sign) = base().sign() {
        // What it has to say is known only once the package is there.
        planned.change(
            format!("{sign} nginx's base ({BASE})"),
            |_| install(&base()),
        );
    }
    let nginx = facts.unit("nginx.service");
    if nginx.loaded && !(nginx.enabled && nginx.active) {
        planned.change("~ nginx runs, after a reboot too", |_| {
            command::run("systemctl", &["enable", "--quiet", "--now", "nginx"])
                .map(drop)
                .map_err(failed)
        });
    }
}

/// Whoever asks for a name that no site has gets no answer, rather than somebody's site.
fn base() -> Wanted {
    let mut text = "# Made by longshore bootstrap: changes are overwritten.\n".to_owned();
    let main = fs_err::read_to_string(NGINX_CONFIG).unwrap_or_default();
    if !sets(&main, "server_tokens") {
        text.push_str("server_tokens off;\n");
    }
    if !others_have_a_default() {
        let six =
            fs_err::read_to_string("/proc/net/if_inet6").is_ok_and(|text| !text.trim().is_empty());
        let six = if six {
            "    listen [::]:80 default_server;\n"
        } else {
            ""
        };
        text.push_str(&format!(
            "server {{\n    listen 80 default_server;\n{six}    server_name _;\n    \
             location ^~ /.well-known/acme-challenge/ {{\n        root {ACME_ROOT};\n    }}\n    \
             location / {{\n        return 444;\n    }}\n}}\n"
        ));
    }
    Wanted::text(BASE, text, Some(Load::Nginx))
}

fn sets(text: &str, directive: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(directive)
    })
}

fn others_have_a_default() -> bool {
    let files = OTHERS
        .iter()
        .filter_map(|folder| fs_err::read_dir(folder).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    files
        .filter(|path| path != Path::new(BASE) && path != Path::new(DEFAULT_SITE))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .any(|text| {
            text.lines()
                .map(str::trim)
                .any(|line| line.starts_with("listen") && line.contains("default_server"))
        })
}

fn install(base: &Wanted) -> Result<(), SetupFailure> {
    let before = fs_err::read(BASE).ok();
    base.write().map_err(failed)?;
    let Err(error) = command::run("nginx", &["-t", "-q"]) else {
        return Ok(());
    };
    match before {
        Some(before) => system_file::put(Path::new(BASE), before).map(drop),
        None => fs_err::remove_file(BASE),
    }
    .map_err(failed)?;
    Err(SetupFailure {
        what: format!("nginx refuses its configuration, with Longshore's base in it: {error}"),
        next: "run `nginx -t` on the host and mend what it says; the base was taken out again"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_counts_only_where_it_is_not_a_comment() {
        assert!(sets("http {\n\tserver_tokens off;\n}", "server_tokens"));
        assert!(!sets(
            "# server_tokens off;\n#server_tokens off;",
            "server_tokens"
        ));
    }
}
