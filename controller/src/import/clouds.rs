//! Lists of servers as the command lines of two providers print them.

use serde_json::Value;

use super::reach::{Addresses, NO_ADDRESS};
use super::terraform::{list, strings, word};
use super::{Hosts, ImportError};

/// `doctl compute droplet list -o json`
pub(super) fn doctl(value: &Value) -> Result<Hosts, ImportError> {
    servers(value, "list of droplets", |droplet, addresses| {
        let networks = droplet.get("networks").unwrap_or(&Value::Null);
        for one in list(networks, "v4").chain(list(networks, "v6")) {
            addresses.offer(word(one.get("ip_address")));
        }
    })
}

/// `scw instance server list -o json`
pub(super) fn scw(value: &Value) -> Result<Hosts, ImportError> {
    servers(value, "list of servers", |server, addresses| {
        let all = ["public_ip", "ipv6"].map(|key| server.get(key));
        for one in list(server, "public_ips").chain(all.into_iter().flatten()) {
            addresses.offer(word(one.get("address")).or_else(|| word(Some(one))));
        }
        addresses.offer(word(server.get("private_ip")));
    })
}

fn servers(
    value: &Value,
    what: &'static str,
    offer: impl Fn(&Value, &mut Addresses),
) -> Result<Hosts, ImportError> {
    let mut hosts = Hosts::default();
    if value.is_null() {
        return Ok(hosts);
    }
    for (at, server) in value
        .as_array()
        .ok_or(ImportError::Shape(what))?
        .iter()
        .enumerate()
    {
        let Some(name) = word(server.get("name")) else {
            hosts.skip(format!("server {} of the list", at + 1), "it has no name");
            continue;
        };
        let mut addresses = Addresses::default();
        offer(server, &mut addresses);
        match addresses.host(name.clone()) {
            Some(mut found) => {
                found.roles = strings(server.get("tags"));
                hosts.found.push(found);
            }
            None => hosts.skip(name, NO_ADDRESS),
        }
    }
    Ok(hosts)
}
