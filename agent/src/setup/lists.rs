//! What `setup` remembers of people from one run to the next: one of them in each line.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use longshore_shared::setup::SetupFailure;

use super::plan::failed;
use crate::system_file;

/// Nobody where there is no list yet. One that cannot be read is no empty one.
pub(super) fn read(path: &str) -> Result<BTreeSet<String>, SetupFailure> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(failed(error)),
    }
}

pub(super) fn write(path: &str, lines: &BTreeSet<String>) -> Result<(), SetupFailure> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    system_file::put(Path::new(path), text)
        .map(drop)
        .map_err(failed)
}

pub(super) fn add(path: &str, name: &str) -> Result<(), SetupFailure> {
    let mut all = read(path)?;
    all.insert(name.to_owned());
    write(path, &all)
}

pub(super) fn forget(path: &str, name: &str) -> Result<(), SetupFailure> {
    let mut all = read(path)?;
    if all.remove(name) {
        write(path, &all)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_kept_and_one_that_cannot_be_read_is_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/people").display().to_string();
        assert!(read(&path).unwrap().is_empty());
        forget(&path, "ops1").unwrap();
        add(&path, "ops2").unwrap();
        add(&path, "ops1").unwrap();
        add(&path, "ops1").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ops1\nops2\n");
        forget(&path, "ops2").unwrap();
        assert_eq!(read(&path).unwrap(), ["ops1".to_owned()].into());
        assert!(read(&folder.path().display().to_string()).is_err());
    }
}
