//! An app's place on the host: its user, its folders, and the folders for its sockets.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use thiserror::Error;

use super::shared;
use crate::activate::site;
use crate::command::{self, CommandError};
use crate::layout::{APPS, AppLayout, slot_name};
use crate::names;
use crate::operation::Trouble;
use crate::system_file::put;
use longshore_shared::wire::latest::Slot;

const ROOT: (u32, u32) = (0, 0);

/// Why an app has no place to live.
#[derive(Debug, Error)]
enum HomeError {
    #[error("the app's folders cannot be made")]
    Folders(#[source] io::Error),
    #[error("the app's user cannot be made")]
    User(#[source] CommandError),
    #[error("the user {0} was made and is not known")]
    Unknown(String),
    #[error("the folders of the app's sockets cannot be made")]
    Sockets(#[source] CommandError),
}

/// The app's user and group by number.
pub(crate) fn identity(layout: &AppLayout) -> Option<(u32, u32)> {
    names::user(&layout.user())
}

/// Makes what is not there yet. Said again, it changes nothing and calls no program.
pub(super) fn ensure(layout: &AppLayout) -> Result<(), Trouble> {
    make(layout).map_err(|error| {
        Trouble::because(&error, "mend it as root on this host, then deploy again")
    })
}

fn make(layout: &AppLayout) -> Result<(), HomeError> {
    folder(Path::new(APPS), ROOT.0, ROOT.1, 0o755).map_err(HomeError::Folders)?;
    for (path, mode) in [
        (layout.home().to_owned(), 0o755),
        (layout.releases(), 0o755),
        (layout.staging(), 0o700),
        (layout.layers(), 0o755),
        (layout.slots(), 0o755),
        (layout.app_mount(), 0o755),
    ] {
        folder(&path, ROOT.0, ROOT.1, mode).map_err(HomeError::Folders)?;
    }
    let (uid, gid) = user(layout)?;
    let owner = shared::owner(uid, gid);
    folder(&layout.shared(), owner.uid, owner.gid, owner.mode).map_err(HomeError::Folders)?;
    sockets(layout)
}

fn user(layout: &AppLayout) -> Result<(u32, u32), HomeError> {
    if let Some(known) = identity(layout) {
        return Ok(known);
    }
    let line = format!(
        "u {} - \"Longshore app {}\" /nonexistent /usr/sbin/nologin\n",
        layout.user(),
        layout.app
    );
    let file = layout.sysusers();
    put(&file, &line).map_err(HomeError::Folders)?;
    command::run("systemd-sysusers", &[&file]).map_err(HomeError::User)?;
    identity(layout).ok_or_else(|| HomeError::Unknown(layout.user()))
}

/// gunicorn makes its socket open to all, so the folder around it keeps strangers out: the app's
/// user writes there, nginx's group passes through.
fn sockets(layout: &AppLayout) -> Result<(), HomeError> {
    let mut lines = format!("d {} 0755 root root -\n", layout.run().display());
    let group = site::nginx_group();
    for slot in [Slot::Blue, Slot::Green] {
        let folder = layout.run().join(slot_name(slot));
        lines.push_str(&format!(
            "d {} 2710 {} {group} -\n",
            folder.display(),
            layout.user()
        ));
    }
    let there = layout.socket_folder(Slot::Green).is_dir();
    if put(&layout.tmpfiles(), &lines).map_err(HomeError::Folders)? || !there {
        let file = layout.tmpfiles();
        command::run("systemd-tmpfiles", &[Path::new("--create"), &file])
            .map_err(HomeError::Sockets)?;
    }
    Ok(())
}

/// Makes a folder as it should be. One that is there is put right: an agent that was stopped
/// between two of these calls left it half made.
fn folder(path: &Path, uid: u32, gid: u32, mode: u32) -> io::Result<()> {
    match fs_err::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let about = fs_err::symlink_metadata(path)?;
    if !about.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{} is not a folder", path.display()),
        ));
    }
    if about.uid() != uid || about.gid() != gid {
        chown(path, Some(uid), Some(gid))?;
    }
    if about.mode() & 0o7777 != mode {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
