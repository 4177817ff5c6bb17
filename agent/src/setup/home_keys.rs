//! `authorized_keys`, written by root into homes that belong to others.
//!
//! Whoever owns a home could put a link in root's way, so every folder is opened without following
//! any, and the file is made in the folder that was opened.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use longshore_shared::setup::SetupFailure;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use super::accounts::{Account, Accounts};
use super::plan::failed;
use crate::names;

const FOLDER: &str = ".ssh";
const FILE: &str = "authorized_keys";
const HEAD: &str = "# Made by longshore bootstrap from the inventory: changes are overwritten.\n";
const LARGEST: u64 = 1024 * 1024;

/// Whose home, and where.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    home: PathBuf,
    uid: u32,
    gid: u32,
}

impl Owner {
    pub(super) fn of(name: &str, account: &Account) -> Self {
        let gid = names::user(name).map_or(account.uid, |(_, gid)| gid);
        Self {
            home: PathBuf::from(&account.home),
            uid: account.uid,
            gid,
        }
    }

    /// An account that was made just now.
    pub(super) fn named(name: &str) -> Result<Self, SetupFailure> {
        let (uid, gid) = names::user(name).ok_or_else(|| SetupFailure {
            what: format!("the user {name} was made and is not known"),
            next: "look at /etc/passwd on the host, then bootstrap again".to_owned(),
        })?;
        let accounts = Accounts::read();
        let home = accounts
            .get(name)
            .map(|account| PathBuf::from(&account.home));
        let home = home.unwrap_or_else(|| PathBuf::from(format!("/home/{name}")));
        Ok(Self { home, uid, gid })
    }

    /// A home with nothing in it that its owner could change.
    fn root(name: &str) -> Self {
        Self {
            home: PathBuf::from(format!("/home/{name}")),
            uid: 0,
            gid: 0,
        }
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }
}

fn content(keys: &[String]) -> String {
    let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
    format!("{HEAD}{lines}")
}

/// Whether exactly these keys open the account.
pub(super) fn fit(owner: &Owner, keys: &[String]) -> bool {
    read(owner).is_ok_and(|found| found.is_some_and(|found| found == content(keys)))
}

/// Whether any key does.
pub(super) fn any(owner: &Owner) -> bool {
    !matches!(read(owner), Ok(None))
}

pub(super) fn write(owner: &Owner, keys: &[String]) -> Result<(), SetupFailure> {
    put(owner, 0o700, 0o600, keys).map_err(failed)
}

/// The same for an account that must not change its own keys: root owns them, home included.
pub(super) fn write_of_root(name: &str, keys: &[String]) -> Result<(), SetupFailure> {
    let owner = Owner::root(name);
    let whole = || -> io::Result<()> {
        let home = open_folder(&owner.home)?;
        rustix::fs::fchown(&home, Some(Uid::ROOT), Some(Gid::ROOT))?;
        rustix::fs::fchmod(&home, Mode::from_raw_mode(0o755))?;
        put(&owner, 0o755, 0o644, keys)
    };
    whole().map_err(failed)
}

pub(super) fn fit_of_root(name: &str, keys: &[String]) -> bool {
    let owner = Owner::root(name);
    let roots = open_folder(&owner.home)
        .and_then(|home| Ok(rustix::fs::fstat(&home)?))
        .is_ok_and(|about| about.st_uid == 0);
    roots && fit(&owner, keys)
}

pub(super) fn remove(owner: &Owner) -> Result<(), SetupFailure> {
    let gone = || -> io::Result<()> {
        let folder = match open_at(&open_folder(&owner.home)?, FOLDER) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            folder => folder?,
        };
        match rustix::fs::unlinkat(&folder, FILE, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            done => Ok(done?),
        }
    };
    match gone() {
        // Without a home there are no keys in it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(failed),
    }
}

fn read(owner: &Owner) -> io::Result<Option<String>> {
    let found = || -> io::Result<String> {
        let folder = open_at(&open_folder(&owner.home)?, FOLDER)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, FILE, flags, Mode::empty())?;
        let about = rustix::fs::fstat(&file)?;
        if about.st_uid != owner.uid || about.st_mode & 0o022 != 0 {
            return Ok(String::new());
        }
        let mut text = String::new();
        std::fs::File::from(file)
            .take(LARGEST)
            .read_to_string(&mut text)?;
        Ok(text)
    };
    match found() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn put(owner: &Owner, folder_mode: u32, file_mode: u32, keys: &[String]) -> io::Result<()> {
    let home = open_folder(&owner.home)?;
    match rustix::fs::mkdirat(&home, FOLDER, Mode::from_raw_mode(folder_mode)) {
        Err(rustix::io::Errno::EXIST) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    let folder = open_at(&home, FOLDER)?;
    let (uid, gid) = (
        Some(Uid::from_raw(owner.uid)),
        Some(Gid::from_raw(owner.gid)),
    );
    rustix::fs::fchown(&folder, uid, gid)?;
    rustix::fs::fchmod(&folder, Mode::from_raw_mode(folder_mode))?;
    let fresh = format!("{FILE}.longshore");
    match rustix::fs::unlinkat(&folder, &fresh, AtFlags::empty()) {
        Err(rustix::io::Errno::NOENT) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, &fresh, flags, Mode::from_raw_mode(0o600))?;
    let mut file = std::fs::File::from(file);
    file.write_all(content(keys).as_bytes())?;
    rustix::fs::fchown(&file, uid, gid)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(file_mode))?;
    file.sync_all()?;
    rustix::fs::renameat(&folder, &fresh, &folder, FILE)?;
    Ok(rustix::fs::fsync(&folder)?)
}

fn open_folder(path: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn open_at(folder: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(home: &std::path::Path) -> Owner {
        Owner {
            home: home.to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    #[test]
    fn keys_are_those_that_were_written_and_a_link_leads_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let owner = owner(home.path());
        let keys = ["ssh-ed25519 AAAA one".to_owned()];
        assert!(!any(&owner) && !fit(&owner, &keys));
        write(&owner, &keys).unwrap();
        assert!(any(&owner) && fit(&owner, &keys) && !fit(&owner, &[]));
        let file = home.path().join(".ssh/authorized_keys");
        std::fs::write(&file, "ssh-ed25519 BBBB another\n").unwrap();
        assert!(!fit(&owner, &keys));
        remove(&owner).unwrap();
        assert!(!any(&owner));

        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::remove_dir(home.path().join(".ssh")).unwrap();
        crate::links::make_in_private(&home.path().join(".ssh"), elsewhere.path()).unwrap();
        assert!(write(&owner, &keys).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
