//! `authorized_keys`, written by root into homes that belong to others.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use longshore_shared::setup::SetupFailure;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::homes::{self, OTHERS_MAY_WRITE, Owner};

const FILE: &str = "authorized_keys";
/// sshd reads it too, if nobody tells it otherwise.
const SECOND: &str = "authorized_keys2";
const FRESH: &str = "authorized_keys.longshore";
const HEAD: &str = "# Made by longshore bootstrap from the inventory: changes are overwritten.\n";
const LARGEST: u64 = 1024 * 1024;

fn content(keys: &[String]) -> String {
    let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
    format!("{HEAD}{lines}")
}

/// Whether exactly these keys open the account.
pub(super) fn fit(owner: &Owner, keys: &[String]) -> bool {
    let fits = || -> io::Result<bool> {
        let Some(folder) = owner.open_ssh(&owner.open_home()?)? else {
            return Ok(false);
        };
        let safe = rustix::fs::fstat(&folder)?.st_mode & OTHERS_MAY_WRITE == 0;
        Ok(safe && !has_second(&folder)? && read(owner, &folder)? == content(keys).as_bytes())
    };
    fits().unwrap_or(false)
}

/// Whether any key might. Where that cannot be seen, one might; in a home that was handed on to
/// somebody else, sshd takes none.
pub(super) fn any(owner: &Owner) -> bool {
    let any = || -> io::Result<bool> {
        let home = homes::open_folder(&owner.home)?;
        if !owner.is_at_home(&home)? {
            return Ok(false);
        }
        match owner.open_ssh(&home)? {
            Some(folder) => Ok(homes::about(&folder, FILE)?.is_some() || has_second(&folder)?),
            None => owner.has_ssh(&home),
        }
    };
    match any() {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        Ok(any) => any,
    }
}

pub(super) fn write(owner: &Owner, keys: &[String]) -> Result<(), SetupFailure> {
    let put = || -> io::Result<()> {
        let folder = owner.make_ssh(&owner.make_home()?, 0o700)?;
        put(owner, &folder, 0o600, keys)
    };
    put().map_err(|error| owner.failed("write the keys", &error))
}

/// The same for an account that must not change its own keys: root owns them, home included, and
/// nothing else is beside them that sshd would heed.
pub(super) fn write_of_root(owner: &Owner, keys: &[String]) -> Result<(), SetupFailure> {
    let put = || -> io::Result<()> {
        let home = match homes::open_folder(&owner.home) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => owner.make_home()?,
            home => home?,
        };
        owner.give(&home)?;
        rustix::fs::fchmod(&home, Mode::from_raw_mode(0o755))?;
        if !holds_keys_alone(owner, &home)? && owner.has_ssh(&home)? {
            Owner::move_ssh_aside(&home)?;
        }
        let folder = owner.make_ssh(&home, 0o755)?;
        put(owner, &folder, 0o644, keys)
    };
    put().map_err(|error| owner.failed("write the keys", &error))
}

pub(super) fn fit_of_root(owner: &Owner, keys: &[String]) -> bool {
    let roots = || -> io::Result<bool> {
        let home = owner.open_home()?;
        let about = rustix::fs::fstat(&home)?;
        let safe = about.st_uid == owner.uid && about.st_mode & OTHERS_MAY_WRITE == 0;
        Ok(safe && holds_keys_alone(owner, &home)?)
    };
    roots().unwrap_or(false) && fit(owner, keys)
}

pub(super) fn remove(owner: &Owner) -> Result<(), SetupFailure> {
    let gone = || -> io::Result<()> {
        let home = match owner.open_home() {
            // Without a home there are no keys in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            home => home?,
        };
        match owner.open_ssh(&home)? {
            Some(folder) => {
                clear(&folder, FILE)?;
                remove_second(&folder)?;
                Ok(rustix::fs::fsync(&folder)?)
            }
            None if owner.has_ssh(&home)? => Owner::move_ssh_aside(&home),
            None => Ok(()),
        }
    };
    gone().map_err(|error| owner.failed("remove the keys", &error))
}

