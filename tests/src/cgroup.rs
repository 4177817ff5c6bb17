//! Every process of a host lives in one cgroup of the unified hierarchy, whatever the machine
//! itself uses. That is how a host is killed whole, and how a crashed run's hosts are found.

use std::fs::FileType;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::process;

/// Where the hierarchy is mounted on machines that mount it nowhere themselves.
const OWN_MOUNT: &str = "/run/longshore-lab/cgroup2";
const GROUP_OF_ALL_LABS: &str = "longshore-lab";
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a cgroup could not be made, emptied or removed.
#[derive(Debug, Error)]
pub enum Error {
    /// The kernel has no unified hierarchy to mount.
    #[error("this machine has no cgroup v2 hierarchy, and it could not be mounted at {OWN_MOUNT}")]
    Mount(#[source] process::Error),
    /// Processes survived.
    #[error("processes in {group} are still there {PATIENCE:?} after they were killed: {pids}")]
    Survivors {
        /// The cgroup's folder.
        group: PathBuf,
        /// Their numbers.
        pids: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// One group, which need not exist yet.
#[derive(Debug, Clone)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// The group of all hosts of a lab.
    pub fn of_lab(tag: &str) -> Result<Self, Error> {
        Ok(Self {
            path: mounted()?.join(GROUP_OF_ALL_LABS).join(tag),
        })
    }

    /// A group inside this one.
    pub fn child(&self, name: &str) -> Self {
        Self {
            path: self.path.join(name),
        }
    }

    /// Its path inside the hierarchy, wherever that is mounted.
    pub fn relative(&self) -> Result<PathBuf, Error> {
        let root = mounted()?;
        Ok(self
            .path
            .strip_prefix(&root)
            .unwrap_or(&self.path)
            .to_path_buf())
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, and hands it every controller that its parents can give.
    pub fn create(&self) -> Result<(), Error> {
        fs_err::create_dir_all(&self.path)?;
        let root = mounted()?;
        let mut parents: Vec<&Path> = self
            .path
            .ancestors()
            .skip(1)
            .take_while(|path| path.starts_with(&root))
            .collect();
        parents.reverse();
        for parent in parents {
            let available = fs_err::read_to_string(parent.join("cgroup.controllers"))?;
            for controller in available.split_whitespace() {
                // A hybrid machine gives its controllers to v1, and a machine that is itself a
                // container may keep them; hosts boot without them.
                let _ = fs_err::write(
                    parent.join("cgroup.subtree_control"),
                    format!("+{controller}"),
                );
            }
        }
        Ok(())
    }

    /// Whether any process lives in it or below.
    pub fn populated(&self) -> bool {
        fs_err::read_to_string(self.path.join("cgroup.events"))
            .is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    }

    /// The processes directly in it.
    pub fn processes(&self) -> Vec<u32> {
        fs_err::read_to_string(self.path.join("cgroup.procs"))
            .map(|text| text.lines().filter_map(|line| line.parse().ok()).collect())
            .unwrap_or_default()
    }

    /// Kills everything in it and below, and waits until it is gone.
    pub fn kill(&self) -> Result<(), Error> {
        if !self.path.exists() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        while self.populated() {
            fs_err::write(self.path.join("cgroup.kill"), "1")?;
            if Instant::now() > deadline {
                let pids = self
                    .processes()
                    .iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>();
                return Err(Error::Survivors {
                    group: self.path.clone(),
                    pids: pids.join(" "),
                });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Kills what is left in it and removes it with all below.
    pub fn remove(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while self.path.exists() {
            self.kill()?;
            match remove_folders(&self.path) {
                Ok(()) => break,
                // A process that was about to join when the others were killed.
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(())
    }
}

/// Gives back what no lab of this machine needs any more.
pub fn leave() -> Result<(), Error> {
    let root = mounted()?;
    // It stays as long as another lab has a group in it.
    let empty = fs_err::remove_dir(root.join(GROUP_OF_ALL_LABS)).is_ok();
    if root == Path::new(OWN_MOUNT) && (empty || !root.join(GROUP_OF_ALL_LABS).exists()) {
        process::run(Command::new("umount").arg(OWN_MOUNT)).map_err(Error::Mount)?;
    }
    Ok(())
}

/// Only the folders of a cgroup can be removed; its files go with them.
fn remove_folders(path: &Path) -> Result<(), io::Error> {
    for entry in fs_err::read_dir(path)? {
        let entry = entry?;
        if entry.file_type().is_ok_and(|kind: FileType| kind.is_dir()) {
            remove_folders(&entry.path())?;
        }
    }
    fs_err::remove_dir(path)
}

/// The unified hierarchy: the machine's own mount, else one of ours.
pub fn mounted() -> Result<PathBuf, Error> {
    let mounts = fs_err::read_to_string("/proc/self/mounts")?;
    if let Some(found) = unified_mount(&mounts) {
        return Ok(found);
    }
    fs_err::create_dir_all(OWN_MOUNT)?;
    process::run(Command::new("mount").args(["-t", "cgroup2", "cgroup2", OWN_MOUNT]))
        .map_err(Error::Mount)?;
    Ok(PathBuf::from(OWN_MOUNT))
}

fn unified_mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (_, path, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_hierarchy_of_each_kind_of_machine() {
        let v2 = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        let hybrid = "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let v1 = "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n";
        assert_eq!(unified_mount(v2), Some("/sys/fs/cgroup".into()));
        assert_eq!(unified_mount(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(unified_mount(v1), None);
    }
}
