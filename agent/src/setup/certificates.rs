//! Certificates of sites: those that came with the inventory, and those that certbot fetches.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use longshore_shared::name::AppName;
use longshore_shared::setup::{Desired, DesiredAcme, DesiredApp, DesiredTls, SetupFailure};

use super::facts::Facts;
use super::files::{self, Wanted};
use super::nginx;
use super::pending::{self, Load};
use super::plan::{Planned, failed};
use super::talk::Talk;
use super::units;
use crate::activate::site;
use crate::command;
use crate::layout::{ACME_ROOT, CERTIFICATES};
use crate::{links, system_file, trash};

const LIVE: &str = "/etc/letsencrypt/live";
/// certbot renews by itself; nginx has to hear of it.
const HOOK: &str = "/etc/letsencrypt/renewal-hooks/deploy/longshore";

/// certbot renews a month before the end: one that ends so soon was not renewed.
const SOON: &str = "604800";

pub(super) fn plan(desired: &Desired, facts: &Facts, planned: &mut Planned) {
    let acme = |app: &DesiredApp| matches!(app.tls, Some(DesiredTls::Acme));
    if desired.apps.values().any(acme) {
        files::plan_folder(planned, ACME_ROOT, 0o755);
        let hook = Wanted {
            mode: 0o755,
            ..Wanted::text(HOOK, "#!/bin/sh\nexec systemctl reload nginx\n", None)
        };
        files::plan(planned, hook, "nginx hears of renewed certificates");
        units::plan_running(
            planned,
            &facts.unit("certbot.timer"),
            "certbot.timer",
            "certbot.timer, which renews certificates,",
        );
    }
    for (name, app) in &desired.apps {
        match (&app.domain, &app.tls) {
            (Some(_), Some(DesiredTls::Files { certificate, key })) => {
                let pair = Pair::new(name, certificate, &key.0);
                if let Some(sign) = pair.certificate.sign().or(pair.key.sign()) {
                    let what = format!("{sign} certificate of {name} ({})", pair.certificate.path);
                    planned.change_apart(what, move |_| {
                        pair.belong_together()?;
                        pending::note(Load::Nginx).map_err(failed)?;
                        pair.put(Path::new(CERTIFICATES)).map_err(failed)
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
            (Some(domain), Some(DesiredTls::Acme)) if ends_soon(&fetched(domain).0) => {
                planned.lack(format!(
                    "the certificate for {domain} ends within a week, or has ended: certbot did not renew it. Run `certbot renew` on this host and mend what it says"
                ));
            }
            _ => {}
        }
    }
    let surplus = surplus(Path::new(CERTIFICATES), &with_files(desired));
    let (used, unused): (Vec<_>, Vec<_>) = surplus.into_iter().partition(|name| is_used(name));
    if !used.is_empty() {
        planned.note(format!(
            "certificates of {} are kept, for a site of nginx still names them",
            used.join(", ")
        ));
    }
    if !unused.is_empty() {
        let words = format!("- certificates that no app has: {}", unused.join(", "));
        planned.change_apart(words, move |_| remove(&unused));
    }
}

fn with_files(desired: &Desired) -> BTreeSet<&str> {
    let apps = desired.apps.iter();
    let with = apps.filter(|(_, app)| {
        matches!(app.tls, Some(DesiredTls::Files { .. })) && app.domain.is_some()
    });
    with.map(|(name, _)| name.as_str()).collect()
}

/// What lies there for apps that are gone, and what a run left that was cut short.
fn surplus(place: &Path, wanted: &BTreeSet<&str>) -> Vec<String> {
    let mut served: BTreeSet<String> = wanted
        .iter()
        .filter_map(|name| links::names(&place.join(name)))
        .collect();
    served.extend(wanted.iter().map(ToString::to_string));
    let entries = fs_err::read_dir(place).into_iter().flatten().flatten();
    let mut surplus: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !served.contains(name))
        .collect();
    surplus.sort();
    surplus
}

/// Without a file that one of its sites names, nginx would not start again. The folder of a link
/// goes by the link's name.
fn is_used(name: &str) -> bool {
    let app = name.split('.').next().unwrap_or(name);
    let is_link_s = links::names(&Path::new(CERTIFICATES).join(app)).as_deref() == Some(name);
    let named = if is_link_s { app } else { name };
    let place = format!("{CERTIFICATES}/{named}/");
    nginx::sites().iter().any(|site| site.text.contains(&place))
}

fn remove(names: &[String]) -> Result<(), SetupFailure> {
    for name in names.iter().filter(|name| !is_used(name)) {
        trash::delete(&Path::new(CERTIFICATES).join(name)).map_err(failed)?;
    }
    Ok(())
}

/// A certificate and its key: nginx never finds the one without the other.
struct Pair {
    name: AppName,
    certificate: Wanted,
    key: Wanted,
}

impl Pair {
    fn new(name: &AppName, certificate: &str, key: &str) -> Self {
        let (certificate_at, key_at) = kept(name);
        Self {
            name: name.clone(),
            certificate: Wanted::text(&certificate_at, certificate, None),
            key: Wanted {
                mode: 0o600,
                ..Wanted::text(&key_at, key, None)
            },
        }
    }

    /// Writes both into a folder of their own, then moves one link.
    fn put(&self, place: &Path) -> io::Result<()> {
        let number = jiff::Timestamp::now().as_nanosecond();
        let folder = format!("{}.{number}", self.name);
        for wanted in [&self.certificate, &self.key] {
            let file = Path::new(&wanted.path).file_name().unwrap_or_default();
            let file = place.join(&folder).join(file);
            system_file::put_with_mode(&file, &wanted.content, wanted.mode)?;
        }
        links::sync_folder(place)?;
        let link = place.join(self.name.as_str());
        let before = links::names(&link);
        if before.is_none() && link.is_dir() {
            // A plain folder, which no link can take the place of.
            trash::delete(&link)?;
        }
        links::replace(&link, Path::new(&folder))?;
        before.map_or(Ok(()), |before| trash::delete(&place.join(before)))
    }

    /// A pair that does not fit would keep nginx from its next start: it is tried apart first.
    fn belong_together(&self) -> Result<(), SetupFailure> {
        let folder = tempfile::Builder::new()
            .prefix("longshore-tls-")
            .tempdir()
            .map_err(failed)?;
        let place = folder.path().display();
        let put = |file: &str, content: &[u8]| {
            system_file::put_with_mode(&folder.path().join(file), content, 0o600).map_err(failed)
        };
        put("certificate", &self.certificate.content)?;
        put("key", &self.key.content)?;
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
            "the certificate and the key of {} do not belong together, or are no PEM: {}",
            self.name,
            command::printable(said.trim())
        ),
        next: "correct the files that `tls` names in the inventory; what was there before is still served".to_owned(),
    })
    }
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

fn ends_soon(certificate: &str) -> bool {
    let words = ["x509", "-noout", "-checkend", SOON, "-in", certificate];
    // Where that cannot be told, nginx or certbot tell what is wrong.
    command::ask("openssl", &words).is_ok_and(|(fine, said)| !fine && said.contains("will expire"))
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
        if is_there(domain) {
            return Ok(());
        }
        // It would be fetched again and again, until the authority has had enough.
        return Err(SetupFailure {
            what: format!("certbot has a certificate for {domain}, and not in {LIVE}/{domain}"),
            next: format!(
                "see `certbot certificates` on the host, take away what is left of {domain} in /etc/letsencrypt, then bootstrap again"
            ),
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_changes_as_one_and_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let name = AppName::new("shop").unwrap();
        let read =
            |file: &str| fs_err::read_to_string(place.path().join("shop").join(file)).unwrap();
        // As it was made once: a plain folder.
        fs_err::create_dir(place.path().join("shop")).unwrap();
        for (certificate, key) in [("one", "1"), ("two", "2"), ("two", "2")] {
            Pair::new(&name, certificate, key)
                .put(place.path())
                .unwrap();
            assert_eq!(
                (read("fullchain.pem").as_str(), read("privkey.pem").as_str()),
                (certificate, key)
            );
            // The link and its folder.
            assert_eq!(fs_err::read_dir(place.path()).unwrap().count(), 2);
        }
        let mode = fs_err::metadata(place.path().join("shop/privkey.pem")).unwrap();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
            0o600
        );
    }

    #[test]
    fn certificates_of_apps_that_are_gone_are_surplus() {
        let place = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let name = AppName::new(name).unwrap();
            Pair::new(&name, "c", "k").put(place.path()).unwrap();
        };
        put("shop");
        put("gone");
        // Of a run that was cut short before it moved the link.
        fs_err::create_dir(place.path().join("shop.1")).unwrap();
        let found = surplus(place.path(), &BTreeSet::from(["shop"]));
        assert_eq!(found.len(), 3);
        assert!(found[0] == "gone" && found[1].starts_with("gone.") && found[2] == "shop.1");
        assert!(surplus(&place.path().join("none"), &BTreeSet::new()).is_empty());
    }
}
