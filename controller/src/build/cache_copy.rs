//! Copies of files and folders that share nothing with what they were made from.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err as fs;

/// Copies a file, symlink or folder with modes and times, and follows no link.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return fs::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if kind.is_file() {
        fs::copy(from, to)?;
        return fs::File::open(to)?
            .file()
            .set_modified(metadata.modified()?);
    }
    if !kind.is_dir() {
        let words = format!(
            "{} is neither a file nor a folder nor a link",
            from.display()
        );
        return Err(io::Error::other(words));
    }
    fs::create_dir(to)?;
    for item in fs::read_dir(from)? {
        let item = item?;
        copy(&item.path(), &to.join(item.file_name()))?;
    }
    // A folder that nobody may write in could not be removed again.
    let mode = metadata.permissions().mode() | 0o700;
    fs::set_permissions(to, std::fs::Permissions::from_mode(mode))?;
    fs::File::open(to)?
        .file()
        .set_modified(metadata.modified()?)
}
