//! An Ansible inventory in INI.

use super::ansible::{Inventory, Variables};
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
        let line = without_comment(line);
        if line.is_empty() {
            continue;
        }
        if line.starts_with('[') && !is_host(line) {
            section = section_of(line).ok_or(wrong(
                "a group is written [name], [name:children] or [name:vars]",
            ))?;
            if let Section::Hosts(name) | Section::Children(name) = &section {
                inventory.declare(name);
            }
            continue;
        }
        match &section {
            Section::Hosts(group) => {
                let (entry, variables) = host(line).ok_or(wrong("it is no host with key=value"))?;
                let known = inventory.hosts(group, &entry, &variables);
                known.ok_or(wrong("it is no name of hosts that can be spelled out"))?;
            }
            Section::Children(group) if is_name(line) => inventory.child(group, line),
            Section::Children(_) => return Err(wrong("it is no name of a group")),
            Section::Variables(group) => {
                let (key, value) = line.split_once('=').ok_or(wrong("it is no key=value"))?;
                let value = value.trim().trim_matches(['"', '\'']);
                inventory.variable(group, key.trim().to_owned(), Some(value.to_owned()));
            }
        }
    }
    Ok(inventory.into_hosts())
}

pub(super) fn is_section(line: &str) -> bool {
    section_of(without_comment(line)).is_some()
}

/// Whether it can be a host with variables, and nothing but that.
pub(super) fn is_host(line: &str) -> bool {
    host(without_comment(line)).is_some_and(|(entry, variables)| {
        let mut probe = Inventory::default();
        probe.hosts("", &entry, &variables).is_some()
    })
}

fn section_of(line: &str) -> Option<Section> {
    let head = line.strip_prefix('[')?.strip_suffix(']')?;
    let (group, kind) = match head.split_once(':') {
        Some((group, kind)) => (group, Some(kind)),
        None => (head, None),
    };
    if !is_name(group) {
        return None;
    }
    match kind {
        None => Some(Section::Hosts(group.to_owned())),
        Some("children") => Some(Section::Children(group.to_owned())),
        Some("vars") => Some(Section::Variables(group.to_owned())),
        Some(_) => None,
    }
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && text.chars().all(fits)
}

fn host(line: &str) -> Option<(String, Variables)> {
    let mut words = words(line)?.into_iter();
    let entry = words.next()?;
    let mut variables = Variables::new();
    for word in words {
        let (key, value) = word.split_once('=')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || !key.chars().all(plain) {
            return None;
        }
        variables.insert(key.to_owned(), Some(value.to_owned()));
    }
    Some((entry, variables))
}

/// The line up to a comment, which begins it or follows a blank outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') if before.is_whitespace() => return line[..at].trim(),
            (None, ';') if line[..at].trim().is_empty() => return "",
            _ => {}
        }
        before = c;
    }
    line.trim()
}

/// Words, of which a value may be quoted. A quote without an end is no word.
fn words(line: &str) -> Option<Vec<String>> {
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
    words.retain(|word| !word.is_empty());
    quote.is_none().then_some(words)
}
