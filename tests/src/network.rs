//! A lab's network: one bridge, one network namespace and veth pair for each host, and
//! masquerading so that hosts reach the package registries that the machine reaches.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::process;

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
/// What forwarding was before the first lab of this machine; gone with the last one.
const FORWARD_BEFORE: &str = "/run/longshore-lab/ip_forward";
const FIRST_HOST: u8 = 11;

/// Why the network could not be made or removed.
#[derive(Debug, Error)]
pub enum Error {
    /// `ip` failed.
    #[error("could not change the lab's network")]
    Ip(#[source] process::Error),
    /// `nft` failed.
    #[error("could not set the lab's masquerading")]
    Masquerade(#[source] process::Error),
    /// All candidates overlap something.
    #[error("every network from 10.231.0.0/24 to 10.231.254.0/24 is taken on this machine")]
    NoSubnet,
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// The addresses and names of one lab's network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Network {
    tag: String,
    third: u8,
}

impl Network {
    /// A network that no other lab and no route of this machine uses. The same lab gets the same
    /// one as long as it is free.
    pub fn choose(tag: &str) -> Result<Self, Error> {
        let routes = process::run(Command::new("ip").args(["-4", "route", "show", "table", "all"]))
            .map_err(Error::Ip)?;
        let wanted = u8::from_str_radix(tag.get(..2).unwrap_or("0"), 16).unwrap_or(0);
        let third = free_third(&routes, wanted).ok_or(Error::NoSubnet)?;
        Ok(Self {
            tag: tag.to_owned(),
            third,
        })
    }

    /// The address of the `index`th host, from 0.
    pub fn address(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.third, FIRST_HOST.saturating_add(index))
    }

    /// The machine's own address in the lab.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.third, 1)
    }

    /// All of the lab.
    pub fn subnet(&self) -> String {
        format!("10.231.{}.0/24", self.third)
    }

    /// The name of a host's network namespace.
    pub fn namespace(&self, index: u8) -> String {
        format!("longshore-{}-{index}", self.tag)
    }

    fn bridge(&self) -> String {
        format!("lsb-{}", self.tag)
    }

    fn cable(&self, index: u8) -> String {
        format!("lsv{}-{index}", self.tag)
    }

    fn table(&self) -> String {
        format!("longshore_lab_{}", self.tag)
    }

    /// Makes the bridge and the masquerading.
    pub fn create(&self) -> Result<(), Error> {
        let (bridge, gateway, subnet) = (self.bridge(), self.gateway(), self.subnet());
        batch(
            None,
            &format!(
                "link add {bridge} type bridge\naddr add {gateway}/24 dev {bridge}\n\
                 link set {bridge} up\n"
            ),
        )?;
        forward()?;
        let rules = format!(
            "table ip {} {{\n chain leave {{\n  type nat hook postrouting priority srcnat\n  \
             ip saddr {subnet} ip daddr != {subnet} masquerade\n }}\n}}\n",
            self.table()
        );
        process::feed(Command::new("nft").args(["-f", "-"]), &rules).map_err(Error::Masquerade)?;
        allow_forwarding(&bridge);
        Ok(())
    }

    /// Plugs in one host.
    pub fn connect(&self, index: u8) -> Result<(), Error> {
        let (namespace, cable, bridge) = (self.namespace(index), self.cable(index), self.bridge());
        batch(
            None,
            &format!(
                "netns add {namespace}\n\
                 link add {cable} type veth peer name host0 netns {namespace}\n\
                 link set {cable} master {bridge} up\n"
            ),
        )?;
        batch(
            Some(&namespace),
            &format!(
                "link set lo up\naddr add {}/24 dev host0\nlink set host0 up\n\
                 route add default via {}\n",
                self.address(index),
                self.gateway()
            ),
        )
    }

    /// Gives a host a new network namespace: whatever was set in the old one is gone. Nothing may
    /// run in it.
    pub fn reconnect(&self, index: u8) -> Result<(), Error> {
        // A cable that goes with its namespace goes a moment later; this way its name is free now.
        process::passes(Command::new("ip").args(["link", "del", &self.cable(index)]));
        process::passes(Command::new("ip").args(["netns", "del", &self.namespace(index)]));
        self.connect(index)
    }

    /// Pulls or plugs a host's cable, as when its network dies.
    pub fn plug(&self, index: u8, connected: bool) -> Result<(), Error> {
        let state = if connected { "up" } else { "down" };
        batch(None, &format!("link set {} {state}\n", self.cable(index)))?;
        if connected {
            // Who asked for the other's address while the cable was out goes on to be told that
            // there is no such host, until the answer that never came is forgotten.
            let (bridge, address) = (self.bridge(), self.address(index));
            batch(None, &format!("neigh flush to {address} dev {bridge}\n"))?;
            batch(Some(&self.namespace(index)), "neigh flush dev host0\n")?;
        }
        Ok(())
    }
}

