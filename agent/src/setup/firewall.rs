//! The firewall: a table of our own in nftables, beside whatever else is there.

use std::collections::BTreeSet;
use std::path::Path;

use longshore_shared::setup::{Desired, DesiredFirewall, SetupFailure};

use super::facts::Facts;
use super::files::Wanted;
use super::guard::Guard;
use super::plan::{Planned, failed};
use super::ports;
use crate::command;
use crate::layout::{SETUP_FIREWALL, SETUP_TAKE_BACK};
use crate::system_file;

const FILE: &str = "/etc/longshore/firewall.nft";
const UNIT: &str = "longshore-firewall.service";
const TABLE: &str = "table inet longshore";

pub(super) fn plan(desired: &Desired, facts: &Facts, planned: &mut Planned) {
    let unit = facts.unit(UNIT);
    let Some(wanted) = &desired.firewall else {
        if unit.active || fs_err::symlink_metadata(FILE).is_ok() {
            planned.change("- firewall", |_| turn_off());
        }
        return;
    };
    let open = open(wanted, facts);
    let file = Wanted::text(FILE, text(&open), None);
    let loaded = unit.active && is_loaded();
    if desired.system.docker || facts.has("docker.io") || facts.has("docker-ce") {
        planned.note("ports that containers publish are open beside this firewall, over IPv4 at least: Docker forwards them itself. Publish on 127.0.0.1 what is not for everybody");
    }
    if file.sign().is_none() && loaded && unit.enabled {
        return;
    }
    // What nobody confirmed is taken back first: then it shows what was there before.
    if Path::new(SETUP_TAKE_BACK).exists() {
        return;
    }
    // Whoever disabled it may have opened something since; a unit that was stopped is only mended.
    let was_on = unit.enabled && fs_err::symlink_metadata(FILE).is_ok();
    let question = question(was_on, &ports::used(), &open);
    if let Some(question) = question.filter(|_| !wanted.close_used) {
        return planned.lack(question);
    }
    let ports: Vec<&str> = open.iter().map(String::as_str).collect();
    planned.change(
        format!("~ firewall: only {} from outside", ports.join(", ")),
        move |talk| {
            let back = if unit.active { "restart" } else { "stop" };
            let guard = Guard::over(
                &[FILE, SETUP_FIREWALL],
                &[&["systemctl", "--no-block", back, UNIT]],
            )?;
            guard.change(talk, || turn_on(&file))
        },
    );
}

/// Rules that were on before have closed their ports long ago: they are made good unasked.
fn question(was_on: bool, used: &BTreeSet<String>, open: &BTreeSet<String>) -> Option<String> {
    let closed: Vec<&str> = used.difference(open).map(String::as_str).collect();
    (!was_on && !closed.is_empty()).then(|| {
        format!(
            "the firewall is left off: it would close {}, where something listens. Name them in [setup.firewall] open, or bootstrap with --close-ports",
            closed.join(", ")
        )
    })
}

/// SSH where it listens, and what the inventory says.
fn open(wanted: &DesiredFirewall, facts: &Facts) -> BTreeSet<String> {
    let said = |setting: &str| facts.sshd.get(setting).into_iter().flatten();
    let addresses = said("listenaddress").filter_map(|address| Some(address.rsplit_once(':')?.1));
    let ports = said("port").map(String::as_str).chain(addresses);
    let ports = ports.filter(|port| port.parse::<u16>().is_ok());
    let mut open: BTreeSet<String> = ports.map(|port| format!("{port}/tcp")).collect();
    // systemd may listen in sshd's place, and elsewhere than sshd would.
    let socket = facts.unit("ssh.socket");
    if socket.active {
        open.extend(socket.ports.iter().map(|port| format!("{port}/tcp")));
    }
    if open.is_empty() {
        open.insert("22/tcp".to_owned());
    }
    open.extend(wanted.open.iter().cloned());
    open
}