/// Nothing where it is not a plain file that the owner alone may write.
fn read(owner: &Owner, folder: &OwnedFd) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, FILE, flags, Mode::empty())?;
    let about = rustix::fs::fstat(&file)?;
    let plain = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
    let mut bytes = Vec::new();
    if plain && about.st_uid == owner.uid && about.st_mode & OTHERS_MAY_WRITE == 0 {
        File::from(file).take(LARGEST).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn put(owner: &Owner, folder: &OwnedFd, mode: u32, keys: &[String]) -> io::Result<()> {
    clear(folder, FRESH)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, FRESH, flags, Mode::from_raw_mode(0o600))?;
    let mut file = File::from(file);
    file.write_all(content(keys).as_bytes())?;
    owner.give(&file)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    file.sync_all()?;
    let in_the_way = homes::about(folder, FILE)?
        .is_some_and(|about| FileType::from_raw_mode(about.st_mode) != FileType::RegularFile);
    if in_the_way {
        homes::move_aside(folder, FILE)?;
    }
    rustix::fs::renameat(folder, FRESH, folder, FILE)?;
    remove_second(folder)?;
    Ok(rustix::fs::fsync(folder)?)
}

/// Takes a name away: a file for good, a folder out of the way.
fn clear(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => homes::move_aside(folder, name),
        Err(error) => Err(error.into()),
    }
}

/// A folder of that name is nothing to sshd.
fn has_second(folder: &OwnedFd) -> io::Result<bool> {
    let about = homes::about(folder, SECOND)?;
    Ok(about.is_some_and(|about| FileType::from_raw_mode(about.st_mode) != FileType::Directory))
}

fn remove_second(folder: &OwnedFd) -> io::Result<()> {
    if has_second(folder)? {
        clear(folder, SECOND)?;
    }
    Ok(())
}

