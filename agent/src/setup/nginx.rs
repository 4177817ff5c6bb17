//! nginx as Longshore needs it: its own base file, and nothing of the distribution's in the way.

use std::path::{Path, PathBuf};

use longshore_shared::setup::{Desired, SetupFailure};

use super::facts::Facts;
use super::files::Wanted;
use super::pending::{self, Load};
use super::plan::{Planned, failed};
use super::{ports, units};
use crate::command;
use crate::layout::{ACME_ROOT, NGINX_CONFIG};
use crate::system_file;

const BASE: &str = "/etc/nginx/conf.d/00-longshore.conf";
const DEFAULT_SITE: &str = "/etc/nginx/sites-enabled/default";
const PACKAGED_SITE: &str = "/etc/nginx/sites-available/default";
const UNIT: &str = "nginx.service";
/// The first that can refuse a name before it shows a certificate.
const CAN_REFUSE: (u32, u32, u32) = (1, 19, 4);

pub(super) fn plan(desired: &Desired, facts: &Facts, planned: &mut Planned) {
    let tls = desired.apps.values().any(|app| app.tls.is_some());
    let unit = facts.unit(UNIT);
    if unit.masked {
        return planned.problem(
            format!("{UNIT} is masked on this host, and every site needs it"),
            format!("run `systemctl unmask {UNIT}` on the host, then bootstrap again"),
        );
    }
    ports_are_free(unit.active, tls, planned);
    match default_site() {
        // The package brings it along.
        DefaultSite::Gone if facts.has("nginx") => {}
        DefaultSite::Gone | DefaultSite::Packaged => {
            planned.change("- nginx's default site", |_| remove_default_site());
        }
        DefaultSite::Kept => planned.note(format!(
            "{DEFAULT_SITE} is not as its package made it: it is left, and answers for names that no site has"
        )),
    }
    if let Some(sign) = base(tls).sign() {
        // What it has to say is known only once the package is there.
        planned.change(format!("{sign} nginx's base ({BASE})"), move |_| {
            install(&base(tls))
        });
    }
    if unit.loaded && !unit.runs() {
        planned.change("~ nginx runs, after a reboot too", |_| {
            units::run(UNIT).map_err(pending::with_nginxs_words)
        });
    }
}

/// What holds nginx's ports would keep it from starting, and its package from being installed. One
/// that runs would keep what it has loaded, and tell only its log.
fn ports_are_free(active: bool, tls: bool, planned: &mut Planned) {
    let wanted: &[u16] = match (active, tls) {
        (false, false) => &[80],
        (false, true) => &[80, 443],
        (true, false) => &[],
        (true, true) => &[443],
    };
    for port in wanted {
        if let Some(holder) = ports::holder(*port).filter(|holder| holder != "nginx") {
            planned.problem(
                format!("port {port} is taken by {holder}, so nginx cannot have it"),
                format!(
                    "see who it is (`ss -ltnp 'sport = :{port}'` on the host), let it listen elsewhere or disable its unit (`systemctl disable --now UNIT`), then bootstrap again"
                ),
            );
        }
    }
}

/// The site that Debian's nginx comes with.
#[derive(Debug, PartialEq, Eq)]
enum DefaultSite {
    Gone,
    /// Just as its package made it.
    Packaged,
    /// Somebody made it their own.
    Kept,
}

fn default_site() -> DefaultSite {
    if fs_err::symlink_metadata(DEFAULT_SITE).is_err() {
        return DefaultSite::Gone;
    }
    let is_link = fs_err::read_link(DEFAULT_SITE).is_ok()
        && fs_err::canonicalize(DEFAULT_SITE).is_ok_and(|path| path == Path::new(PACKAGED_SITE));
    let as_made = || {
        let words = [
            "--show",
            "--showformat=${Conffiles}\n",
            "nginx-common",
            "nginx",
        ];
        // One of the two may not be there.
        let (_, known) = command::ask("dpkg-query", &words).ok()?;
        let sum = command::run("md5sum", &[PACKAGED_SITE]).ok()?;
        Some(is_as_made(&known, sum.split_whitespace().next()?))
    };
    if is_link && as_made().unwrap_or(false) {
        DefaultSite::Packaged
    } else {
        DefaultSite::Kept
    }
}

fn is_as_made(conffiles: &str, sum: &str) -> bool {
    conffiles.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(PACKAGED_SITE) && words.next() == Some(sum)
    })
}

/// The packaged site listens by IPv6 too, and where the kernel has none nginx's package cannot be
/// installed to its end.
pub(super) fn let_it_start() -> Result<(), SetupFailure> {
    if has_ipv6() {
        return Ok(());
    }
    remove_default_site()
}

fn has_ipv6() -> bool {
    fs_err::read_to_string("/proc/net/if_inet6").is_ok_and(|text| !text.trim().is_empty())
}

fn remove_default_site() -> Result<(), SetupFailure> {
    if default_site() != DefaultSite::Packaged {
        return Ok(());
    }
    pending::note(Load::Nginx).map_err(failed)?;
    fs_err::remove_file(DEFAULT_SITE).map_err(failed)
}

