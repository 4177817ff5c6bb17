//! `terraform output -json`: lists and maps of addresses, or of objects that have one. An output may
//! hold anything, so only what is surely an address is taken, and no value is ever shown.

use serde_json::{Map, Value};

use super::reach::{Addresses, Kind, kind};
use super::terraform::{named_roles, offer_all, strings, word};
use super::{Found, Hosts};

/// Words for an address, of the resources of many providers.
const ADDRESSES: [&str; 16] = [
    "public_ip",
    "public_ips",
    "public_ipv4",
    "ipv4_address",
    "ipv4",
    "ip_address",
    "ip",
    "address",
    "ipv6_address",
    "ipv6_addresses",
    "ipv6",
    "public_dns",
    "fqdn",
    "private_ip",
    "private_ips",
    "ipv4_address_private",
];

/// Maps of lists of objects are as deep as it gets.
const DEEPEST: usize = 4;

pub(super) fn read(outputs: &Map<String, Value>) -> Hosts {
    let mut hosts = Hosts::default();
    for (name, output) in outputs {
        let called = format!("output {name}");
        if output.get("sensitive") == Some(&Value::Bool(true)) {
            hosts.skip(called, "it is sensitive");
            continue;
        }
        let mut own = Hosts::default();
        match output.get("value") {
            Some(Value::String(text)) => match kind(text) {
                Some(Kind::Name) => hosts.skip(
                    called.as_str(),
                    "a name alone may be anything: give a list, or an object with name and address",
                ),
                _ => bare(name, text, &mut own),
            },
            Some(value) => walk(name, value, DEEPEST, &mut own),
            None => {}
        }
        if own.found.is_empty() {
            if hosts.unmapped.last().is_none_or(|last| last.what != called) {
                hosts.skip(called, "it holds no addresses");
            }
            continue;
        }
        for skipped in &mut own.unmapped {
            skipped.what = format!("{called}: {}", skipped.what);
        }
        hosts.extend(own);
    }
    // A server that has a name in one output is often only an address in the list of another.
    hosts.found.sort_by_key(|found| found.numbered);
    // A list of private addresses often stands beside one of the same servers' public ones.
    if hosts.found.iter().any(|found| !found.private) {
        let (private, rest) = hosts.found.into_iter().partition(|found| found.private);
        hosts.found = rest;
        let private: Vec<Found> = private;
        for found in private {
            let why =
                "a private address where others are public: it may be one of the same servers";
            hosts.unmapped.push(super::Remark::new(found.name, why));
        }
    }
    hosts
}

fn walk(name: &str, value: &Value, deeper: usize, hosts: &mut Hosts) {
    match value {
        Value::String(text) => bare(name, text, hosts),
        Value::Array(list) if deeper > 0 => {
            for (index, item) in list.iter().enumerate() {
                let before = hosts.found.len();
                walk(&format!("{name}-{}", index + 1), item, deeper - 1, hosts);
                if let (Value::String(_), Some(found)) = (item, hosts.found.get_mut(before)) {
                    found.numbered = true;
                }
            }
        }
        Value::Object(map) => {
            let mut addresses = Addresses::default();
            for key in ADDRESSES {
                offer_all(map.get(key), &mut addresses);
            }
            if !addresses.are_none() {
                return server(name, value, addresses, hosts);
            }
            // What has a name is one thing, and its parts are no servers.
            let is_thing = ["name", "id"].iter().any(|key| map.contains_key(*key));
            if deeper == 0 || map.is_empty() || is_thing {
                return hosts.skip(name, "it holds no address");
            }
            for (key, item) in map {
                let before = hosts.found.len();
                walk(key, item, deeper - 1, hosts);
                // Lists in a map are groups, and have its keys for names.
                if item.is_array() {
                    let new = hosts.found.iter_mut().skip(before);
                    new.for_each(|found| found.roles.push(key.clone()));
                }
            }
        }
        _ => hosts.skip(name, "it is no address"),
    }
}

fn bare(name: &str, text: &str, hosts: &mut Hosts) {
    let mut addresses = Addresses::default();
    addresses.offer(Some(text.trim().to_owned()));
    match addresses.host(name.to_owned()) {
        Some(found) => hosts.found.push(found),
        None => hosts.skip(name, "it is no address"),
    }
}

fn server(name: &str, object: &Value, addresses: Addresses, hosts: &mut Hosts) {
    let tags = object.get("tags");
    let called = word(object.get("name"))
        .or_else(|| word(tags.and_then(|tags| tags.get("Name"))))
        .or_else(|| word(object.get("hostname")));
    if let Some(mut found) = addresses.host(called.unwrap_or_else(|| name.to_owned())) {
        found.user = word(object.get("user"));
        found.roles = strings(object.get("roles"));
        found.roles.extend(strings(tags));
        found.roles.extend(named_roles(tags));
        hosts.found.push(found);
    }
}
