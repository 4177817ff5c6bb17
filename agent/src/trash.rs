//! Deleting whole folders. An app may have nested folders without end, so this is left to `rm`,
//! which needs no stack and no handle for each level.

use std::io;
use std::path::Path;

use crate::command;

/// Deletes `path` and all below it. Nothing there is fine.
pub(crate) fn delete(path: &Path) -> io::Result<()> {
    let words = [
        Path::new("-rf"),
        Path::new("--one-file-system"),
        Path::new("--"),
        path,
    ];
    command::run("rm", &words)
        .map(drop)
        .map_err(io::Error::other)
}
