//! Whether a disk has room for a release.

use std::io;
use std::path::Path;

/// What stays free on the disk beside the release.
const SPARE_BYTES: u64 = 64 << 20;
const SPARE_INODES: u64 = 1000;

/// Says what is too small for a release, in words, before anything is written.
pub(crate) fn room_problem(place: &Path, bytes: u64, entries: u64) -> io::Result<Option<String>> {
    let disk = rustix::fs::statvfs(place)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let wanted = bytes.saturating_add(SPARE_BYTES);
    if free < wanted {
        let (free, wanted) = (free >> 20, wanted >> 20);
        return Ok(Some(format!(
            "the disk has {free} MiB free, and the release takes {wanted} MiB"
        )));
    }
    // Some file systems make inodes as they go and report none at all.
    if disk.f_files > 0 && disk.f_favail < entries.saturating_add(SPARE_INODES) {
        let free = disk.f_favail;
        return Ok(Some(format!(
            "the disk has {free} inodes free, and the release takes {entries}"
        )));
    }
    Ok(None)
}
