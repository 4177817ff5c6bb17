//! What the inventory wants one host to be.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use longshore_shared::digest::Sha256Digest;
use longshore_shared::setup::{Desired, DesiredApp, DesiredPerson, DesiredTls, Secret};
use longshore_shared::trust_file::TrustRules;
use thiserror::Error;

use crate::inventory::{Environment, Host, Inventory, Tls};
use crate::ssh::key_line;

/// The agent's digest and who can log in are known only once the host was asked.
pub(crate) fn desired(
    inventory: &Inventory,
    environment: &Environment,
    host: &Host,
    trust: Option<&TrustRules>,
    close_used_ports: bool,
) -> Result<Desired, CertificateError> {
    let apps = environment.apps.values();
    let apps = apps.filter(|app| app.hosts.contains(&host.name));
    let people = environment.people.iter();
    let people = people.filter_map(|name| Some((name, inventory.people().get(name)?)));
    let setup = &environment.setup;
    let mut known = BTreeMap::new();
    for app in apps {
        let wanted = DesiredApp {
            domain: app.domain.clone(),
            tls: app.tls.as_ref().map(certificate).transpose()?,
            on_leave: app.on_leave,
            preview: app.preview.clone(),
            single: app.hosts.first() == Some(&host.name),
        };
        known.insert(app.name.clone(), wanted);
    }
    Ok(Desired {
        environment: environment.name.clone(),
        host: host.name.clone(),
        apps: known,
        people: people
            .map(|(name, person)| DesiredPerson {
                name: name.clone(),
                keys: person.keys.iter().map(key_line).collect(),
                groups: person.groups.iter().cloned().collect(),
                dotfiles: person.dotfiles.clone(),
                adopt: person.adopt,
            })
            .collect(),
        deploy_keys: environment.deploy_keys.iter().map(key_line).collect(),
        overrule: environment.overrule.clone(),
        settings_by: environment.settings_by.clone(),
        trust: trust.cloned(),
        signed_trust: None,
        system: setup.system.clone(),
        sshd: setup.sshd.clone(),
        firewall: setup
            .firewall
            .clone()
            .map(|firewall| longshore_shared::setup::DesiredFirewall {
                close_used: close_used_ports,
                ..firewall
            }),
        agent: Sha256Digest::of(b""),
        acme: Some(setup.acme.clone()),
        sudo_login: false,
        login_key: None,
    })
}

/// Why a certificate of the inventory cannot be sent along.
#[derive(Debug, Error)]
#[error("cannot read {}", path.display())]
pub(crate) struct CertificateError {
    path: PathBuf,
    source: io::Error,
}

fn certificate(tls: &Tls) -> Result<DesiredTls, CertificateError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| CertificateError {
            path: path.clone(),
            source,
        })
    };
    Ok(match tls {
        Tls::Acme => DesiredTls::Acme,
        Tls::Files { certificate, key } => DesiredTls::Files {
            certificate: read(certificate)?,
            key: Secret(read(key)?),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_example_makes_hosts() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inventory.example.toml");
        let inventory = Inventory::read(&path).unwrap();
        let of = |environment: &str| {
            let environment = inventory.environment(environment).unwrap();
            desired(&inventory, environment, &environment.hosts[0], None, true).unwrap()
        };
        let staging = of("staging");
        let names: Vec<&str> = staging.people.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["dev1", "ops1"]);
        assert!(staging.people[1].groups.contains("sudo"));
        assert!(staging.deploy_keys.is_empty());
        assert_eq!(staging.system.timezone.as_deref(), Some("Europe/Berlin"));
        assert_eq!(staging.system.swap, Some(1 << 30));
        assert!(staging.sshd.is_some_and(|sshd| !sshd.root_login));
        let production = of("production");
        assert_eq!(production.deploy_keys.len(), 1);
        assert_eq!(staging.overrule, None);
        assert_eq!(production.overrule, Some(vec!["@sudo".to_owned()]));
        let firewall = production.firewall.unwrap();
        assert!(firewall.close_used && firewall.open.contains("443/tcp"));
        let app = production.apps.values().next().unwrap();
        assert_eq!(app.domain.as_deref(), Some("cortico.example"));
    }
}
