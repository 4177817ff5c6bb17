//! Finds files that a command needs in this folder or one of its parents.

use std::path::{Path, PathBuf};

use thiserror::Error;

const INVENTORY_FILE: &str = "inventory.toml";

#[derive(Debug, Error, PartialEq, Eq)]
pub enum LocateError {
    #[error("no {INVENTORY_FILE} in {} or a folder above it", from.display())]
    NoInventory { from: PathBuf },
}

impl LocateError {
    pub fn hints(&self) -> Vec<String> {
        vec![
            "Name it with --inventory FILE or LONGSHORE_INVENTORY, or have one written: longshore init"
                .to_owned(),
        ]
    }
}

/// The inventory that was named, else the nearest one from `folder` upwards.
pub fn locate(named: Option<&Path>, folder: &Path) -> Result<PathBuf, LocateError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    find_upwards(folder, INVENTORY_FILE).ok_or_else(|| LocateError::NoInventory {
        from: folder.to_owned(),
    })
}

/// The file called `name` in `folder` or its nearest parent that has one.
pub fn find_upwards(folder: &Path, name: &str) -> Option<PathBuf> {
    folder
        .ancestors()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_inventory_upwards_is_found() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(root.path().join(INVENTORY_FILE), "").unwrap();
        assert_eq!(
            locate(None, &deep).unwrap(),
            root.path().join(INVENTORY_FILE)
        );
        let named = Path::new("/x/y.toml");
        assert_eq!(locate(Some(named), &deep).unwrap(), named);
    }
}
