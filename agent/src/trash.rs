//! Deleting whole folders. An app may have nested folders without end, so this is left to `rm`,
//! which needs no stack and no handle for each level.

use std::io;
use std::path::Path;

use crate::command;
use crate::journal;

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

/// Deletes what is of no use any more. What cannot be removed now is removed at the agent's next start.
pub(crate) fn delete_or_say(path: &Path) {
    if let Err(error) = delete(path) {
        journal::say(&format!("left behind for now: {error}"));
    }
}
