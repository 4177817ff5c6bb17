//! Lists of servers as the command lines of two providers print them.

use std::net::IpAddr;

use serde_json::Value;

use super::terraform::{list, strings, word};
use super::{Found, Hosts, ImportError};

/// `doctl compute droplet list -o json`
pub(super) fn doctl(value: &Value) -> Result<Hosts, ImportError> {
    let servers = value
        .as_array()
        .ok_or(ImportError::Shape("list of droplets"))?;
    let mut hosts = Hosts::default();
    for server in servers {
        let Some(name) = word(server.get("name")) else {
            hosts.skip("a droplet", "it has no name");
            continue;
        };
        let networks = server.get("networks").unwrap_or(&Value::Null);
        let of = |family: &str, kind: &str| {
            let mut all = list(networks, family);
            let one = all.find(|one| word(one.get("type")).as_deref() == Some(kind))?;
            word(one.get("ip_address"))
        };
        match of("v4", "public").or_else(|| of("v6", "public")) {
            Some(address) => {
                let mut found = Found::new(name, address);
                found.roles = strings(server.get("tags"));
                hosts.found.push(found);
            }
            None => hosts.skip(name, "it has no public address"),
        }
    }
    Ok(hosts)
}

/// `scw instance server list -o json`
pub(super) fn scw(value: &Value) -> Result<Hosts, ImportError> {
    let servers = value
        .as_array()
        .ok_or(ImportError::Shape("list of servers"))?;
    let mut hosts = Hosts::default();
    for server in servers {
        let Some(name) = word(server.get("name")) else {
            hosts.skip("a server", "it has no name");
            continue;
        };
        let mut addresses: Vec<String> = list(server, "public_ips")
            .chain(server.get("public_ip"))
            .filter_map(|one| word(one.get("address")).or_else(|| word(Some(one))))
            .collect();
        addresses.sort_by_key(|one| !matches!(one.parse(), Ok(IpAddr::V4(_))));
        match addresses.into_iter().next() {
            Some(address) => {
                let mut found = Found::new(name, address);
                found.roles = strings(server.get("tags"));
                hosts.found.push(found);
            }
            None => hosts.skip(name, "it has no public address"),
        }
    }
    Ok(hosts)
}
