//! The one place that makes symlinks: always at a temporary name, renamed over, and made durable.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Points `link` at `target` in one step: whoever looks sees the old one or the new one.
pub(crate) fn replace(link: &Path, target: &Path) -> io::Result<()> {
    let folder = folder_of(link);
    if fs_err::read_link(link).is_ok_and(|present| present == target) {
        // It may have been made by a run that was stopped before it was durable.
        return sync_folder(folder);
    }
    let mut fresh = link.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match fs_err::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    make_in_private(&fresh, target)?;
    fs_err::rename(&fresh, link)?;
    sync_folder(folder)
}

/// Makes a link in a folder that nobody else reaches yet, and that is made durable as a whole.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that makes symlinks"
)]
pub(crate) fn make_in_private(link: &Path, target: &Path) -> io::Result<()> {
    fs_err::os::unix::fs::symlink(target, link)
}

/// Makes a link with this name in a folder that is held open.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that makes symlinks"
)]
pub(crate) fn make_at(folder: &OwnedFd, name: &str, target: &Path) -> io::Result<()> {
    Ok(rustix::fs::symlinkat(target, folder, name)?)
}

/// Takes `link` away where it is there.
pub(crate) fn remove(link: &Path) -> io::Result<()> {
    match fs_err::remove_file(link) {
        Ok(()) => sync_folder(folder_of(link)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What `link` points at, if it is a link.
pub(crate) fn target(link: &Path) -> Option<PathBuf> {
    fs_err::read_link(link).ok()
}

/// The last part of what `link` points at, if it is a link.
pub(crate) fn names(link: &Path) -> Option<String> {
    let target = target(link)?;
    Some(target.file_name()?.to_str()?.to_owned())
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

fn folder_of(link: &Path) -> &Path {
    link.parent().unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_never_absent_while_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("current");
        replace(&link, Path::new("releases/1")).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for turn in 0..500 {
                    replace(&link, Path::new(["releases/1", "releases/2"][turn % 2])).unwrap();
                }
            });
            while !writer.is_finished() {
                assert!(names(&link).is_some());
            }
        });
        // What a kill between the two calls leaves behind does not stop the next one.
        fs_err::write(folder.path().join("current.new"), "left behind").unwrap();
        replace(&link, Path::new("releases/3")).unwrap();
        assert_eq!(names(&link).as_deref(), Some("3"));
    }
}
