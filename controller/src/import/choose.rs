//! Which of the hosts that were found are to be added, and what is to be said of the others. Nothing
//! that is in the inventory is ever changed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use longshore_shared::name::{EnvironmentName, HostName};

use super::{Found, Hosts, Remark};
use crate::inventory::{Address, NewHost, is_user, is_word};

/// The hosts of the inventory, of all environments.
pub(crate) type Known = BTreeMap<HostName, (EnvironmentName, Address)>;

/// A host to be added.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) host: NewHost,
    /// As it was called.
    pub(crate) from: String,
}

/// What an import comes to.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) added: Vec<Added>,
    /// Those that are there already, as they are.
    pub(crate) known: Vec<HostName>,
    pub(crate) unmapped: Vec<Remark>,
    /// What a person should know of those that are added.
    pub(crate) notes: Vec<Remark>,
}

pub(crate) fn choose(
    hosts: Hosts,
    roles: &[String],
    environment: &EnvironmentName,
    known: &Known,
) -> Chosen {
    let mut chosen = Chosen {
        unmapped: hosts.unmapped,
        ..Chosen::default()
    };
    let mut called: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for found in &hosts.found {
        let same = called.entry(short(&found.name)).or_default();
        if !same.contains(&found.name.as_str()) {
            same.push(&found.name);
        }
    }
    for found in &hosts.found {
        let alone = called
            .get(&short(&found.name))
            .is_none_or(|same| same.len() == 1);
        let name = if alone {
            short(&found.name)
        } else {
            plain(&found.name)
        };
        if let Err(why) = one(found, name, roles, environment, known, &mut chosen) {
            chosen.unmapped.push(Remark::new(&found.name, why));
        }
    }
    chosen.unmapped.sort();
    chosen.unmapped.dedup();
    chosen
}

fn one(
    found: &Found,
    name: String,
    roles: &[String],
    environment: &EnvironmentName,
    known: &Known,
    chosen: &mut Chosen,
) -> Result<(), String> {
    let name = HostName::new(name)
        .map_err(|_| "no host name can be made of it: a-z, 0-9 and `-`, beginning with a letter")?;
    // What is no address may be anything, so it is not shown.
    let address = address(found).ok_or("what it has for an address is none")?;
    if let Some((home, there)) = known.get(&name) {
        if home != environment {
            return Err(format!("{name} is in the environment {home} already"));
        }
        if !same_place(there, &address) {
            return Err(format!(
                "{name} is in the inventory with the address {there}, and here with {address}; change it there if it moved"
            ));
        }
        chosen.known.push(name);
        return Ok(());
    }
    if let Some((other, (home, _))) = known
        .iter()
        .find(|(_, (_, there))| same_place(there, &address))
    {
        return Err(format!(
            "{address} is in the inventory as {other} of {home}"
        ));
    }
    for Added { host, .. } in &chosen.added {
        match (host.name == name, same_place(&host.address, &address)) {
            (true, true) => return Ok(()),
            (true, false) => return Err(format!("there is another {name}, {}", host.address)),
            (false, true) => return Err(format!("{address} is {} here too", host.name)),
            (false, false) => {}
        }
    }
    let mut note = |why: &str| chosen.notes.push(Remark::new(name.as_str(), why));
    for own in &found.notes {
        note(own);
    }
    let user = match found.user.as_deref() {
        Some("root") => {
            note(
                "user root is left out: everybody comes as themselves, and bootstrap tries root by itself",
            );
            None
        }
        Some(user) if !is_user(user) => {
            note("its user is left out: it is no user name");
            None
        }
        user => user.map(str::to_owned),
    };
    let mut all: Vec<String> = Vec::new();
    for role in roles.iter().chain(&found.roles) {
        if !is_word(role) {
            let what = format!("tag or group {role}");
            let why = "it is no role: use a-z, 0-9, `-` and `_`";
            chosen.unmapped.push(Remark::new(what, why));
        } else if !all.contains(role) {
            all.push(role.clone());
        }
    }
    chosen.added.push(Added {
        host: NewHost {
            name,
            address,
            user,
            roles: all,
        },
        from: found.name.clone(),
    });
    Ok(())
}

fn address(found: &Found) -> Option<Address> {
    let address: Address = found.address.parse().ok()?;
    Some(match found.port {
        Some(port) if port != 22 => address.with_port(port),
        _ => address,
    })
}

fn same_place(one: &Address, other: &Address) -> bool {
    let host = |address: &Address| match address.host().parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => address.host().to_ascii_lowercase(),
    };
    host(one) == host(other) && one.port().unwrap_or(22) == other.port().unwrap_or(22)
}