fn text(open: &BTreeSet<String>) -> String {
    let ports = |protocol: &str| -> Vec<&str> {
        let of = |port: &'_ String| port.ends_with(protocol);
        open.iter()
            .filter(|port| of(port))
            .filter_map(|port| port.split_once('/'))
            .map(|(port, _)| port)
            .collect()
    };
    let mut rules = String::new();
    for (protocol, ending) in [("tcp", "/tcp"), ("udp", "/udp")] {
        let ports = ports(ending);
        if !ports.is_empty() {
            rules.push_str(&format!(
                "        {protocol} dport {{ {} }} accept\n",
                ports.join(", ")
            ));
        }
    }
    let (four, six) = ports::DHCP;
    // By their numbers, for a small system lacks the file that has their names: ICMP, and what has no
    // ports and is not ours to judge (IGMP, GRE, ESP, AH, VRRP).
    format!(
        "# Made by longshore bootstrap: changes are overwritten.\n\
         {TABLE}\ndelete {TABLE}\n{TABLE} {{\n    chain input {{\n        \
         type filter hook input priority 0; policy drop;\n        \
         ct state established,related accept\n        ct state invalid drop\n        \
         iif \"lo\" accept\n        meta l4proto {{ 1, 2, 47, 50, 51, 58, 112 }} accept\n        \
         udp dport {{ {four}, {six} }} accept\n{rules}    }}\n}}\n"
    )
}

fn turn_on(file: &Wanted) -> Result<(), SetupFailure> {
    file.write().map_err(failed)?;
    command::run("nft", &["--check", "--file", FILE]).map_err(failed)?;
    command::run("systemctl", &["enable", "--quiet", UNIT]).map_err(failed)?;
    command::run("systemctl", &["restart", UNIT]).map_err(failed)?;
    system_file::put(Path::new(SETUP_FIREWALL), listing())
        .map(drop)
        .map_err(failed)
}

fn turn_off() -> Result<(), SetupFailure> {
    command::run("systemctl", &["disable", "--quiet", "--now", UNIT]).map_err(failed)?;
    match fs_err::remove_file(FILE) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Whether the kernel has the rules just as they were when they were loaded.
fn is_loaded() -> bool {
    let loaded = listing();
    let before = fs_err::read_to_string(SETUP_FIREWALL).unwrap_or_default();
    !loaded.is_empty() && loaded == before
}

fn listing() -> String {
    let words = ["list", "table", "inet", "longshore"];
    command::run("nft", &words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::units::Unit;

    #[test]
    fn rules_name_the_ports() {
        let open = ["22/tcp", "80/tcp", "51820/udp"].map(str::to_owned);
        let text = text(&open.into());
        assert!(text.contains("tcp dport { 22, 80 } accept"), "{text}");
        assert!(text.contains("udp dport { 51820 } accept"), "{text}");
        // Tunnels and routers that others set up have no ports.
        assert!(text.contains("meta l4proto { 1, 2, 47, 50, 51, 58, 112 } accept"));
    }

    #[test]
    fn the_port_of_an_active_ssh_socket_is_open() {
        let wanted = DesiredFirewall {
            open: BTreeSet::new(),
            close_used: false,
        };
        let sshd = |active: bool| {
            let socket = Unit {
                active,
                ports: vec![2222],
                ..Unit::default()
            };
            let facts = Facts {
                units: [("ssh.socket".to_owned(), socket)].into(),
                sshd: [("port".to_owned(), vec!["22".to_owned()])].into(),
                ..Facts::default()
            };
            open(&wanted, &facts).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(sshd(true), ["22/tcp", "2222/tcp"]);
        assert_eq!(sshd(false), ["22/tcp"]);
    }

    #[test]
    fn only_a_firewall_that_was_never_on_asks_before_it_closes_ports() {
        let used = BTreeSet::from(["25/tcp".to_owned(), "22/tcp".to_owned()]);
        let open = BTreeSet::from(["22/tcp".to_owned()]);
        assert_eq!(question(true, &used, &open), None);
        assert!(
            question(false, &used, &open)
                .unwrap()
                .contains("close 25/tcp,")
        );
        assert_eq!(question(false, &open, &open), None);
    }
}
