//! The least that anybody could send who holds both releases: what `zstd --patch-from` makes of two
//! plain tars of them, in which nothing differs but the contents.

use std::path::Path;
use std::process::Command;

use super::Error;
use super::payload::{SECOND, THIRD};
use crate::process;

/// Bytes, from the folders that the baselines push.
pub(super) fn measure(folder: &Path) -> Result<u64, Error> {
    let tar = |version: &str| folder.join(format!("floor-{version}.tar"));
    for release in [SECOND, THIRD] {
        let mut pack = Command::new("tar");
        pack.args([
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
        ]);
        pack.arg("--file").arg(tar(release.version)).arg("--create");
        pack.arg("--directory")
            .arg(folder.join(release.version))
            .arg(".");
        process::run(&mut pack)?;
    }
    let patch = folder.join("floor.zst");
    let mut zstd = Command::new("zstd");
    zstd.args(["-3", "--quiet", "--force"]);
    zstd.arg(format!("--patch-from={}", tar(SECOND.version).display()));
    process::run(zstd.arg(tar(THIRD.version)).arg("-o").arg(&patch))?;
    Ok(fs_err::metadata(patch)?.len())
}
