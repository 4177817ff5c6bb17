//! Reaching into a folder that an app's user has had its hands on, as root, without ever being led
//! out of it: every part of a path is opened by itself, and no link is followed.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fchown, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

/// Whose a folder becomes that is not there yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

/// A place inside a folder: the folder right above it, held open, and its name there.
#[derive(Debug)]
pub(super) struct Place<'a> {
    above: OwnedFd,
    name: &'a str,
}

impl<'a> Place<'a> {
    /// Finds the place of `path` below `root`. Folders that lack are made for `owner`, or are an
    /// error where there is none.
    pub(super) fn find(root: &Path, path: &'a str, owner: Option<Owner>) -> io::Result<Self> {
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut above: OwnedFd = rustix::fs::open(root, FOLDER, Mode::empty())?;
        for part in parents.split('/').filter(|part| !part.is_empty()) {
            above = enter(&above, part, owner)?;
        }
        Ok(Self { above, name })
    }

    /// Makes the place itself a folder, where nothing is there.
    pub(super) fn make_folder(&self, owner: Owner) -> io::Result<()> {
        enter(&self.above, self.name, Some(owner)).map(drop)
    }

    /// Gives what is here another place.
    pub(super) fn rename_to(&self, to: &Place<'_>) -> io::Result<()> {
        Ok(rustix::fs::renameat(
            &self.above,
            self.name,
            &to.above,
            to.name,
        )?)
    }

    /// Makes a link here.
    pub(super) fn link_to(&self, target: &Path) -> io::Result<()> {
        crate::links::make_at(&self.above, self.name, target)
    }

    /// Takes away what is here: a file, a link, or an empty folder.
    pub(super) fn clear(&self) -> io::Result<()> {
        for flags in [AtFlags::empty(), AtFlags::REMOVEDIR] {
            match rustix::fs::unlinkat(&self.above, self.name, flags) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::ISDIR | Errno::PERM) if flags.is_empty() => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

fn enter(above: &OwnedFd, part: &str, owner: Option<Owner>) -> io::Result<OwnedFd> {
    let Some(owner) = owner else {
        return Ok(openat(above, part, FOLDER, Mode::empty())?);
    };
    let made = match mkdirat(above, part, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(errno.into()),
    };
    let folder = openat(above, part, FOLDER, Mode::empty())?;
    if made {
        fchown(
            &folder,
            Some(Uid::from_raw(owner.uid)),
            Some(Gid::from_raw(owner.gid)),
        )?;
        fchmod(&folder, Mode::from_raw_mode(owner.mode))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Owner {
        let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
        Owner {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            mode: 0o755,
        }
    }

    #[test]
    fn no_link_on_the_way_is_followed() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs_err::write(outside.path().join("shadow"), "secret").unwrap();
        crate::links::make_in_private(&inside.path().join("x"), outside.path()).unwrap();
        for owner in [None, Some(me())] {
            assert!(Place::find(inside.path(), "x/shadow", owner).is_err());
            assert!(Place::find(inside.path(), "x/deeper/shadow", owner).is_err());
        }
        let place = Place::find(inside.path(), "x", None).unwrap();
        assert!(place.make_folder(me()).is_err());
        assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn places_are_made_moved_linked_and_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &'static str| Place::find(folder.path(), path, Some(me())).unwrap();
        at("a/b/c").make_folder(me()).unwrap();
        at("a/b/c").rename_to(&at("d/e")).unwrap();
        assert!(folder.path().join("d/e").is_dir());
        at("d/e").clear().unwrap();
        at("d/e").clear().unwrap();
        at("d/e").link_to(Path::new("../a")).unwrap();
        assert!(folder.path().join("d/e/b").is_dir());
        assert!(
            at("a").clear().is_err(),
            "a folder with something in it was taken away"
        );
    }
}