/// Whoever asks for a name that no site has gets no answer, rather than somebody's site.
fn base(tls: bool) -> Wanted {
    let main = fs_err::read_to_string(NGINX_CONFIG).unwrap_or_default();
    let six = has_ipv6();
    // Somebody's own default site is the answer then.
    let kept = default_site() == DefaultSite::Kept;
    let others = sites().into_iter().filter(|site| {
        site.path != Path::new(BASE) && (kept || site.path != Path::new(DEFAULT_SITE))
    });
    let others: Vec<u16> = others.flat_map(|site| defaults(&site.text)).collect();
    let plain = !kept && others.iter().all(|port| *port == 443);
    let refuses = tls && !others.contains(&443) && can_refuse();
    let text = base_text(sets(&main, "server_tokens"), six, plain, refuses);
    Wanted::text(BASE, text, Some(Load::Nginx))
}

fn base_text(tokens_set: bool, six: bool, plain: bool, refuses: bool) -> String {
    let listen = |port: u16, how: &str| {
        let mut lines = format!("    listen {port}{how} default_server;\n");
        if six {
            lines.push_str(&format!("    listen [::]:{port}{how} default_server;\n"));
        }
        lines
    };
    let mut text = "# Made by longshore bootstrap: changes are overwritten.\n".to_owned();
    if !tokens_set {
        text.push_str("server_tokens off;\n");
    }
    if plain {
        text.push_str(&format!(
            "server {{\n{}    server_name _;\n    \
             location ^~ /.well-known/acme-challenge/ {{\n        root {ACME_ROOT};\n    }}\n    \
             location / {{\n        return 444;\n    }}\n}}\n",
            listen(80, "")
        ));
    }
    if refuses {
        // Of a port's default server nginx takes the versions and the sessions of all its sites.
        text.push_str(&format!(
            "server {{\n{}    server_name _;\n    ssl_protocols TLSv1.2 TLSv1.3;\n    \
             ssl_session_cache shared:longshore:1m;\n    ssl_session_timeout 1d;\n    \
             ssl_session_tickets off;\n    ssl_reject_handshake on;\n}}\n",
            listen(443, " ssl")
        ));
    }
    text
}

fn sets(text: &str, directive: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(directive)
    })
}

/// nginx tells its own version, wherever it came from.
fn can_refuse() -> bool {
    let said = command::run("nginx", &["-v"]).unwrap_or_default();
    version(&said).is_some_and(|version| version >= CAN_REFUSE)
}

fn version(said: &str) -> Option<(u32, u32, u32)> {
    let version = said.split_once("nginx/")?.1;
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// One file that nginx reads servers from.
#[derive(Debug)]
pub(super) struct Site {
    path: PathBuf,
    pub(super) text: String,
}

/// All that nginx reads, as its packages have it.
pub(super) fn sites() -> Vec<Site> {
    let files = |folder: &str| fs_err::read_dir(folder).into_iter().flatten().flatten();
    let configuration = files("/etc/nginx/conf.d")
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "conf"));
    let enabled = files("/etc/nginx/sites-enabled").map(|entry| entry.path());
    let main = std::iter::once(PathBuf::from(NGINX_CONFIG));
    let read = |path: PathBuf| {
        let bytes = fs_err::read(&path).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(Site { path, text })
    };
    let all = configuration.chain(enabled).chain(main);
    all.filter_map(read).collect()
}

/// Ports on which a server of this text answers for names that nobody has.
fn defaults(text: &str) -> Vec<u16> {
    let bare = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let bare = bare.collect::<Vec<_>>().join(" ");
    let directives = bare.split([';', '{', '}']).map(str::split_whitespace);
    directives
        .filter_map(|mut words| {
            (words.next()? == "listen").then_some(())?;
            let address = words.next()?;
            words.any(|word| word == "default_server").then_some(())?;
            let port = address.rsplit(':').next().unwrap_or(address);
            Some(port.parse().unwrap_or(80))
        })
        .collect()
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

    #[test]
    fn default_servers_of_others_are_found_by_their_ports() {
        let text = "server { listen 80 default_server; listen [::]:443 ssl default_server; }\n\
                    # listen 81 default_server;\nserver {\n listen 8080;\n listen 10.0.0.1\n  default_server;\n}";
        assert_eq!(defaults(text), [80, 443, 80]);
        assert!(defaults("listen 443 ssl;").is_empty());
    }

    #[test]
    fn the_base_answers_to_no_unknown_name() {
        let both = base_text(true, true, true, true);
        assert_eq!(defaults(&both), [80, 80, 443, 443]);
        assert!(both.contains("ssl_reject_handshake on;") && !both.contains("server_tokens"));
        let plain = base_text(false, false, true, false);
        assert_eq!(defaults(&plain), [80]);
        assert!(plain.contains("server_tokens off;"));
        assert!(defaults(&base_text(true, true, false, false)).is_empty());
    }

    #[test]
    fn a_site_that_was_edited_is_not_the_package_s() {
        let known = "\n /etc/nginx/nginx.conf aa\n /etc/nginx/sites-available/default bb\n";
        assert!(is_as_made(known, "bb"));
        assert!(!is_as_made(known, "aa"));
        assert!(!is_as_made("", "bb"));
    }

    #[test]
    fn versions_have_an_order() {
        assert_eq!(
            version("nginx version: nginx/1.18.0 (Ubuntu)\n"),
            Some((1, 18, 0))
        );
        assert!(version("nginx/1.19.4").unwrap() >= CAN_REFUSE);
        assert!(version("nginx/1.22.1").unwrap() > CAN_REFUSE);
        assert_eq!(version("x"), None);
    }
}
