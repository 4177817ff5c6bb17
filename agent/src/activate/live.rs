//! What is live, told by the links alone, and the moving of those links.

use std::io;
use std::path::Path;

use longshore_shared::manifest::{LARGEST_MANIFEST, Manifest};
use longshore_shared::wire::latest::Slot;
use semver::Version;

use crate::layout::{AppLayout, ReleaseFiles, slot_name, slot_named};
use crate::links;

/// A slot and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) slot: Slot,
    pub(crate) version: Version,
}

/// What serves now; nothing before the first deployment.
pub(crate) fn live(layout: &AppLayout) -> Option<Live> {
    let slot = slot_named(&links::names(&layout.live())?)?;
    Some(Live {
        slot,
        version: in_slot(layout, slot)?,
    })
}

/// The release that a slot runs, or ran last.
pub(crate) fn in_slot(layout: &AppLayout, slot: Slot) -> Option<Version> {
    Version::parse(&links::names(&layout.slot(slot))?).ok()
}

/// Puts a release into a slot that nothing goes to.
pub(crate) fn fill(layout: &AppLayout, slot: Slot, version: &Version) -> io::Result<()> {
    let release = Path::new("../releases").join(version.to_string());
    links::replace(&layout.slot(slot), &release)?;
    links::replace(
        &layout.socket_link(slot),
        &Path::new(slot_name(slot)).join("sock"),
    )
}

/// Moves all traffic to `slot`: first the lasting truth, then what nginx connects through, then
/// what it reads static files from. Said again, it changes nothing.
pub(crate) fn go_live(layout: &AppLayout, slot: Slot, version: &Version) -> io::Result<()> {
    links::replace(&layout.live(), Path::new(slot_name(slot)))?;
    show(layout, slot, version)
}

/// The links that follow from `slots/live`.
pub(crate) fn show(layout: &AppLayout, slot: Slot, version: &Version) -> io::Result<()> {
    let socket = format!("{}.sock", slot_name(slot));
    links::replace(&layout.live_socket(), Path::new(&socket))?;
    links::replace(
        &layout.current(),
        &Path::new("releases").join(version.to_string()),
    )
}

/// Nothing serves any more, nor after the next boot.
pub(crate) fn forget(layout: &AppLayout) -> io::Result<()> {
    for link in [layout.live(), layout.live_socket(), layout.current()] {
        // A stop in the middle of its end may have taken the folder, too.
        if link.is_symlink() {
            links::remove(&link)?;
        }
    }
    Ok(())
}

/// The manifest that a kept release came with.
pub(crate) fn manifest(layout: &AppLayout, version: &Version) -> io::Result<Manifest> {
    let path = ReleaseFiles::of(&layout.release(version)).manifest();
    let bytes = fs_err::read(&path)?;
    if bytes.len() > LARGEST_MANIFEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Manifest::parse(&bytes).map_err(io::Error::other)
}
