//! An Ansible inventory in YAML.

use saphyr::{LoadableYamlNode as _, Yaml};

use super::ansible::{Inventory, Variables};
use super::{Hosts, ImportError};

/// Groups in groups, deeper than anybody writes them.
const DEEPEST: usize = 32;

pub(super) fn read(text: &str) -> Result<Hosts, ImportError> {
    let documents = Yaml::load_from_str(text).map_err(|error| ImportError::Yaml {
        line: error.marker().line(),
    })?;
    let shape = || ImportError::Shape("Ansible inventory in YAML");
    let [document] = documents.as_slice() else {
        return Err(shape());
    };
    let groups = document.as_mapping().ok_or_else(shape)?;
    let mut inventory = Inventory::default();
    for (name, group) in groups {
        let name = word(name).ok_or_else(shape)?;
        group_of(&mut inventory, &name, group, 0);
    }
    Ok(inventory.into_hosts())
}

fn group_of(inventory: &mut Inventory, name: &str, group: &Yaml<'_>, depth: usize) {
    let mut skip = |why: &str| inventory.rest.skip(format!("group {name}"), why);
    if depth > DEEPEST {
        return skip("it lies too deep in other groups");
    }
    let Some(parts) = group.as_mapping() else {
        return match group.is_null() {
            true => inventory.declare(name),
            false => skip("it is no group"),
        };
    };
    inventory.declare(name);
    for (key, part) in parts {
        let key = word(key).unwrap_or_default();
        let entries = match part.as_mapping() {
            Some(entries) if matches!(key.as_str(), "hosts" | "vars" | "children") => entries,
            None if part.is_null() => continue,
            _ => {
                let why = "it has a part that is no mapping under `hosts`, `vars` or `children`";
                inventory.rest.skip(format!("group {name}"), why);
                continue;
            }
        };
        for (inner, value) in entries {
            let Some(inner) = word(inner) else { continue };
            match key.as_str() {
                "hosts" => {
                    let variables = value.as_mapping().into_iter().flatten();
                    let variables: Variables = variables
                        .filter_map(|(key, value)| Some((word(key)?, word(value))))
                        .collect();
                    if inventory.hosts(name, &inner, &variables).is_none() {
                        let why = "it is no name of hosts that can be spelled out";
                        inventory.rest.skip(inner, why);
                    }
                }
                "vars" => inventory.variable(name, inner, word(value)),
                _ => {
                    inventory.child(name, &inner);
                    group_of(inventory, &inner, value, depth + 1);
                }
            }
        }
    }
}

fn word(value: &Yaml<'_>) -> Option<String> {
    let text = value.as_str().map(str::to_owned);
    text.or_else(|| value.as_integer().map(|number| number.to_string()))
}
