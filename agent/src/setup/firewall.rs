//! The firewall: a table of our own in nftables, beside whatever else is there.

use std::collections::BTreeSet;
use std::path::Path;

use longshore_shared::setup::{Desired, DesiredFirewall, SetupFailure};

use super::facts::Facts;
use super::files::Wanted;
use super::guard::Guard;
use super::plan::{Planned, failed};
use crate::command;
use crate::layout::SETUP_FIREWALL;
use crate::system_file;

const FILE: &str = "/etc/longshore/firewall.nft";
const UNIT: &str = "longshore-firewall.service";
const TABLE: &str = "table inet longshore";
/// Answers to DHCP come from nowhere in particular.
const DHCP: [u16; 2] = [68, 546];
/// Above it are the ends of connections that this host makes itself.
const FIRST_EPHEMERAL: u16 = 32_768;

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
    if file.sign().is_none() && loaded && unit.enabled {
        return;
    }
    let closed: Vec<String> = if loaded {
        Vec::new()
    } else {
        listening().difference(&open).cloned().collect()
    };
    if !closed.is_empty() && !wanted.close_used {
        planned.lack(format!(
            "the firewall is left off: it would close {}, where something listens. Name them in [setup.firewall] open, or bootstrap with --close-ports",
            closed.join(", ")
        ));
        return;
    }
    let ports: Vec<&str> = open.iter().map(String::as_str).collect();
    planned.change(
        format!("~ firewall: only {} from outside", ports.join(", ")),
        move |talk| {
            let back = if loaded { "restart" } else { "stop" };
            let guard = Guard::over(&[FILE], &[&["systemctl", "--no-block", back, UNIT]])?;
            guard.change(talk, || turn_on(&file))
        },
    );
}

/// SSH where it listens, and what the inventory says.
fn open(wanted: &DesiredFirewall, facts: &Facts) -> BTreeSet<String> {
    let said = |setting: &str| facts.sshd.get(setting).into_iter().flatten();
    let addresses = said("listenaddress").filter_map(|address| Some(address.rsplit_once(':')?.1));
    let ports = said("port").map(String::as_str).chain(addresses);
    let ports = ports.filter(|port| port.parse::<u16>().is_ok());
    let mut open: BTreeSet<String> = ports.map(|port| format!("{port}/tcp")).collect();
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
    let [four, six] = DHCP;
    // ICMP by its numbers: a small system lacks the file that has their names.
    format!(
        "# Made by longshore bootstrap: changes are overwritten.\n\
         {TABLE}\ndelete {TABLE}\n{TABLE} {{\n    chain input {{\n        \
         type filter hook input priority 0; policy drop;\n        \
         ct state established,related accept\n        ct state invalid drop\n        \
         iif \"lo\" accept\n        meta l4proto {{ 1, 58 }} accept\n        \
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

/// Ports that something listens on for others than this host.
fn listening() -> BTreeSet<String> {
    let mut ports = BTreeSet::new();
    for (file, protocol, state) in [
        ("/proc/net/tcp", "tcp", "0A"),
        ("/proc/net/tcp6", "tcp", "0A"),
        ("/proc/net/udp", "udp", "07"),
        ("/proc/net/udp6", "udp", "07"),
    ] {
        let text = fs_err::read_to_string(file).unwrap_or_default();
        let found = listeners(&text, state).into_iter();
        ports.extend(
            found
                .filter(|port| protocol == "tcp" || *port < FIRST_EPHEMERAL)
                .filter(|port| protocol == "tcp" || !DHCP.contains(port))
                .map(|port| format!("{port}/{protocol}")),
        );
    }
    ports
}

fn listeners(text: &str, state: &str) -> Vec<u16> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, _, found) = (words.next()?, words.next()?, words.next()?);
            let (address, port) = local.split_once(':')?;
            let outside = !is_loopback(address);
            (found == state && outside)
                .then(|| u16::from_str_radix(port, 16).ok())
                .flatten()
        })
        .collect()
}

/// The kernel writes each group of four bytes in the machine's own order.
fn is_loopback(address: &str) -> bool {
    let four = address.get(6..8) == Some("7F") && address.len() == 8;
    let six = address == "00000000000000000000000001000000";
    let mapped = address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F");
    four || six || mapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_those_that_others_reach() {
        let tcp = "  sl  local_address rem_address   st\n   \
                   0: 00000000:0016 00000000:0000 0A 0\n   \
                   1: 0100007F:1538 00000000:0000 0A 0\n   \
                   2: 0200000A:0050 0100000A:AAAA 01 0\n";
        assert_eq!(listeners(tcp, "0A"), [22]);
        let six = "  sl\n   0: 00000000000000000000000001000000:0050 0:0 0A 0\n   \
                   1: 00000000000000000000000000000000:01BB 0:0 0A 0\n";
        assert_eq!(listeners(six, "0A"), [443]);
    }

    #[test]
    fn rules_name_the_ports() {
        let open = ["22/tcp", "80/tcp", "51820/udp"].map(str::to_owned);
        let text = text(&open.into());
        assert!(text.contains("tcp dport { 22, 80 } accept"), "{text}");
        assert!(text.contains("udp dport { 51820 } accept"), "{text}");
    }
}
