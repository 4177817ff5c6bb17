//! What survives releases: links in the release to the app's `shared/`.
//!
//! `shared/` belongs to the app's user: root makes folders in it and never touches what is there.

use std::io;
use std::path::Path;

use longshore_shared::manifest::Manifest;

use super::inside::{Owner, Place};
use crate::activate::site;
use crate::layout::AppLayout;
use crate::names;
use crate::trash;

/// Makes the links of `[shared]` in the release at `folder`, which nobody else reaches yet.
pub(super) fn link(
    layout: &AppLayout,
    manifest: &Manifest,
    folder: &Path,
    (uid, gid): (u32, u32),
) -> io::Result<()> {
    let owner = owner(uid, gid);
    let shared = &manifest.app_file.shared;
    for dir in &shared.dirs {
        Place::find(&layout.shared(), dir.as_str(), Some(owner))?.make_folder(owner)?;
        place(layout, folder, dir.as_str(), owner)?;
    }
    for file in &shared.files {
        Place::find(&layout.shared(), file.as_str(), Some(owner))?;
        place(layout, folder, file.as_str(), owner)?;
    }
    Ok(())
}

/// What the app's user makes in `shared/` goes to nginx's group by the folder's own, and to nobody
/// else: nginx reads uploads, other apps do not.
pub(super) fn owner(uid: u32, gid: u32) -> Owner {
    let gid = names::group(&site::nginx_group()).unwrap_or(gid);
    Owner {
        uid,
        gid,
        mode: 0o2750,
    }
}

/// What the release itself has at this place gives way: the shared one is the one that lasts.
fn place(layout: &AppLayout, folder: &Path, path: &str, owner: Owner) -> io::Result<()> {
    let own = folder.join(path);
    if fs_err::symlink_metadata(&own).is_ok_and(|present| present.is_dir()) {
        trash::delete(&own)?;
    }
    let place = Place::find(
        folder,
        path,
        Some(Owner {
            mode: 0o755,
            ..owner
        }),
    )?;
    place.clear()?;
    place.link_to(&layout.shared().join(path))
}
