//! An inventory that is being edited: what was read, and the one way to write what comes of it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use longshore_shared::name::EnvironmentName;

use super::{EditError, NewHost, TextError, add_host};
use crate::inventory::Inventory;
use crate::toml_file::SourceText;

/// An inventory as it was when it was opened; perhaps there was none.
#[derive(Debug)]
pub struct Draft {
    /// As the person calls it.
    path: PathBuf,
    /// Where it lies: a link stays a link.
    target: PathBuf,
    text: Option<String>,
}

impl Draft {
    pub fn open(path: &Path) -> Result<Self, EditError> {
        let file = |source| EditError::File {
            path: path.to_owned(),
            source,
        };
        let is_there = path.symlink_metadata().is_ok();
        let target = match std::fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there => path.to_owned(),
            found => found.map_err(file)?,
        };
        Ok(Draft {
            text: content(&target).map_err(file)?,
            path: path.to_owned(),
            target,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// What the text says, or would say.
    pub fn read(&self, text: &str) -> Result<Inventory, EditError> {
        let source = SourceText::from_text(&self.path, text);
        Ok(Inventory::from_source(&source)?)
    }

    /// The text with more hosts, which the inventory's own reader takes.
    pub fn with_hosts(
        &self,
        environment: &EnvironmentName,
        hosts: &[&NewHost],
    ) -> Result<String, EditError> {
        let mut text = self.text().to_owned();
        for host in hosts {
            text = add_host(&text, environment, host).map_err(|error| self.wrong(error))?;
        }
        self.read(&text)?;
        Ok(text)
    }

    pub(super) fn wrong(&self, source: TextError) -> EditError {
        EditError::Text {
            path: self.path.clone(),
            source,
        }
    }

    /// Writes the text, whole or not at all: only one that says something, and only over what was read.
    pub fn write(self, text: &str) -> Result<(), EditError> {
        self.read(text)?;
        if self.text.as_deref() == Some(text) {
            return Ok(());
        }
        let file = |source| EditError::File {
            path: self.path.clone(),
            source,
        };
        let fresh = self.fresh(text).map_err(file)?;
        let changed = || EditError::Changed {
            path: self.path.clone(),
        };
        if self.text.is_none() {
            return match fresh.persist_noclobber(&self.target) {
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(changed()),
                done => done.map(drop).map_err(|error| file(error.error)),
            };
        }
        if content(&self.target).map_err(file)? != self.text {
            return Err(changed());
        }
        let done = fresh.persist(&self.target);
        done.map(drop).map_err(|error| file(error.error))
    }

    /// The text beside its place, with the mode that the file has or would get.
    fn fresh(&self, text: &str) -> io::Result<tempfile::NamedTempFile> {
        let folder = match self.target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".inventory");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut fresh = builder.tempfile_in(folder)?;
        fresh.write_all(text.as_bytes())?;
        if self.text.is_some() {
            let permissions = std::fs::metadata(&self.target)?.permissions();
            fresh.as_file().set_permissions(permissions)?;
        }
        fresh.as_file().sync_all()?;
        Ok(fresh)
    }
}

fn content(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "# ours\n[environments.demo]\n";
    const NEXT: &str = "# ours\n[environments.demo]\n[environments.more]\n";

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.toml");
        (folder, path)
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let names = std::fs::read_dir(folder.path()).unwrap();
        let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = names
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_somebody_else_changed_is_not_written_over() {
        let (folder, path) = folder();
        std::fs::write(&path, FIRST).unwrap();
        let draft = Draft::open(&path).unwrap();
        std::fs::write(&path, "# theirs\n").unwrap();
        assert!(matches!(draft.write(NEXT), Err(EditError::Changed { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# theirs\n");
        std::fs::remove_file(&path).unwrap();
        let draft = Draft::open(&path).unwrap();
        std::fs::write(&path, "# theirs\n").unwrap();
        assert!(matches!(draft.write(NEXT), Err(EditError::Changed { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# theirs\n");
        assert_eq!(names(&folder), ["inventory.toml"]);
    }

    #[test]
    fn what_would_not_be_right_is_not_written() {
        let (folder, path) = folder();
        let draft = Draft::open(&path).unwrap();
        assert!(matches!(
            draft.write("[environment.demo]\n"),
            Err(EditError::Wrong(_))
        ));
        assert!(names(&folder).is_empty());
        std::fs::write(&path, FIRST).unwrap();
        let draft = Draft::open(&path).unwrap();
        assert!(draft.write("[environment.demo]\n").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), FIRST);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_the_mode_what_it_was() {
        use std::os::unix::fs::PermissionsExt as _;

        let (folder, link) = folder();
        let real = folder.path().join("real.toml");
        std::fs::write(&real, FIRST).unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real.toml", &link).unwrap();
        Draft::open(&link).unwrap().write(NEXT).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), NEXT);
        let mode = std::fs::metadata(&real).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(names(&folder), ["inventory.toml", "real.toml"]);
        // A link to nothing is somebody's mistake, and not for us to mend.
        std::fs::remove_file(&real).unwrap();
        assert!(matches!(Draft::open(&link), Err(EditError::File { .. })));
    }

    #[test]
    fn a_new_file_can_be_read_by_others_as_the_umask_has_it() {
        let (folder, path) = folder();
        Draft::open(&path).unwrap().write(FIRST).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), FIRST);
        assert_eq!(names(&folder), ["inventory.toml"]);
        let other = folder.path().join("other");
        std::fs::write(&other, "").unwrap();
        let permissions = |path: &Path| std::fs::metadata(path).unwrap().permissions();
        assert_eq!(permissions(&path), permissions(&other));
    }
}
