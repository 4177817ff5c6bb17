//! What both forms of an Ansible inventory have in common: groups of hosts, groups of groups, and
//! variables, the nearest of which counts.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Hosts};

type Variables = BTreeMap<String, String>;

/// Everybody is in it, so it says nothing.
const ALL: [&str; 2] = ["all", "ungrouped"];

/// An inventory as either form has it.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// In the order of the file.
    order: Vec<String>,
    hosts: BTreeMap<String, Variables>,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    hosts: BTreeSet<String>,
    children: BTreeSet<String>,
    variables: Variables,
}

impl Inventory {
    pub(super) fn host(&mut self, group: &str, name: &str, variables: Variables) {
        if !self.hosts.contains_key(name) {
            self.order.push(name.to_owned());
        }
        self.hosts
            .entry(name.to_owned())
            .or_default()
            .extend(variables);
        self.group(group).hosts.insert(name.to_owned());
    }

    pub(super) fn child(&mut self, group: &str, child: &str) {
        self.group(group).children.insert(child.to_owned());
        self.group(child);
    }

    pub(super) fn variable(&mut self, group: &str, key: &str, value: &str) {
        let variables = &mut self.group(group).variables;
        variables.insert(key.to_owned(), value.to_owned());
    }

    fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// The groups that a host is in, the nearest first.
    fn groups_of(&self, host: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        let direct = |group: &&Group| group.hosts.contains(host);
        for (name, _) in self.groups.iter().filter(|(_, group)| direct(group)) {
            found.push(name);
        }
        let mut at = 0;
        while let Some(inner) = found.get(at).copied() {
            for (name, group) in &self.groups {
                if group.children.contains(inner) && !found.contains(&name.as_str()) {
                    found.push(name);
                }
            }
            at += 1;
        }
        if self.groups.contains_key("all") && !found.contains(&"all") {
            found.push("all");
        }
        found
    }

    pub(super) fn into_hosts(self) -> Hosts {
        let mut hosts = Hosts::default();
        for name in &self.order {
            let groups = self.groups_of(name);
            let own = self.hosts.get(name);
            let variable = |names: &[&str]| {
                let of = |variables: &Variables| {
                    names.iter().find_map(|name| variables.get(*name).cloned())
                };
                let groups = groups.iter().filter_map(|group| self.groups.get(*group));
                let mut all = own.into_iter().chain(groups.map(|group| &group.variables));
                all.find_map(of)
            };
            if variable(&["ansible_connection"]).is_some_and(|how| how != "ssh") {
                hosts.skip(name.clone(), "it is not reached over SSH");
                continue;
            }
            let address = variable(&["ansible_host", "ansible_ssh_host"]);
            let mut found = Found::new(name.clone(), address.unwrap_or_else(|| name.clone()));
            let computed = |text: &String| text.contains("{{");
            if computed(&found.address) {
                hosts.skip(name.clone(), "its address is computed by Ansible");
                continue;
            }
            found.user =
                variable(&["ansible_user", "ansible_ssh_user"]).filter(|user| !computed(user));
            let port = variable(&["ansible_port", "ansible_ssh_port"]);
            found.port = port.and_then(|port| port.parse().ok());
            let named = groups.iter().filter(|group| !ALL.contains(group));
            found.roles = named.map(ToString::to_string).collect();
            hosts.found.push(found);
        }
        hosts
    }
}

/// `web[01:03].example.com` as Ansible spells it out.
pub(super) fn spelled_out(pattern: &str) -> Option<Vec<String>> {
    let Some((head, rest)) = pattern.split_once('[') else {
        return Some(vec![pattern.to_owned()]);
    };
    let (range, tail) = rest.split_once(']')?;
    let mut parts = range.split(':');
    let (from, to) = (parts.next()?, parts.next()?);
    let step: usize = parts.next().map_or(Some(1), |step| step.parse().ok())?;
    let middles: Vec<String> = match (from.parse::<u32>(), to.parse::<u32>()) {
        (Ok(first), Ok(last)) if last >= first && last - first < 1000 && step > 0 => {
            let width = if from.starts_with('0') { from.len() } else { 0 };
            let numbers = (first..=last).step_by(step);
            numbers.map(|number| format!("{number:0width$}")).collect()
        }
        (Err(_), Err(_)) => {
            let (first, last) = (single(from)?, single(to)?);
            (first..=last)
                .step_by(step.max(1))
                .map(String::from)
                .collect()
        }
        _ => return None,
    };
    let mut all = Vec::new();
    for middle in middles {
        all.extend(spelled_out(&format!("{head}{middle}{tail}"))?);
    }
    Some(all)
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars
        .next()
        .filter(|c| c.is_ascii_alphabetic() && chars.next().is_none())
}
