//! Certificates of sites: those that came with the inventory, and those that certbot fetches.

use std::path::Path;

use longshore_shared::name::AppName;
use longshore_shared::setup::{Desired, DesiredAcme, DesiredApp, DesiredTls, SetupFailure};

use super::files::{self, Wanted};
use super::pending::{self, Load};
use super::plan::{Planned, failed};
use super::talk::Talk;
use crate::activate::site;
use crate::command;
use crate::layout::{ACME_ROOT, CERTIFICATES};
use crate::system_file;

const LIVE: &str = "/etc/letsencrypt/live";
/// certbot renews by itself; nginx has to hear of it.
const HOOK: &str = "/etc/letsencrypt/renewal-hooks/deploy/longshore";

pub(super) fn plan(desired: &Desired, planned: &mut Planned) {
    let acme = |app: &DesiredApp| matches!(app.tls, Some(DesiredTls::Acme));
    if desired.apps.values().any(acme) {
        files::plan_folder(planned, ACME_ROOT, 0o755);
        let hook = Wanted {
            mode: 0o755,
            ..Wanted::text(HOOK, "#!/bin/sh\nexec systemctl reload nginx\n", None)
        };
        files::plan(planned, hook, "nginx hears of renewed certificates");
    }
    for (name, app) in &desired.apps {
        match (&app.domain, &app.tls) {
            (Some(_), Some(DesiredTls::Files { certificate, key })) => {
                let (certificate_at, key_at) = kept(name);
                let load = Some(Load::Nginx);
                let certificate = Wanted::text(&certificate_at, certificate.as_str(), load);
                let key = Wanted {
                    mode: 0o600,
                    ..Wanted::text(&key_at, key.0.as_str(), load)
                };
                if let Some(sign) = certificate.sign().or(key.sign()) {
                    let what = format!("{sign} certificate of {name} ({certificate_at})");
                    let name = name.clone();
                    planned.change_apart(what, move |_| {
                        belong_together(&name, &certificate, &key)?;
                        key.write()
                            .and_then(|()| certificate.write())
                            .map_err(failed)
                    });
                }
            }
            (Some(domain), Some(DesiredTls::Acme)) if !is_there(domain) => {
                let Some(acme) = &desired.acme else { continue };
                let (domain, acme) = (domain.clone(), acme.clone());
                planned.change_apart(
                    format!("+ certificate for {domain}, by ACME"),
                    move |talk| fetch(&domain, &acme, talk),
                );
            }
            _ => {}
        }
    }
}

/// A pair that does not fit would keep nginx from its next start: it is tried apart first.
fn belong_together(name: &AppName, certificate: &Wanted, key: &Wanted) -> Result<(), SetupFailure> {
    let folder = tempfile::Builder::new()
        .prefix("longshore-tls-")
        .tempdir()
        .map_err(failed)?;
    let place = folder.path().display();
    let put = |file: &str, content: &[u8]| {
        system_file::put_with_mode(&folder.path().join(file), content, 0o600).map_err(failed)
    };
    put("certificate", &certificate.content)?;
    put("key", &key.content)?;
    let server = format!(
        "server {{\n    listen unix:{place}/socket ssl;\n    ssl_certificate {place}/certificate;\n    \
         ssl_certificate_key {place}/key;\n}}\n"
    );
    let (fine, said) = site::test_apart(folder.path(), &server).map_err(failed)?;
    if fine {
        return Ok(());
    }
    Err(SetupFailure {
        what: format!(
            "the certificate and the key of {name} do not belong together, or are no PEM: {}",
            command::printable(said.trim())
        ),
        next: "correct the files that `tls` names in the inventory; what was there before is still served".to_owned(),
    })
}

/// Certificate and key of an app, where there are any.
pub(super) fn places(name: &AppName, app: &DesiredApp) -> Option<(String, String)> {
    match (app.tls.as_ref()?, app.domain.as_ref()?) {
        (DesiredTls::Files { .. }, _) => Some(kept(name)),
        (DesiredTls::Acme, domain) => is_there(domain).then(|| fetched(domain)),
    }
}

fn kept(name: &AppName) -> (String, String) {
    let folder = format!("{CERTIFICATES}/{name}");
    (
        format!("{folder}/fullchain.pem"),
        format!("{folder}/privkey.pem"),
    )
}

fn fetched(domain: &str) -> (String, String) {
    (
        format!("{LIVE}/{domain}/fullchain.pem"),
        format!("{LIVE}/{domain}/privkey.pem"),
    )
}

fn is_there(domain: &str) -> bool {
    let (certificate, key) = fetched(domain);
    Path::new(&certificate).exists() && Path::new(&key).exists()
}

fn fetch(domain: &str, acme: &DesiredAcme, talk: &mut Talk) -> Result<(), SetupFailure> {
    // The authority asks this host, so nginx must know where the answers lie.
    pending::load(Load::Nginx)?;
    let mut words = vec![
        "certonly",
        "--non-interactive",
        "--agree-tos",
        "--webroot",
        "--webroot-path",
        ACME_ROOT,
        "--cert-name",
        domain,
        "--domain",
        domain,
    ];
    match &acme.email {
        Some(email) => words.extend(["--email", email]),
        None => words.push("--register-unsafely-without-email"),
    }
    words.extend(acme.server.iter().flat_map(|server| ["--server", server]));
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let mut said = Vec::new();
    let done = command::follow("certbot", &words, |line| {
        said.push(line.to_owned());
        talk.said(line);
    });
    if done.map_err(failed)? {
        return Ok(());
    }
    let details = said
        .iter()
        .filter(|line| line.contains("Detail:") || line.contains("rror"));
    let details: Vec<&str> = details.map(|line| line.trim()).collect();
    Err(SetupFailure {
        what: format!(
            "certbot got no certificate for {domain}: {}",
            details.join(" | ")
        ),
        next: format!(
            "let {domain} point at this host and port 80 be open, then bootstrap again; the site is served over plain HTTP until then"
        ),
    })
}
