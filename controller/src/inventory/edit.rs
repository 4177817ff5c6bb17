//! Edits of `inventory.toml` that touch nothing but what they are about: comments, order and the
//! person's own way of writing stay.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use longshore_shared::name::{EnvironmentName, HostName};
use thiserror::Error;
use toml_edit::{DocumentMut, Item, Value};

use super::Inventory;
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
