//! What both forms of an Ansible inventory have in common: groups of hosts, groups of groups, and
//! variables, the nearest of which counts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Hosts};

/// By name; nothing stands for what is no plain text, such as a vault's.
pub(super) type Variables = BTreeMap<String, Option<String>>;

/// Everybody is in it, so it says nothing.
const ALL: [&str; 2] = ["all", "ungrouped"];

/// How to come to a host, which is ~/.ssh/config's to say here.
const WAYS: [&str; 4] = [
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
];

/// An inventory as either form has it.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// In the order of the file.
    order: Vec<String>,
    hosts: BTreeMap<String, Variables>,
    groups: BTreeMap<String, Group>,
    /// How many names were spelled out, also the same ones again.
    spelled: usize,
    /// What was not understood on the way.
    pub(super) rest: Hosts,
}

#[derive(Debug, Default)]
struct Group {
    hosts: BTreeSet<String>,
    children: BTreeSet<String>,
    variables: Variables,
}

impl Inventory {
    /// The hosts that an entry stands for; none where it cannot be spelled out.
    pub(super) fn hosts(&mut self, group: &str, entry: &str, variables: &Variables) -> Option<()> {
        let (pattern, port) = without_port(entry);
        let names = spelled_out(pattern)?;
        self.spelled = self.spelled.saturating_add(names.len());
        if self.spelled > MOST_NAMES || !names.iter().all(|name| is_host(name)) {
            return None;
        }
        for name in names {
            let port = port.map(|port| ("ansible_port".to_owned(), Some(port.to_owned())));
            let variables = port.into_iter().chain(variables.clone());
            if !self.hosts.contains_key(&name) {
                if self.order.len() >= MOST_HOSTS {
                    return None;
                }
                self.order.push(name.clone());
            }
            self.hosts
                .entry(name.clone())
                .or_default()
                .extend(variables);
            self.group(group).hosts.insert(name);
        }
        Some(())
    }

    pub(super) fn child(&mut self, group: &str, child: &str) {
        self.group(group).children.insert(child.to_owned());
        self.group(child);
    }

    pub(super) fn variable(&mut self, group: &str, key: String, value: Option<String>) {
        self.group(group).variables.insert(key, value);
    }

    /// A group may be there without any hosts.
    pub(super) fn declare(&mut self, name: &str) {
        self.group(name);
    }

    fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// How many groups a group is in at most, one in the other.
    fn depths(&self) -> BTreeMap<&str, usize> {
        let names = self.groups.keys().map(String::as_str);
        let mut depths: BTreeMap<&str, usize> = names
            .map(|name| (name, usize::from(name != "all")))
            .collect();
        // A group in itself would have no end; Ansible refuses it.
        for _ in 0..self.groups.len() {
            let mut settled = true;
            for (name, group) in &self.groups {
                let below = depths.get(name.as_str()).copied().unwrap_or(0) + 1;
                for child in &group.children {
                    if let Some(depth) = depths.get_mut(child.as_str())
                        && *depth < below
                    {
                        *depth = below;
                        settled = false;
                    }
                }
            }
            if settled {
                break;
            }
        }
        depths
    }

    /// The groups that a host is in, directly or not.
    fn groups_of(&self, host: &str) -> BTreeSet<&str> {
        let direct = self.groups.iter();
        let direct = direct.filter(|(_, group)| group.hosts.contains(host));
        let mut open: Vec<&str> = direct.map(|(name, _)| name.as_str()).collect();
        let mut found: BTreeSet<&str> = BTreeSet::new();
        while let Some(inner) = open.pop() {
            if found.insert(inner) {
                let around = self.groups.iter();
                let around = around.filter(|(_, group)| group.children.contains(inner));
                open.extend(around.map(|(name, _)| name.as_str()));
            }
        }
        found.extend(self.groups.contains_key("all").then_some("all"));
        found
    }

    fn priority(&self, group: &str) -> i64 {
        let variables = self.groups.get(group).map(|group| &group.variables);
        let own = variables.and_then(|variables| variables.get("ansible_group_priority"));
        let own = own.and_then(|text| text.as_deref()?.parse().ok());
        own.unwrap_or(1)
    }

    pub(super) fn into_hosts(mut self) -> Hosts {
        let mut hosts = std::mem::take(&mut self.rest);
        let depths = self.depths();
        let depth = |group: &str| depths.get(group).copied().unwrap_or(0);
        for name in &self.order {
            let mut groups: Vec<&str> = self.groups_of(name).into_iter().collect();
            // Of groups that are as deep, Ansible lets the last one by name win.
            groups.sort_by_key(|group| Reverse((depth(group), self.priority(group), *group)));
            let layers = self.hosts.get(name).into_iter().chain(
                groups
                    .iter()
                    .filter_map(|group| Some(&self.groups.get(*group)?.variables)),
            );
            let mut nearest: BTreeMap<&str, Option<&str>> = BTreeMap::new();
            for (key, value) in layers.flatten() {
                nearest.entry(key).or_insert(value.as_deref());
            }
            groups.sort_by_key(|group| (Reverse(depth(group)), *group));
            let roles = groups.into_iter().filter(|group| !ALL.contains(group));
            match host(name, &nearest) {
                Ok(mut found) => {
                    found.roles = roles.map(str::to_owned).collect();
                    hosts.found.push(found);
                }
                Err(why) => hosts.skip(name, why),
            }
        }
        hosts
    }
}

