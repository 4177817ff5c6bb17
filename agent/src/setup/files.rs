//! Files and folders of the system that are Longshore's own, whole.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::pending::{self, Load};
use super::plan::{Planned, failed};
use crate::system_file;

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

/// Plans a folder of root's.
pub(super) fn plan_folder(planned: &mut Planned, path: &'static str, mode: u32) {
    let fits = fs_err::symlink_metadata(path).is_ok_and(|about| {
        about.is_dir() && (about.uid(), about.gid(), about.mode() & 0o7777) == (0, 0, mode)
    });
    if !fits {
        planned.change(format!("+ folder {path}"), move |_| {
            make_folder(Path::new(path), mode).map_err(failed)
        });
    }
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::create_dir_all(path)?;
    std::os::unix::fs::chown(path, Some(0), Some(0))?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
