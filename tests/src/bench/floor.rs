//! The least that anybody could send who holds both releases: what `zstd --patch-from` makes of
//! their two plain tars.

use std::path::Path;
use std::process::Command;

use super::Error;
use super::payload::{SECOND, THIRD};
use super::product::{self, Releases};
use crate::process;

/// Bytes.
pub(super) fn measure(releases: &Releases, scratch: &Path, run: usize) -> Result<u64, Error> {
    let app = product::app_name(run);
    let (old, new) = (scratch.join("old.tar"), scratch.join("new.tar"));
    for (release, tar) in [(SECOND, &old), (THIRD, &new)] {
        let mut unpack = Command::new("sh");
        unpack.args(["-c", "gzip -dc \"$0\" > \"$1\""]);
        process::run(unpack.arg(releases.tarball(&app, release)).arg(tar))?;
    }
    let patch = scratch.join("patch.zst");
    let mut zstd = Command::new("zstd");
    zstd.args(["-3", "--quiet", "--force"]);
    zstd.arg(format!("--patch-from={}", old.display()));
    process::run(zstd.arg(&new).arg("-o").arg(&patch))?;
    Ok(fs_err::metadata(patch)?.len())
}
