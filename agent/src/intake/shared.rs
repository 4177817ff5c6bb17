//! What survives releases: links in the release to the app's `shared/`.
//!
//! `shared/` belongs to the app's user, so root makes folders in it part by part, through handles
//! that follow no link, and never touches what is there already.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use longshore_shared::manifest::Manifest;
use rustix::fs::{Mode, OFlags, fchown, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use crate::layout::AppLayout;
use crate::links;

/// Makes the links of `[shared]` in the release at `folder`.
pub(super) fn link(
    layout: &AppLayout,
    manifest: &Manifest,
    folder: &Path,
    (uid, gid): (u32, u32),
) -> io::Result<()> {
    let shared = &manifest.app_file.shared;
    let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
    for dir in &shared.dirs {
        make_folders(&layout.shared(), dir.as_str(), owner)?;
        place(layout, folder, dir.as_str())?;
    }
    for file in &shared.files {
        if let Some((parent, _)) = file.as_str().rsplit_once('/') {
            make_folders(&layout.shared(), parent, owner)?;
        }
        place(layout, folder, file.as_str())?;
    }
    Ok(())
}

/// What the release itself has at this place gives way: the shared one is the one that lasts.
fn place(layout: &AppLayout, folder: &Path, path: &str) -> io::Result<()> {
    let place = folder.join(path);
    match fs_err::symlink_metadata(&place) {
        Ok(present) if present.is_dir() => fs_err::remove_dir_all(&place)?,
        Ok(_) => fs_err::remove_file(&place)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = place.parent() {
                fs_err::create_dir_all(parent)?;
            }
        }
        Err(error) => return Err(error),
    }
    links::make_in_private(&place, &layout.shared().join(path))
}

fn make_folders(shared: &Path, path: &str, (uid, gid): (Uid, Gid)) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut here: OwnedFd = rustix::fs::open(shared, flags, Mode::empty())?;
    for part in path.split('/') {
        let made = match mkdirat(&here, part, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(errno.into()),
        };
        here = openat(&here, part, flags, Mode::empty())?;
        if made {
            fchown(&here, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}
