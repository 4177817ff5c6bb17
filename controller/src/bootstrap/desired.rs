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
        trust: trust.cloned(),
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
        acme: setup.acme.clone(),
        sudo_login: false,
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
