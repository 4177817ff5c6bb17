//! Edits of `inventory.toml` that touch nothing but what they are about: comments, order and the
//! person's own way of writing stay.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use longshore_shared::name::{EnvironmentName, HostName};
use thiserror::Error;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use super::{Address, Inventory};
use crate::toml_file::{SourceText, TomlFileError};

/// Why the inventory was left as it is.
#[derive(Debug, Error)]
pub enum EditError {
    #[error("{} cannot be read or written", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} has no table for the host {host}", path.display())]
    NoHost { path: PathBuf, host: HostName },
    #[error("the inventory would not be right afterwards")]
    Wrong(#[from] TomlFileError),
}

/// Pins the keys of hosts that had none.
pub fn pin_host_keys(
    path: &Path,
    environment: &EnvironmentName,
    keys: &[(HostName, String)],
) -> Result<(), EditError> {
    let file = |source: io::Error| EditError::File {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(file)?;
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error| file(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    for (host, key) in keys {
        pin(&mut document, environment, host, key).ok_or_else(|| EditError::NoHost {
            path: path.to_owned(),
            host: host.clone(),
        })?;
    }
    let text = document.to_string();
    let source = SourceText::from_text(path, text.clone());
    Inventory::from_source(&source)?;
    replace(path, &text).map_err(file)
}

/// A host to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    pub name: HostName,
    pub address: Address,
    pub user: Option<String>,
    pub roles: Vec<String>,
}

/// Adds hosts to an environment, which is made where it is not there; so is the file.
pub fn add_hosts(
    path: &Path,
    environment: &EnvironmentName,
    hosts: &[NewHost],
) -> Result<(), EditError> {
    let file = |source: io::Error| EditError::File {
        path: path.to_owned(),
        source,
    };
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::File::create_new(path).map_err(file)?;
            String::new()
        }
        read => read.map_err(file)?,
    };
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error| file(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    for host in hosts {
        add(&mut document, environment, host).ok_or_else(|| EditError::NoHost {
            path: path.to_owned(),
            host: host.name.clone(),
        })?;
    }
    let text = document.to_string();
    Inventory::from_source(&SourceText::from_text(path, text.clone()))?;
    replace(path, &text).map_err(file)
}

fn add(document: &mut DocumentMut, environment: &EnvironmentName, host: &NewHost) -> Option<()> {
    let implicit = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    let environments = document.entry("environments").or_insert_with(implicit);
    let environments = environments.as_table_like_mut()?;
    let own = environments
        .entry(environment.as_str())
        .or_insert_with(|| Item::Table(Table::new()))
        .as_table_like_mut()?;
    let hosts = own
        .entry("hosts")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let mut words: Vec<(&str, Value)> = vec![
        ("name", host.name.as_str().into()),
        ("address", host.address.to_string().into()),
    ];
    words.extend(host.user.as_deref().map(|user| ("user", user.into())));
    if !host.roles.is_empty() {
        words.push(("roles", Value::Array(host.roles.iter().collect())));
    }
    match hosts {
        Item::ArrayOfTables(tables) => {
            let table: Table = words
                .into_iter()
                .map(|(key, value)| (key, Item::Value(value)))
                .collect();
            tables.push(table);
        }
        Item::Value(Value::Array(tables)) => {
            tables.push(words.into_iter().collect::<InlineTable>())
        }
        _ => return None,
    }
    Some(())
}

fn pin(
    document: &mut DocumentMut,
    environment: &EnvironmentName,
    host: &HostName,
    key: &str,
) -> Option<()> {
    let hosts = document
        .get_mut("environments")?
        .get_mut(environment.as_str())?
        .get_mut("hosts")?;
    let is_it = |name: Option<&str>| name == Some(host.as_str());
    match hosts {
        Item::ArrayOfTables(tables) => {
            let name = |table: &toml_edit::Table| is_it(table.get("name").and_then(Item::as_str));
            let table = tables.iter_mut().find(|table| name(table))?;
            table.insert("host_key", toml_edit::value(key));
        }
        Item::Value(Value::Array(tables)) => {
            let tables = tables.iter_mut().filter_map(Value::as_inline_table_mut);
            let name =
                |table: &toml_edit::InlineTable| is_it(table.get("name").and_then(Value::as_str));
            let mut tables = tables;
            let table = tables.find(|table| name(table))?;
            table.insert("host_key", key.into());
        }
        _ => return None,
    }
    Some(())
}

/// Whole or not at all, with the mode that it had; a link stays a link.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs_err::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(text.as_bytes())?;
    fresh
        .as_file()
        .set_permissions(fs_err::metadata(&path)?.permissions())?;
    fresh.as_file().sync_all()?;
    fresh.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn pinned(text: &str, host: &str) -> Result<String, EditError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.toml");
        std::fs::write(&path, text).unwrap();
        let environment = EnvironmentName::new("demo").unwrap();
        let host = HostName::new(host).unwrap();
        pin_host_keys(&path, &environment, &[(host, KEY.to_owned())])?;
        Ok(std::fs::read_to_string(&path).unwrap())
    }

    #[test]
    fn a_key_is_pinned_and_nothing_else_is_touched() {
        let text = "# ours\n[environments.demo]   # the demo\n\n[[environments.demo.hosts]]\n\
                    name    = 'web-1'  # first\naddress = \"192.0.2.1\"\nroles = [ \"web\" , ]\n\n\
                    # second\n[[environments.demo.hosts]]\nname = \"web-2\"\naddress = \"192.0.2.2\"\n";
        let line = format!("host_key = \"{KEY}\"\n");
        for (host, after) in [
            ("web-1", "roles = [ \"web\" , ]\n"),
            ("web-2", "address = \"192.0.2.2\"\n"),
        ] {
            let expected = text.replace(after, &format!("{after}{line}"));
            assert_eq!(pinned(text, host).unwrap(), expected);
        }
        assert!(matches!(
            pinned(text, "web-3"),
            Err(EditError::NoHost { .. })
        ));
    }

    #[test]
    fn hosts_are_added_behind_the_others_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.toml");
        let environment = |name: &str| EnvironmentName::new(name).unwrap();
        let host = |name: &str, address: &str| NewHost {
            name: HostName::new(name).unwrap(),
            address: address.parse().unwrap(),
            user: None,
            roles: vec!["web".to_owned()],
        };
        add_hosts(&path, &environment("demo"), &[host("web-1", "192.0.2.1")]).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        let text = format!("# ours\n{first}   # the end\n\n[people]\n");
        std::fs::write(&path, &text).unwrap();
        add_hosts(
            &path,
            &environment("demo"),
            &[host("web-2", "[2001:db8::1]:2222")],
        )
        .unwrap();
        add_hosts(&path, &environment("other"), &[host("web-3", "192.0.2.3")]).unwrap();
        let last = std::fs::read_to_string(&path).unwrap();
        let added = last
            .lines()
            .filter(|line| !text.lines().any(|old| old == *line));
        assert_eq!(added.count(), 6, "{last}");
        assert!(
            last.starts_with("# ours\n") && last.contains("   # the end\n"),
            "{last}"
        );
        let read = Inventory::read(&path).unwrap();
        assert_eq!(read.environment("demo").unwrap().hosts.len(), 2);
        assert_eq!(read.environment("other").unwrap().hosts.len(), 1);
        // An address that is there already would make the inventory wrong: it stays as it is.
        assert!(add_hosts(&path, &environment("demo"), &[host("web-9", "192.0.2.3")]).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), last);
    }

    #[test]
    fn hosts_on_one_line_are_found_too() {
        let text =
            "[environments.demo]\nhosts = [{ name = \"web-1\", address = \"192.0.2.1\" }] # all\n";
        let found = pinned(text, "web-1").unwrap();
        assert!(
            found.contains(&format!("host_key = \"{KEY}\"")) && found.ends_with("# all\n"),
            "{found}"
        );
    }
}