/// Removes every trace of a lab's network, found by the lab's tag alone.
pub fn clear(tag: &str) -> Result<(), Error> {
    let spaces = process::run(Command::new("ip").args(["netns", "list"])).map_err(Error::Ip)?;
    let ours = format!("longshore-{tag}-");
    for line in spaces.lines().filter(|line| line.starts_with(&ours)) {
        let name = line.split(' ').next().unwrap_or(line);
        batch(None, &format!("netns del {name}\n"))?;
    }
    for link in links()? {
        if link == format!("lsb-{tag}") || link.starts_with(&format!("lsv{tag}-")) {
            // A cable goes with its namespace a moment later, so it may be gone by now.
            process::passes(Command::new("ip").args(["link", "del", &link]));
        }
    }
    let table = format!("longshore_lab_{tag}");
    if process::passes(Command::new("nft").args(["list", "table", "ip", &table])) {
        process::run(Command::new("nft").args(["delete", "table", "ip", &table]))
            .map_err(Error::Masquerade)?;
    }
    forbid_forwarding(&format!("lsb-{tag}"));
    restore_forward()
}

fn links() -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir("/sys/class/net")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

fn batch(namespace: Option<&str>, commands: &str) -> Result<(), Error> {
    let mut ip = Command::new("ip");
    if let Some(namespace) = namespace {
        ip.args(["-n", namespace]);
    }
    process::feed(ip.args(["-batch", "-"]), commands).map_err(Error::Ip)?;
    Ok(())
}

fn forward() -> Result<(), Error> {
    let before = fs_err::read_to_string(FORWARD)?;
    if before.trim() == "1" {
        return Ok(());
    }
    if let Some(folder) = Path::new(FORWARD_BEFORE).parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(FORWARD_BEFORE, &before)?;
    fs_err::write(FORWARD, "1")?;
    Ok(())
}

fn restore_forward() -> Result<(), Error> {
    let other_labs = links()?.iter().any(|link| link.starts_with("lsb-"));
    if other_labs || !Path::new(FORWARD_BEFORE).exists() {
        return Ok(());
    }
    fs_err::write(FORWARD, fs_err::read_to_string(FORWARD_BEFORE)?.trim())?;
    fs_err::remove_file(FORWARD_BEFORE)?;
    Ok(())
}

/// Docker, ufw and others drop what is forwarded. Where such a policy rules, the lab's bridge is
/// let through; on all other machines there is nothing to do, and nothing is touched.
fn allow_forwarding(bridge: &str) {
    let mut list = Command::new("iptables");
    if !process::run(list.args(["-w", "-S", "FORWARD"])).is_ok_and(|rules| drops(&rules)) {
        return;
    }
    for side in ["-i", "-o"] {
        let mut add = Command::new("iptables");
        process::passes(add.args(["-w", "-I", "FORWARD", side, bridge, "-j", "ACCEPT"]));
    }
}

fn drops(rules: &str) -> bool {
    rules.lines().any(|line| line == "-P FORWARD DROP")
}

fn forbid_forwarding(bridge: &str) {
    let mut list = Command::new("iptables");
    let rules = process::run(list.args(["-w", "-S", "FORWARD"])).unwrap_or_default();
    for rule in rules
        .lines()
        .filter(|rule| rule.split(' ').any(|word| word == bridge))
    {
        let mut delete = Command::new("iptables");
        delete.args(["-w", "-D"]).args(rule.split(' ').skip(1));
        process::passes(&mut delete);
    }
}

fn free_third(routes: &str, wanted: u8) -> Option<u8> {
    let taken: BTreeSet<u8> = routes
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("10.231."))
        .filter_map(|rest| rest.split(['.', '/']).next()?.parse().ok())
        .collect();
    (0..=254u8)
        .map(|step| wanted.wrapping_add(step) % 255)
        .find(|third| !taken.contains(third))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_in_use_is_left_alone() {
        let routes = "10.231.5.0/24 dev lsb-aaaaaa proto kernel\nlocal 10.231.6.1 dev eth1\n";
        assert_eq!(free_third(routes, 5), Some(7));
        assert_eq!(free_third(routes, 9), Some(9));
        assert_eq!(free_third("", 255), Some(0));
    }

    #[test]
    fn names_of_links_fit_the_kernels_limit() {
        let network = Network {
            tag: String::from("abcdef"),
            third: 1,
        };
        assert!(network.bridge().len() < 16);
        assert!(network.cable(200).len() < 16);
    }

    #[test]
    fn a_dropping_policy_is_seen() {
        assert!(drops("-P FORWARD DROP\n-A FORWARD -j DOCKER\n"));
        assert!(!drops("-P FORWARD ACCEPT\n"));
    }
}
