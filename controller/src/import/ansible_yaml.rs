//! An Ansible inventory in YAML.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, Yaml};

use super::ansible::{Inventory, spelled_out};
use super::{Hosts, ImportError};

/// Groups in groups, deeper than anybody writes them.
const DEEPEST: usize = 32;

pub(super) fn read(text: &str) -> Result<Hosts, ImportError> {
    let documents = Yaml::load_from_str(text).map_err(|error| ImportError::Yaml {
        line: error.marker().line(),
    })?;
    let shape = ImportError::Shape("Ansible inventory in YAML");
    let groups = documents.first().and_then(Yaml::as_mapping).ok_or(shape)?;
    let mut inventory = Inventory::default();
    for (name, group) in groups {
        group_of(
            &mut inventory,
            word(name).as_deref().unwrap_or_default(),
            group,
            0,
        );
    }
    Ok(inventory.into_hosts())
}

fn group_of(inventory: &mut Inventory, name: &str, group: &Yaml<'_>, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    let part = |key: &str| group.as_mapping_get(key).and_then(Yaml::as_mapping);
    for (host, variables) in part("hosts").into_iter().flatten() {
        let pattern = word(host).unwrap_or_default();
        let variables: BTreeMap<String, String> = variables
            .as_mapping()
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((word(key)?, word(value)?)))
            .collect();
        for host in spelled_out(&pattern).unwrap_or_else(|| vec![pattern.clone()]) {
            inventory.host(name, &host, variables.clone());
        }
    }
    for (key, value) in part("vars").into_iter().flatten() {
        if let (Some(key), Some(value)) = (word(key), word(value)) {
            inventory.variable(name, &key, &value);
        }
    }
    for (child, group) in part("children").into_iter().flatten() {
        let child = word(child).unwrap_or_default();
        inventory.child(name, &child);
        group_of(inventory, &child, group, depth + 1);
    }
}

fn word(value: &Yaml<'_>) -> Option<String> {
    let text = value.as_str().map(str::to_owned);
    text.or_else(|| value.as_integer().map(|number| number.to_string()))
}
