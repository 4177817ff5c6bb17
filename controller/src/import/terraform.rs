//! What terraform knows: resources of three providers in a state or a plan, or outputs that hold
//! addresses. Everything else in such a file is passed over unread, for it holds secrets.

use serde_json::Value;

use super::{Found, Hosts, ImportError};

pub(super) fn read(value: &Value) -> Result<Hosts, ImportError> {
    let mut hosts = Hosts::default();
    let root = value
        .get("values")
        .or_else(|| value.get("planned_values"))
        .and_then(|values| values.get("root_module"));
    match (root, value.as_object()) {
        (Some(module), _) => modules(module, &mut hosts),
        (None, Some(_)) if value.get("format_version").is_some() => {}
        (None, Some(outputs)) => {
            for (name, output) in outputs {
                match output.get("sensitive") {
                    Some(Value::Bool(true)) => {
                        hosts.skip(format!("output {name}"), "it is sensitive")
                    }
                    _ => output_of(name, output.get("value"), &mut hosts),
                }
            }
        }
        (None, None) => return Err(ImportError::Shape("terraform show or output")),
    }
    Ok(hosts)
}

fn modules(module: &Value, hosts: &mut Hosts) {
    for resource in list(module, "resources") {
        if resource.get("mode").and_then(Value::as_str) != Some("data") {
            resource_of(resource, hosts);
        }
    }
    for child in list(module, "child_modules") {
        modules(child, hosts);
    }
}

fn resource_of(resource: &Value, hosts: &mut Hosts) {
    let text = |key: &str| {
        resource
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (kind, called) = (text("type"), text("address"));
    let Some(values) = resource.get("values") else {
        return;
    };
    let value = |key: &str| word(values.get(key));
    let first_of = |key: &str, inner: &str| {
        let first = values.get(key)?.as_array()?.first()?;
        word(first.get(inner))
    };
    let (name, address, tags) = match kind {
        "digitalocean_droplet" => (
            value("name"),
            value("ipv4_address").or_else(|| value("ipv6_address")),
            strings(values.get("tags")),
        ),
        "scaleway_instance_server" => (
            value("name"),
            value("public_ip").or_else(|| first_of("public_ips", "address")),
            strings(values.get("tags")),
        ),
        "aws_instance" => {
            let tags = values.get("tags").and_then(Value::as_object);
            let tag = |key: &str| tags.and_then(|tags| word(tags.get(key)));
            let roles = ["Role", "role", "Roles", "roles"].into_iter().find_map(tag);
            let roles = roles.map(|roles| roles.split([',', ' ']).map(str::to_owned).collect());
            (
                tag("Name").or_else(|| value("id")),
                value("public_ip").or_else(|| value("public_dns")),
                roles.unwrap_or_default(),
            )
        }
        other if is_server(other) => {
            hosts.skip(called, format!("resources of type {other} are not known"));
            return;
        }
        _ => return,
    };
    match (name, address) {
        (Some(name), Some(address)) => {
            let mut found = Found::new(name, address);
            found.roles = tags;
            hosts.found.push(found);
        }
        (_, None) => hosts.skip(called, "it has no public address yet"),
        (None, _) => hosts.skip(called, "it has no name"),
    }
}

/// What is surely a server and of a provider that is not known.
fn is_server(kind: &str) -> bool {
    [
        "_server",
        "_instance",
        "_droplet",
        "_virtual_machine",
        "_vm",
        "_linode",
    ]
    .iter()
    .any(|ending| kind.ends_with(ending))
        && !kind.contains("db")
        && !kind.contains("dns")
}

/// `{"web-1": "192.0.2.1"}`, `["192.0.2.1"]`, `"192.0.2.1"`, or objects with a name and an address.
fn output_of(output: &str, value: Option<&Value>, hosts: &mut Hosts) {
    let number = |index: usize| format!("{output}-{}", index + 1);
    match value {
        Some(Value::String(address)) => one(output, output, address, hosts),
        Some(Value::Array(list)) => {
            for (index, item) in list.iter().enumerate() {
                match item {
                    Value::String(address) => one(output, &number(index), address, hosts),
                    object => object_of(output, &number(index), object, hosts),
                }
            }
        }
        Some(Value::Object(map)) if address_of(map.get("address").or(map.get("ip"))).is_some() => {
            object_of(output, output, &Value::Object(map.clone()), hosts);
        }
        Some(Value::Object(map)) => {
            for (name, item) in map {
                match item {
                    Value::String(address) => one(output, name, address, hosts),
                    object => object_of(output, name, object, hosts),
                }
            }
        }
        _ => hosts.skip(format!("output {output}"), "it holds no addresses"),
    }
}

fn one(output: &str, name: &str, address: &str, hosts: &mut Hosts) {
    match address_of(Some(&Value::String(address.to_owned()))) {
        Some(address) => hosts.found.push(Found::new(name, address)),
        None => hosts.skip(format!("output {output}: {name}"), "it is no address"),
    }
}

fn object_of(output: &str, name: &str, object: &Value, hosts: &mut Hosts) {
    let keys = [
        "address",
        "ip",
        "public_ip",
        "ipv4_address",
        "ip_address",
        "ipv4",
    ];
    let address = keys.iter().find_map(|key| address_of(object.get(key)));
    match address {
        Some(address) => {
            let named = word(object.get("name"));
            let mut found = Found::new(named.unwrap_or_else(|| name.to_owned()), address);
            found.user = word(object.get("user"));
            found.roles = strings(object.get("roles").or(object.get("tags")));
            hosts.found.push(found);
        }
        None => hosts.skip(format!("output {output}: {name}"), "it holds no address"),
    }
}

/// A text that is surely an address and no secret.
fn address_of(value: Option<&Value>) -> Option<String> {
    let text = word(value)?;
    let is_name = text.contains('.')
        && text.len() < 254
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    (text.parse::<std::net::IpAddr>().is_ok() || is_name).then_some(text)
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