fn host(name: &str, variables: &BTreeMap<&str, Option<&str>>) -> Result<Found, &'static str> {
    let first = |names: [&str; 2]| names.iter().find_map(|name| variables.get(name).copied());
    if let Some(how) = variables.get("ansible_connection")
        && !how.is_some_and(|how| matches!(how, "ssh" | "smart" | "ansible.builtin.ssh"))
        && !how.is_some_and(|how| how.contains("paramiko"))
    {
        return Err("it is not reached over SSH");
    }
    let plain = |value: Option<&str>| {
        let text = value.filter(|text| !text.contains("{{"));
        text.map(str::to_owned)
    };
    let address = match first(["ansible_host", "ansible_ssh_host"]) {
        None if name == "localhost" => return Err("it is the machine that Ansible runs on"),
        None => name.to_owned(),
        Some(value) => plain(value).ok_or("its address is computed by Ansible, or encrypted")?,
    };
    let mut found = Found::new(name, address);
    if let Some(value) = first(["ansible_user", "ansible_ssh_user"]) {
        found.user = plain(value);
        if found.user.is_none() {
            let note = "its ansible_user is computed by Ansible, or encrypted";
            found.notes.push(note.to_owned());
        }
    }
    if let Some(value) = first(["ansible_port", "ansible_ssh_port"]) {
        let port = value.and_then(|port| port.parse().ok());
        found.port = port.filter(|port| *port > 0);
        if found.port.is_none() {
            return Err("its ansible_port is no number of a port");
        }
    }
    for way in WAYS.iter().filter(|way| variables.contains_key(**way)) {
        let note = format!("{way} is not taken over: say it in ~/.ssh/config");
        found.notes.push(note);
    }
    Ok(found)
}

fn is_host(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(fits)
}

/// `web-1:2222` and `[2001:db8::1]:2222` have a port of their own.
fn without_port(entry: &str) -> (&str, Option<&str>) {
    let is_v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    if let Some((inner, rest)) = entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        && is_v6(inner)
    {
        return (inner, rest.strip_prefix(':'));
    }
    match entry.rsplit_once(':') {
        Some((name, port))
            if !is_v6(entry) && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (name, Some(port))
        }
        _ => (entry, None),
    }
}

/// No range of servers is longer.
const LONGEST: usize = 10_000;
/// No fleet is larger, and no host is named so often: a file of few lines could stand for more than fits
/// into memory.
const MOST_HOSTS: usize = 10_000;
const MOST_NAMES: usize = 10 * MOST_HOSTS;
/// No name has more ranges.
const MOST_RANGES: usize = 8;

/// `web[01:03].example.com` as Ansible spells it out.
fn spelled_out(pattern: &str) -> Option<Vec<String>> {
    if pattern.matches('[').count() > MOST_RANGES {
        return None;
    }
    let Some((head, rest)) = pattern.split_once('[') else {
        return Some(vec![pattern.to_owned()]);
    };
    let (range, tail) = rest.split_once(']')?;
    let tails = spelled_out(tail)?;
    let mut all = Vec::new();
    for middle in middles(range)? {
        if all.len() + tails.len() > LONGEST {
            return None;
        }
        all.extend(tails.iter().map(|tail| format!("{head}{middle}{tail}")));
    }
    Some(all)
}

fn middles(range: &str) -> Option<Vec<String>> {
    let mut parts = range.split(':');
    let (from, to) = (parts.next()?, parts.next()?);
    let step: usize = parts.next().map_or(Some(1), |step| step.parse().ok())?;
    if step == 0 || parts.next().is_some() {
        return None;
    }
    // `[:3]` begins at nought.
    let from = if from.is_empty() { "0" } else { from };
    if let (Ok(first), Ok(last)) = (from.parse::<u32>(), to.parse::<u32>()) {
        let width = if from.starts_with('0') { from.len() } else { 0 };
        let fits = last >= first && ((last - first) as usize) < LONGEST && width < 10;
        let numbers = (first..=last).step_by(step);
        return fits.then(|| numbers.map(|number| format!("{number:0width$}")).collect());
    }
    let (first, last) = (single(from)?, single(to)?);
    let letters = (first..=last).step_by(step);
    (first <= last).then(|| letters.map(String::from).collect())
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars
        .next()
        .filter(|c| c.is_ascii_alphabetic() && chars.next().is_none())
}
