//! Files of the system's configuration that the agent makes.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Writes a file of the system's configuration whole or not at all. Whether it changed.
pub(crate) fn put(path: &Path, content: impl AsRef<[u8]>) -> io::Result<bool> {
    let content = content.as_ref();
    if fs_err::read(path).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    put_with_mode(path, content, 0o644)?;
    Ok(true)
}

/// The same for a file that is not for everybody to read; it is written anew in any case.
pub(crate) fn put_with_mode(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    put_for_group(path, content, mode, None)
}

/// The same for a file that a group reads, which is its from the first moment on.
pub(crate) fn put_for_group(
    path: &Path,
    content: &[u8],
    mode: u32,
    group: Option<u32>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs_err::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".longshore-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    // The umask may have taken some of it away.
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))?;
    if group.is_some() {
        std::os::unix::fs::fchown(file.as_file(), None, group)?;
    }
    io::Write::write_all(&mut file, content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    crate::links::sync_folder(folder)
}
