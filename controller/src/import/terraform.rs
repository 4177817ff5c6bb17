//! What terraform knows: resources of three providers in a state or a plan, or outputs that hold
//! addresses. Everything else in such a file is passed over unread, for it holds secrets.

use std::collections::BTreeMap;

use serde_json::Value;

use super::reach::{Addresses, NO_ADDRESS};
use super::{Hosts, ImportError, outputs};

/// Addresses that are resources of their own, by the server that they are given to: the resource,
/// its word for the server, and its word for the address.
const GIVEN: [(&str, &str, &str); 3] = [
    ("aws_eip", "instance", "public_ip"),
    ("aws_eip_association", "instance_id", "public_ip"),
    ("scaleway_instance_ip", "server_id", "address"),
];

pub(super) fn read(value: &Value) -> Result<Hosts, ImportError> {
    let object = value.as_object();
    let object = object.ok_or(ImportError::Shape("terraform show or output"))?;
    let root = value
        .get("values")
        .or_else(|| value.get("planned_values"))
        .and_then(|values| values.get("root_module"));
    let Some(root) = root else {
        // A state with nothing in it has its version alone.
        return Ok(match object.contains_key("format_version") {
            true => Hosts::default(),
            false => outputs::read(object),
        });
    };
    let mut resources = Vec::new();
    modules(root, &mut resources);
    let given = resources.iter().filter_map(given).collect();
    let mut hosts = Hosts::default();
    for resource in &resources {
        server(resource, &given, &mut hosts);
    }
    Ok(hosts)
}

/// A resource with what of it may be read.
struct Resource<'a> {
    kind: &'a str,
    address: &'a str,
    values: &'a Value,
    sensitive: Option<&'a Value>,
}

impl<'a> Resource<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        let marks = self.sensitive.and_then(|marks| marks.get(key));
        match marks.is_some_and(is_marked) {
            true => None,
            false => self.values.get(key),
        }
    }

    fn word(&self, key: &str) -> Option<String> {
        word(self.get(key))
    }
}

/// Terraform marks a value, or parts of it, by `true` in the same place.
fn is_marked(marks: &Value) -> bool {
    match marks {
        Value::Bool(marked) => *marked,
        Value::Array(list) => list.iter().any(is_marked),
        Value::Object(map) => map.values().any(is_marked),
        _ => false,
    }
}

fn modules<'a>(module: &'a Value, resources: &mut Vec<Resource<'a>>) {
    for resource in list(module, "resources") {
        let text = |key: &str| resource.get(key).and_then(Value::as_str);
        if let (Some(kind), Some(values)) = (text("type"), resource.get("values"))
            && text("mode") != Some("data")
        {
            resources.push(Resource {
                kind,
                address: text("address").unwrap_or(kind),
                values,
                sensitive: resource.get("sensitive_values"),
            });
        }
    }
    for child in list(module, "child_modules") {
        modules(child, resources);
    }
}

fn given(resource: &Resource<'_>) -> Option<(String, String)> {
    let is_it = |(kind, ..): &&(&str, &str, &str)| *kind == resource.kind;
    let (_, server, address) = GIVEN.iter().find(is_it)?;
    Some((resource.word(server)?, resource.word(address)?))
}

fn server(resource: &Resource<'_>, given: &BTreeMap<String, String>, hosts: &mut Hosts) {
    let own: &[&str] = match resource.kind {
        "digitalocean_droplet" => &["ipv4_address", "ipv6_address", "ipv4_address_private"],
        "scaleway_instance_server" => &[
            "public_ips",
            "public_ip",
            "ipv6_address",
            "private_ip",
            "private_ips",
        ],
        "aws_instance" => &["public_ip", "ipv6_addresses", "public_dns", "private_ip"],
        other => {
            if is_server(other) {
                let why = format!("resources of type {other} are not known");
                hosts.skip(resource.address, why);
            }
            return;
        }
    };
    let (called, roles) = match resource.kind {
        "aws_instance" => {
            let tags = resource.get("tags");
            let called = word(tags.and_then(|tags| tags.get("Name")));
            (called.or_else(|| resource.word("id")), named_roles(tags))
        }
        _ => (resource.word("name"), strings(resource.get("tags"))),
    };
    let Some(called) = called else {
        hosts.skip(resource.address, "it has no name that may be shown");
        return;
    };
    let mut addresses = Addresses::default();
    // What was given to it goes before what it had when it was made.
    addresses.offer(resource.word("id").and_then(|id| given.get(&id).cloned()));
    for key in own {
        offer_all(resource.get(key), &mut addresses);
    }
    match addresses.host(called) {
        Some(mut found) => {
            found.roles = roles;
            hosts.found.push(found);
        }
        None => hosts.skip(resource.address, NO_ADDRESS),
    }
}

/// `"a"`, `["a"]` or `[{ "address": "a" }]`
pub(super) fn offer_all(value: Option<&Value>, addresses: &mut Addresses) {
    match value {
        Some(Value::Array(list)) => {
            for one in list {
                addresses.offer(word(one.get("address")).or_else(|| word(Some(one))));
            }
        }
        one => addresses.offer(word(one)),
    }
}

/// The roles in tags that have names of their own: `Role = "web, worker"`.
pub(super) fn named_roles(tags: Option<&Value>) -> Vec<String> {
    let tag = |key: &str| word(tags.and_then(|tags| tags.get(key)));
    let roles = ["Role", "role", "Roles", "roles"].into_iter().find_map(tag);
    let roles = roles.unwrap_or_default();
    let parts = roles.split([',', ' ']).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// What is surely a server and of a provider that is not known.
fn is_server(kind: &str) -> bool {
    let endings = [
        "_server",
        "_instance",
        "_droplet",
        "_virtual_machine",
        "_vm",
        "_linode",
    ];
    let other = ["db", "dns", "sql", "database", "rds", "redis", "cluster"];
    endings.iter().any(|ending| kind.ends_with(ending))
        && !other.iter().any(|part| kind.contains(part))
}

pub(super) fn word(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| word(Some(item))).collect()
}

pub(super) fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