fn holds_keys_alone(owner: &Owner, home: &OwnedFd) -> io::Result<bool> {
    let Some(folder) = owner.open_ssh(home)? else {
        return Ok(false);
    };
    let names = homes::names(&folder)?;
    Ok(names
        .iter()
        .all(|name| name == FILE.as_bytes() || name == FRESH.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    use super::*;

    fn owner(home: &Path) -> Owner {
        Owner {
            home: home.to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn one_key() -> [String; 1] {
        ["ssh-ed25519 AAAA one".to_owned()]
    }

    #[test]
    fn keys_are_those_that_were_written() {
        let home = tempfile::tempdir().unwrap();
        let owner = owner(home.path());
        let keys = one_key();
        assert!(!any(&owner) && !fit(&owner, &keys));
        write(&owner, &keys).unwrap();
        assert!(any(&owner) && fit(&owner, &keys) && !fit(&owner, &[]));
        let file = home.path().join(".ssh/authorized_keys");
        fs::write(&file, b"ssh-ed25519 BBBB an\xffother\n").unwrap();
        assert!(!fit(&owner, &keys));
        write(&owner, &keys).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(!fit(&owner, &keys));
        remove(&owner).unwrap();
        assert!(!any(&owner));
    }

    #[test]
    fn the_second_file_opens_nothing() {
        let home = tempfile::tempdir().unwrap();
        let owner = owner(home.path());
        let second = home.path().join(".ssh/authorized_keys2");
        write(&owner, &one_key()).unwrap();
        fs::write(&second, "ssh-ed25519 BBBB more\n").unwrap();
        assert!(!fit(&owner, &one_key()));
        write(&owner, &one_key()).unwrap();
        assert!(fit(&owner, &one_key()) && !second.exists());
        remove(&owner).unwrap();
        fs::write(&second, "ssh-ed25519 BBBB more\n").unwrap();
        assert!(any(&owner));
        remove(&owner).unwrap();
        assert!(!any(&owner) && !second.exists());
    }

    #[test]
    fn what_is_in_the_way_is_moved_aside_and_a_link_leads_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let owner = owner(home.path());
        let elsewhere = tempfile::tempdir().unwrap();
        let ssh = home.path().join(".ssh");
        crate::links::make_in_private(&ssh, elsewhere.path()).unwrap();
        assert!(any(&owner) && !fit(&owner, &one_key()));
        write(&owner, &one_key()).unwrap();
        assert!(fit(&owner, &one_key()));
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert!(home.path().join(".ssh.before-longshore").is_symlink());

        fs::rename(&ssh, home.path().join("one")).unwrap();
        fs::write(&ssh, "a file").unwrap();
        write(&owner, &one_key()).unwrap();
        assert!(fit(&owner, &one_key()));
        let second = home.path().join(".ssh.before-longshore-2");
        assert_eq!(fs::read_to_string(second).unwrap(), "a file");

        let keys = ssh.join("authorized_keys");
        fs::remove_file(&keys).unwrap();
        fs::create_dir(&keys).unwrap();
        fs::create_dir(ssh.join(FRESH)).unwrap();
        assert!(any(&owner) && !fit(&owner, &one_key()));
        write(&owner, &one_key()).unwrap();
        assert!(fit(&owner, &one_key()));
        assert!(ssh.join("authorized_keys.before-longshore").is_dir());
        let target = elsewhere.path().join("keys");
        fs::write(&target, content(&one_key())).unwrap();
        fs::remove_file(&keys).unwrap();
        crate::links::make_in_private(&keys, &target).unwrap();
        assert!(!fit(&owner, &one_key()));

        fs::rename(&ssh, home.path().join("two")).unwrap();
        crate::links::make_in_private(&ssh, elsewhere.path()).unwrap();
        remove(&owner).unwrap();
        assert!(!any(&owner) && !ssh.is_symlink() && target.exists());
    }

    #[test]
    fn a_missing_home_is_made_and_no_other_is_taken_for_it() {
        let around = tempfile::tempdir().unwrap();
        let mut owner = owner(&around.path().join("home"));
        assert!(!any(&owner));
        remove(&owner).unwrap();
        write(&owner, &one_key()).unwrap();
        assert!(fit(&owner, &one_key()));
        let mode = fs::metadata(&owner.home).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700);

        let link = around.path().join("link");
        crate::links::make_in_private(&link, &owner.home).unwrap();
        owner.home = link;
        assert!(!fit(&owner, &one_key()) && any(&owner));
        let failure = write(&owner, &one_key()).unwrap_err();
        assert!(failure.what.contains("/link"), "{failure:?}");
    }

    #[test]
    fn a_folder_of_somebody_elses_is_never_given_away() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let owner = Owner {
            uid: 54_321,
            gid: 54_321,
            ..owner(home.path())
        };
        let ssh = home.path().join(".ssh");
        fs::create_dir(&ssh).unwrap();
        fs::write(ssh.join("authorized_keys"), content(&one_key())).unwrap();
        assert!(!fit(&owner, &one_key()) && any(&owner));
        write(&owner, &one_key()).unwrap();
        assert!(fit(&owner, &one_key()));
        let aside = home.path().join(".ssh.before-longshore");
        assert_eq!(fs::metadata(&aside).unwrap().uid(), 0);
        assert_eq!(fs::metadata(&ssh).unwrap().uid(), 54_321);
        std::os::unix::fs::chown(home.path(), Some(54_322), None).unwrap();
        assert!(!fit(&owner, &one_key()) && write(&owner, &one_key()).is_err());
        assert!(!any(&owner));
    }

    #[test]
    fn the_account_of_ci_has_no_other_way_in() {
        let home = tempfile::tempdir().unwrap();
        let owner = owner(home.path());
        let ssh = home.path().join(".ssh");
        fs::create_dir(&ssh).unwrap();
        fs::write(ssh.join("rc"), "sh").unwrap();
        write_of_root(&owner, &one_key()).unwrap();
        assert!(fit_of_root(&owner, &one_key()));
        assert!(!ssh.join("rc").exists());
        for other in ["rc", "authorized_keys2", "environment"] {
            fs::write(ssh.join(other), "").unwrap();
            assert!(!fit_of_root(&owner, &one_key()), "{other}");
            write_of_root(&owner, &one_key()).unwrap();
            assert!(fit_of_root(&owner, &one_key()), "{other}");
        }
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!fit_of_root(&owner, &one_key()));
    }
}
