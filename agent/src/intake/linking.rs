//! Gives a new release the files that the host has already, after it has digested them again.

use std::collections::{HashMap, HashSet};
use std::io;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;

use longshore_shared::digest::Sha256Digest;
use longshore_shared::tree::{Entry, Kind, Tree};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::base::Base;

/// Most files of a release fit in it, and are read with one call.
const BUFFER: usize = 128 * 1024;
/// More of them would take from the release that serves.
const MOST_THREADS: usize = 4;

/// Makes the folder with all folders in it, and all files whose content is here. Gives back the places
/// of the other entries.
pub(super) fn link_what_is_here(
    bases: &[Base],
    tree: &Tree,
    folder: &Path,
) -> io::Result<Vec<usize>> {
    fs_err::create_dir(folder)?;
    let mut made: HashSet<&str> = HashSet::new();
    for entry in tree.entries() {
        for (slash, _) in entry.path.match_indices('/') {
            let parent = entry.path.get(..slash).unwrap_or_default();
            if made.insert(parent) {
                fs_err::create_dir(folder.join(parent))?;
            }
        }
        if entry.kind == Kind::EmptyFolder {
            fs_err::create_dir(folder.join(&entry.path))?;
        }
    }
    Links::find(bases, tree).link_all(tree.entries(), &handle(folder)?)
}

/// Where wanted contents may be found.
#[derive(Debug)]
pub(super) struct Links<'a> {
    held: HashMap<(Sha256Digest, bool), (&'a Base, String)>,
}

impl<'a> Links<'a> {
    /// Looks through the lists of `bases` for the files of `tree`.
    pub(super) fn find(bases: &'a [Base], tree: &Tree) -> Self {
        let wanted: HashSet<(Sha256Digest, bool)> = tree.entries().iter().filter_map(key).collect();
        let mut held = HashMap::with_capacity(wanted.len());
        for base in bases {
            if held.len() == wanted.len() {
                break;
            }
            let Some(tree) = base.tree() else { continue };
            for entry in tree.entries() {
                let Some(key) = key(entry).filter(|key| wanted.contains(key)) else {
                    continue;
                };
                // Of what broke off, not all that is listed is there.
                if !held.contains_key(&key) && (base.is_whole() || base.file(&entry.path).is_ok()) {
                    held.insert(key, (base, entry.path.clone()));
                }
            }
        }
        Self { held }
    }

    /// Gives entries the files that are here already, under their names in `folder`. Only a file
    /// that still has its content is linked on. Gives back the places of the other entries.
    pub(super) fn link_all(&self, entries: &[Entry], folder: &OwnedFd) -> io::Result<Vec<usize>> {
        // Each file is read and digested, which one processor does not do as fast as a disk gives it.
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let share = entries.len().div_ceil(threads.min(MOST_THREADS)).max(1);
        let (first, others) = entries.split_at(share.min(entries.len()));
        std::thread::scope(|scope| {
            let mut running = Vec::new();
            for (number, others) in (1..).zip(others.chunks(share)) {
                let work = move || self.link_share(others, number * share, folder);
                running.push(std::thread::Builder::new().spawn_scoped(scope, work)?);
            }
            let mut lacking = self.link_share(first, 0, folder)?;
            for one in running {
                let others = one.join();
                lacking.extend(others.unwrap_or_else(|_| Err(io::Error::other("a thread died")))?);
            }
            Ok(lacking)
        })
    }

    fn link_share(
        &self,
        entries: &[Entry],
        begin: usize,
        folder: &OwnedFd,
    ) -> io::Result<Vec<usize>> {
        let mut buffer = vec![0; BUFFER];
        let mut lacking = Vec::new();
        for (at, entry) in (begin..).zip(entries) {
            if entry.kind != Kind::EmptyFolder && !self.link(entry, folder, &mut buffer)? {
                lacking.push(at);
            }
        }
        Ok(lacking)
    }

    fn link(&self, entry: &Entry, folder: &OwnedFd, buffer: &mut [u8]) -> io::Result<bool> {
        let Some((base, path)) = key(entry).and_then(|key| self.held.get(&key)) else {
            return Ok(false);
        };
        // What cannot be read is sent again, like what has changed.
        let Some(found) = base
            .file(path)
            .ok()
            .filter(|found| found.is_intact(entry, buffer).unwrap_or(false))
        else {
            return Ok(false);
        };
        match found.link(folder, &entry.path) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Err(Errno::EXIST.into()),
            // Too many links, another file system, a file just pruned: the content is sent again.
            Err(_) => Ok(false),
        }
    }
}

/// Links, and folders without content, are made anew; the mode is part of what is linked.
fn key(entry: &Entry) -> Option<(Sha256Digest, bool)> {
    match entry.kind {
        Kind::File => Some((entry.digest, false)),
        Kind::Executable => Some((entry.digest, true)),
        Kind::Symlink | Kind::EmptyFolder => None,
    }
}

/// A handle on a folder, to make names in it.
fn handle(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, folder, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_what_still_has_its_content_is_linked_on() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..200_000u32).map(|at| at as u8).collect();
        let entry = Entry {
            kind: Kind::File,
            size: content.len() as u64,
            digest: Sha256Digest::of(&content),
            path: "in/file".to_owned(),
        };
        let tree = Tree::from_entries(vec![entry.clone()]).unwrap();
        let place = |name: &str| folder.path().join(name);
        rustix::process::umask(Mode::from_raw_mode(0o022));
        for name in ["base", "base/in", "target", "target/in", "elsewhere"] {
            fs_err::create_dir(place(name)).unwrap();
        }
        fs_err::write(place("list"), tree.render()).unwrap();
        let held = place("base/in/file");
        let linked = || {
            let base = [Base::open(&place("base"), &place("list"), true).unwrap()];
            let target = handle(&place("target")).unwrap();
            let entries = std::slice::from_ref(&entry);
            let lacking = Links::find(&base, &tree)
                .link_all(entries, &target)
                .unwrap();
            let linked = lacking.is_empty();
            assert_eq!(linked, place("target/in/file").exists());
            let _there = fs_err::remove_file(place("target/in/file"));
            linked
        };
        assert!(!linked(), "nothing is there");
        fs_err::write(&held, &content).unwrap();
        assert!(linked());
        fs_err::set_permissions(&held, Permissions::from_mode(0o666)).unwrap();
        assert!(!linked(), "others may write it");
        fs_err::set_permissions(&held, Permissions::from_mode(0o644)).unwrap();
        for spoil in [0, 100_000, content.len() - 1] {
            let mut spoiled = content.clone();
            spoiled[spoil] ^= 1;
            fs_err::write(&held, &spoiled).unwrap();
            assert!(!linked(), "byte {spoil}");
        }
        fs_err::write(&held, &content[1..]).unwrap();
        assert!(!linked(), "shorter");
        fs_err::write(&held, [&content[..], b"x"].concat()).unwrap();
        assert!(!linked(), "longer");
        let elsewhere = place("elsewhere/file");
        fs_err::write(&elsewhere, &content).unwrap();
        fs_err::remove_file(&held).unwrap();
        crate::links::make_in_private(&held, &elsewhere).unwrap();
        assert!(!linked(), "a link");
        // What a step could have made of a folder, to have a file of its own taken for the signed one.
        fs_err::remove_file(&held).unwrap();
        fs_err::remove_dir(place("base/in")).unwrap();
        crate::links::make_in_private(&place("base/in"), &place("elsewhere")).unwrap();
        assert!(!linked(), "a link on the way");
    }
}
