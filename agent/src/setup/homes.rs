//! Homes that belong to others, entered by root.
//!
//! Whoever owns a home could put a link in root's way, so every folder is opened without following
//! any, and what is in the way of a wanted name is moved aside in the folder that was opened.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use longshore_shared::setup::SetupFailure;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;

use super::accounts::{Account, Accounts};
use super::plan::AGAIN;

const SSH: &str = ".ssh";
const ASIDE: &str = "before-longshore";
const MOST_ASIDE: usize = 1000;
/// Whoever else may write somewhere decides what is there.
pub(super) const OTHERS_MAY_WRITE: u32 = 0o022;

/// Whose home, and where.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) home: PathBuf,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    pub(super) fn of(account: &Account) -> Self {
        Self {
            home: PathBuf::from(&account.home),
            uid: account.uid,
            gid: account.gid,
        }
    }

    /// An account that was made just now.
    pub(super) fn named(name: &str) -> Result<Self, SetupFailure> {
        let accounts = Accounts::read()?;
        accounts
            .get(name)
            .map(Self::of)
            .ok_or_else(|| SetupFailure {
                what: format!("the user {name} is not in /etc/passwd"),
                next: "look at /etc/passwd on the host, then bootstrap again".to_owned(),
            })
    }

    /// The same home with nothing in it that its account could change.
    pub(super) fn kept_by_root(self) -> Self {
        Self {
            home: self.home,
            uid: 0,
            gid: 0,
        }
    }

    pub(super) fn open_home(&self) -> io::Result<OwnedFd> {
        // What is there opens root's account, whoever else has it for a home.
        if self.uid != 0 && self.home == Path::new("/root") {
            return Err(io::Error::other("it is root's own"));
        }
        let home = open_folder(&self.home)?;
        if self.is_at_home(&home)? {
            return Ok(home);
        }
        Err(io::Error::other(
            "it belongs to somebody else, so sshd takes no keys from there",
        ))
    }

    /// Whether nobody else decides what is in that home.
    pub(super) fn is_at_home(&self, home: &OwnedFd) -> io::Result<bool> {
        let uid = rustix::fs::fstat(home)?.st_uid;
        Ok(uid == 0 || uid == self.uid)
    }

    /// The home, made where there is none.
    pub(super) fn make_home(&self) -> io::Result<OwnedFd> {
        match rustix::fs::mkdir(&self.home, Mode::from_raw_mode(0o700)) {
            Ok(()) => {
                let home = open_folder(&self.home)?;
                self.give(&home)?;
                Ok(home)
            }
            Err(Errno::EXIST) => self.open_home(),
            Err(error) => Err(error.into()),
        }
    }

    /// `.ssh`, if it is a folder of the owner's own.
    pub(super) fn open_ssh(&self, home: &OwnedFd) -> io::Result<Option<OwnedFd>> {
        match about(home, SSH)? {
            Some(about) if self.owns_folder(&about) => {}
            _ => return Ok(None),
        }
        let folder = open_at(home, SSH)?;
        let still = self.owns_folder(&rustix::fs::fstat(&folder)?);
        Ok(still.then_some(folder))
    }

    pub(super) fn has_ssh(&self, home: &OwnedFd) -> io::Result<bool> {
        Ok(about(home, SSH)?.is_some())
    }

    /// `.ssh`, made where it is not a folder of the owner's own: what else is there, a link or a
    /// folder of somebody else's, is moved aside and never given away.
    pub(super) fn make_ssh(&self, home: &OwnedFd, mode: u32) -> io::Result<OwnedFd> {
        for _ in 0..2 {
            match rustix::fs::mkdirat(home, SSH, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            match open_at(home, SSH) {
                Ok(folder) if self.may_have(&folder)? => {
                    self.give(&folder)?;
                    rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode))?;
                    return Ok(folder);
                }
                Ok(_) | Err(Errno::NOTDIR | Errno::LOOP) => move_aside(home, SSH)?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other(format!(
            "{SSH} there was replaced while it was made"
        )))
    }

    pub(super) fn move_ssh_aside(home: &OwnedFd) -> io::Result<()> {
        move_aside(home, SSH)
    }

    /// A folder of theirs, or an empty one that root has just made for them.
    fn may_have(&self, folder: &OwnedFd) -> io::Result<bool> {
        let about = rustix::fs::fstat(folder)?;
        if self.owns_folder(&about) {
            return Ok(true);
        }
        let roots = about.st_uid == rustix::process::geteuid().as_raw();
        Ok(roots && names(folder)?.is_empty())
    }

    fn owns_folder(&self, about: &Stat) -> bool {
        FileType::from_raw_mode(about.st_mode) == FileType::Directory && about.st_uid == self.uid
    }

    pub(super) fn give<F: std::os::fd::AsFd>(&self, file: F) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
    }

    pub(super) fn failed(&self, doing: &str, error: &io::Error) -> SetupFailure {
        let home = self.home.display();
        let next = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied => AGAIN.to_owned(),
            _ => format!(
                "look at it on the host (`ls -lad {home} {home}/{SSH}`): both have to be folders of user {}, not links; then bootstrap again",
                self.uid
            ),
        };
        SetupFailure {
            what: format!("cannot {doing} in {home}: {error}"),
            next,
        }
    }
}

pub(super) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER_FLAGS, Mode::empty())?)
}

const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn open_at(folder: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(folder, name, FOLDER_FLAGS, Mode::empty())
}

/// What a name in a folder is, links not followed.
pub(super) fn about(folder: &OwnedFd, name: &str) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(about) => Ok(Some(about)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All names in a folder.
pub(super) fn names(folder: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// Renames what is in the way, to a name that nothing has.
pub(super) fn move_aside(folder: &OwnedFd, name: &str) -> io::Result<()> {
    for number in 1..=MOST_ASIDE {
        let aside = match number {
            1 => format!("{name}.{ASIDE}"),
            more => format!("{name}.{ASIDE}-{more}"),
        };
        match rustix::fs::renameat_with(folder, name, folder, &aside, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            done => return Ok(done?),
        }
    }
    Err(io::Error::other(format!(
        "{name} is in the way, and so are {MOST_ASIDE} files {name}.{ASIDE}*: take them away"
    )))
}