/// `Web_01.example.com` becomes `web-01`: the rest is a domain.
fn short(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(_) => format!("host-{}", plain(text)),
        Err(_) => plain(text.split('.').next().unwrap_or_default()),
    }
}

fn plain(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, address: &str) -> Found {
        Found::new(name, address)
    }

    fn chosen(found: Vec<Found>, known: &[(&str, &str, &str)]) -> Chosen {
        let known = known.iter().map(|(name, environment, address)| {
            let environment = EnvironmentName::new(*environment).unwrap();
            let name = HostName::new(*name).unwrap();
            (name, (environment, address.parse().unwrap()))
        });
        let hosts = Hosts {
            found,
            unmapped: Vec::new(),
        };
        let demo = EnvironmentName::new("demo").unwrap();
        choose(hosts, &["app".to_owned()], &demo, &known.collect())
    }

    fn names(chosen: &Chosen) -> Vec<&str> {
        let added = chosen.added.iter();
        added.map(|added| added.host.name.as_str()).collect()
    }

    #[test]
    fn names_are_made_safe_and_short_where_that_tells_them_apart() {
        let chosen = chosen(
            vec![
                found("Web_01.example.com", "192.0.2.1"),
                found("192.0.2.7", "192.0.2.7"),
                found("db.a.example.com", "192.0.2.2"),
                found("db.b.example.com", "192.0.2.3"),
                found("01", "192.0.2.4"),
            ],
            &[],
        );
        let expected = [
            "web-01",
            "host-192-0-2-7",
            "db-a-example-com",
            "db-b-example-com",
        ];
        assert_eq!(names(&chosen), expected);
        assert_eq!(chosen.unmapped.len(), 1);
    }

    #[test]
    fn nothing_that_is_there_is_overwritten() {
        let chosen = chosen(
            vec![
                found("same", "192.0.2.1"),
                found("six", "2001:db8:0::1"),
                found("moved", "192.0.2.9"),
                found("elsewhere", "192.0.2.4"),
                found("new", "192.0.2.3"),
                found("new", "192.0.2.3"),
                found("new", "192.0.2.8"),
                found("new-too", "192.0.2.3"),
                found("renamed", "192.0.2.1"),
                found("odd", "-s3cret-"),
            ],
            &[
                ("same", "demo", "192.0.2.1:22"),
                ("six", "demo", "2001:db8::1"),
                ("moved", "demo", "192.0.2.2"),
                ("elsewhere", "other", "192.0.2.4"),
            ],
        );
        assert_eq!(names(&chosen), ["new"]);
        let known: Vec<&str> = chosen.known.iter().map(HostName::as_str).collect();
        assert_eq!(known, ["same", "six"]);
        let skipped: Vec<String> = chosen
            .unmapped
            .iter()
            .map(|one| format!("{}: {}", one.what, one.why))
            .collect();
        assert_eq!(
            skipped,
            [
                "elsewhere: elsewhere is in the environment other already",
                "moved: moved is in the inventory with the address 192.0.2.2, and here with 192.0.2.9; change it there if it moved",
                "new: there is another new, 192.0.2.3",
                "new-too: 192.0.2.3 is new here too",
                "odd: what it has for an address is none",
                "renamed: 192.0.2.1 is in the inventory as same of demo",
            ]
        );
    }

    #[test]
    fn users_and_roles_are_taken_where_they_are_right() {
        let mut one = found("one", "192.0.2.1");
        one.user = Some("root".to_owned());
        one.roles = ["web", "Env:Prod", "app", "web"]
            .map(str::to_owned)
            .to_vec();
        one.port = Some(22);
        let mut two = found("two", "192.0.2.2");
        two.user = Some("a b".to_owned());
        two.roles = vec!["x".repeat(65)];
        let mut three = found("three", "2001:db8::3");
        three.user = Some("ops".to_owned());
        three.port = Some(2222);
        let chosen = chosen(vec![one, two, three], &[]);
        let host = |at: usize| &chosen.added[at].host;
        assert_eq!(
            (host(0).user.as_deref(), host(1).user.as_deref()),
            (None, None)
        );
        assert_eq!(host(2).user.as_deref(), Some("ops"));
        assert_eq!(host(0).roles, ["app", "web"]);
        assert_eq!(host(0).address.to_string(), "192.0.2.1");
        assert_eq!(host(2).address.to_string(), "[2001:db8::3]:2222");
        let noted: Vec<&str> = chosen.notes.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(noted, ["one", "two"]);
        assert_eq!(chosen.unmapped.len(), 2, "{:?}", chosen.unmapped);
        assert_eq!(chosen.unmapped[0].what, "tag or group Env:Prod");
    }
}
