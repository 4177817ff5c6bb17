//! Files and folders of the system that are Longshore's own, whole.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use longshore_shared::setup::SetupFailure;

use super::pending::{self, Load};
use super::plan::{Planned, failed};
use crate::system_file;

/// What stands at the top of all of them.
pub(super) const MADE: &str = "Made by longshore bootstrap: changes are overwritten.";

/// A file as it should be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
    /// What has to be loaded after it changed.
    pub(super) load: Option<Load>,
}

impl Wanted {
    pub(super) fn text(path: &str, content: impl Into<String>, load: Option<Load>) -> Self {
        Self {
            path: path.to_owned(),
            content: content.into().into_bytes(),
            mode: 0o644,
            load,
        }
    }

    /// `+` where it is not there, `~` where it differs, nothing where it is as it should be.
    pub(super) fn sign(&self) -> Option<char> {
        let path = Path::new(&self.path);
        let Ok(about) = fs_err::symlink_metadata(path) else {
            return Some('+');
        };
        let fits = about.is_file()
            && (about.uid(), about.gid(), about.mode() & 0o7777) == (0, 0, self.mode)
            && fs_err::read(path).is_ok_and(|content| content == self.content);
        (!fits).then_some('~')
    }

    pub(super) fn write(&self) -> io::Result<()> {
        if let Some(load) = self.load {
            pending::note(load)?;
        }
        system_file::put_with_mode(Path::new(&self.path), &self.content, self.mode).map(drop)
    }
}

/// Plans a file; `what` says what it is for.
pub(super) fn plan(planned: &mut Planned, wanted: Wanted, what: &str) {
    if let Some(sign) = wanted.sign() {
        let words = format!("{sign} {what} ({})", wanted.path);
        planned.change(words, move |_| wanted.write().map_err(failed));
    }
}

/// Plans that a file of ours is no longer there.
pub(super) fn plan_gone(planned: &mut Planned, path: &'static str, load: Option<Load>, what: &str) {
    if fs_err::symlink_metadata(path).is_ok() {
        planned.change(format!("- {what} ({path})"), move |_| {
            load.map_or(Ok(()), pending::note).map_err(failed)?;
            fs_err::remove_file(path).map_err(failed)
        });
    }
}

/// Plans a folder of root's. A link to one, such as to a volume of its own, is as good.
pub(super) fn plan_folder(planned: &mut Planned, path: &'static str, mode: u32) {
    if !is_folder(Path::new(path), mode) {
        planned.change(format!("+ folder {path}"), move |_| {
            make_folder(Path::new(path), mode)
        });
    }
}

fn is_folder(path: &Path, mode: u32) -> bool {
    fs_err::metadata(path).is_ok_and(|about| {
        about.is_dir() && (about.uid(), about.gid(), about.mode() & 0o7777) == (0, 0, mode)
    })
}

fn make_folder(path: &Path, mode: u32) -> Result<(), SetupFailure> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(failure) = leads_astray(path) {
        return Err(failure);
    }
    fs_err::create_dir_all(path).map_err(failed)?;
    fs_err::os::unix::fs::chown(path, Some(0), Some(0)).map_err(failed)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)
}

/// What is behind a link is made ours only where it is root's already.
fn leads_astray(path: &Path) -> Option<SetupFailure> {
    let is_link = fs_err::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    let is_roots = fs_err::metadata(path).is_ok_and(|about| about.is_dir() && about.uid() == 0);
    (is_link && !is_roots).then(|| SetupFailure {
        what: format!(
            "{} is a link, and not to a folder of root's",
            path.display()
        ),
        next: "let it lead to a folder that is root's, or remove it, then bootstrap again"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_to_a_folder_of_root_s_alone() {
        let there = tempfile::tempdir().unwrap();
        let link = |name: &str, target: &str| {
            let link = there.path().join(name);
            crate::links::make_in_private(&link, Path::new(target)).unwrap();
            link
        };
        let mode = fs_err::metadata("/usr").unwrap().mode() & 0o7777;
        assert!(is_folder(Path::new("/usr"), mode));
        assert!(is_folder(&link("volume", "/usr"), mode));
        assert!(leads_astray(&there.path().join("volume")).is_none());
        assert!(leads_astray(&there.path().join("nothing")).is_none());
        let gone = leads_astray(&link("gone", "/no/such/volume")).unwrap();
        assert!(gone.what.contains("gone is a link"));
        assert!(leads_astray(&link("file", "/etc/passwd")).is_some());
    }
}
