//! An Ansible inventory in INI.

use std::collections::BTreeMap;

use super::ansible::{Inventory, spelled_out};
use super::{Hosts, ImportError};

enum Section {
    Hosts(String),
    Children(String),
    Variables(String),
}

pub(super) fn read(text: &str) -> Result<Hosts, ImportError> {
    let mut inventory = Inventory::default();
    let mut section = Section::Hosts("ungrouped".to_owned());
    for (at, line) in text.lines().enumerate() {
        let wrong = |why| ImportError::Ini { line: at + 1, why };
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        if let Some(head) = line.strip_prefix('[') {
            let head = head
                .strip_suffix(']')
                .ok_or(wrong("a group ends with `]`"))?;
            section = match head.split_once(':') {
                None => Section::Hosts(head.to_owned()),
                Some((group, "children")) => Section::Children(group.to_owned()),
                Some((group, "vars")) => Section::Variables(group.to_owned()),
                Some(_) => return Err(wrong("a group is followed by `:children` or `:vars`")),
            };
            continue;
        }
        match &section {
            Section::Hosts(group) => {
                let mut words = words(line).into_iter();
                let pattern = words.next().unwrap_or_default();
                let variables: BTreeMap<String, String> = words
                    .filter_map(|word| {
                        let (key, value) = word.split_once('=')?;
                        Some((key.to_owned(), value.to_owned()))
                    })
                    .collect();
                let names =
                    spelled_out(&pattern).ok_or(wrong("its range cannot be spelled out"))?;
                for name in names {
                    inventory.host(group, &name, variables.clone());
                }
            }
            Section::Children(group) => inventory.child(group, line),
            Section::Variables(group) => {
                let (key, value) = line.split_once('=').ok_or(wrong("it is no `key=value`"))?;
                let value = value.trim().trim_matches(['"', '\'']);
                inventory.variable(group, key.trim(), value);
            }
        }
    }
    Ok(inventory.into_hosts())
}

fn without_comment(line: &str) -> &str {
    let line = if line.trim_start().starts_with(['#', ';']) {
        ""
    } else {
        line
    };
    line.split_once(" #").map_or(line, |(line, _)| line)
}

/// Words, of which a value may be quoted.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => {
                if words.last().is_some_and(|word| !word.is_empty()) {
                    words.push(String::new());
                }
            }
            (_, c) => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words
}
