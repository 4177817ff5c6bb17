//! What the inventory wants one host to be. Pure.

use std::collections::BTreeMap;

use longshore_shared::digest::Sha256Digest;
use longshore_shared::setup::{Desired, DesiredApp, DesiredPerson};
use longshore_shared::trust_file::TrustRules;

use crate::inventory::{Environment, Host, Inventory};
use crate::ssh::key_line;

/// The agent's digest and who can log in are known only once the host was asked.
pub(crate) fn desired(
    inventory: &Inventory,
    environment: &Environment,
    host: &Host,
    trust: Option<&TrustRules>,
    close_used_ports: bool,
) -> Desired {
    let apps = environment.apps.values();
    let apps = apps.filter(|app| app.hosts.contains(&host.name));
    let people = environment.people.iter();
    let people = people.filter_map(|name| Some((name, inventory.people().get(name)?)));
    let setup = &environment.setup;
    Desired {
        environment: environment.name.clone(),
        host: host.name.clone(),
        apps: apps
            .map(|app| {
                let domain = app.domain.clone();
                (app.name.clone(), DesiredApp { domain })
            })
            .collect::<BTreeMap<_, _>>(),
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
        sudo_login: false,
    }
}
