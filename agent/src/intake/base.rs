//! What a host has already: the releases that it keeps, and what came of stagings that broke off.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZero;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use longshore_shared::digest::{Digesting, Sha256Digest};
use longshore_shared::tree::{Entry, Kind, Tree};
use longshore_shared::wire::latest::Slot;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::attempt::Attempt;
use crate::layout::{AppLayout, ReleaseFiles};
use crate::links;

/// As many earlier releases are looked through; the rest is most likely in these.
const MOST_RELEASES: usize = 3;
/// Most files of a release fit in it, and are read with one call.
const BUFFER: usize = 128 * 1024;
/// More of them would take from the release that serves.
const MOST_THREADS: usize = 4;

/// A folder with files, and the list of what should be in it.
#[derive(Debug)]
pub(super) struct Base {
    folder: OwnedFd,
    list: PathBuf,
    /// A release, which is whole; not one that broke off.
    whole: bool,
}

impl Base {
    /// What broke off last, then the release that serves, then the newest ones, then what broke off
    /// before.
    pub(super) fn find(layout: &AppLayout, earlier: &[Attempt], newest: &[String]) -> Vec<Self> {
        let mut parts = earlier
            .iter()
            .filter_map(|attempt| Self::open(&attempt.release(), &attempt.tree(), false));
        let last = parts.next();
        let live = [
            layout.current(),
            layout.slot(Slot::Blue),
            layout.slot(Slot::Green),
        ];
        let mut names: Vec<String> = Vec::new();
        for name in live.iter().filter_map(|link| links::names(link)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for name in newest {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let releases = names.iter().filter_map(|name| {
            let release = layout.releases().join(name);
            Self::open(&release, &ReleaseFiles::of(&release).tree(), true)
        });
        let releases = releases.take(MOST_RELEASES);
        last.into_iter().chain(releases).chain(parts).collect()
    }

    pub(super) fn open(folder: &Path, list: &Path, whole: bool) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty()).ok()?;
        Some(Self {
            folder,
            list: list.to_owned(),
            whole,
        })
    }

    /// The text of its tree, read anew each time: those of large releases would fill the memory.
    pub(super) fn list(&self) -> Option<String> {
        fs_err::read_to_string(&self.list).ok()
    }

    /// What should be in it, if its list is not damaged.
    pub(super) fn tree(&self) -> Option<Tree> {
        Tree::parse(&self.list()?).ok()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Opens a file that only root ever could write. Steps of a release may have made links in it,
    /// which are not followed, and files that the app may still hold open: these have its group.
    pub(super) fn file(&self, path: &str) -> io::Result<Found> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), inside)?;
        let about = rustix::fs::fstat(&file)?;
        let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        let ours = about.st_uid == rustix::process::geteuid().as_raw()
            && about.st_gid == rustix::process::getegid().as_raw();
        match u64::try_from(about.st_size) {
            Ok(size) if is_file && ours => Ok(Found {
                file,
                size,
                mode: about.st_mode & 0o7777,
            }),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

/// An open file of a base.
#[derive(Debug)]
pub(super) struct Found {
    file: OwnedFd,
    size: u64,
    mode: u32,
}

impl Found {
    /// In bytes, when it was opened.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What it held when it was opened, and nothing that was added since.
    pub(super) fn read(self) -> io::Take<File> {
        File::from(self.file).take(self.size)
    }

    pub(super) fn into_file(self) -> File {
        self.file.into()
    }

    /// Whether it is what `entry` says. Thousands are looked at, so each costs as few calls as can
    /// be: the end of a file is known by its size.
    fn is_intact(&self, entry: &Entry, buffer: &mut [u8]) -> io::Result<bool> {
        if self.size != entry.size || Some(self.mode) != mode(entry.kind) {
            return Ok(false);
        }
        let mut content = Digesting::new(io::sink());
        let mut left = entry.size;
        while left > 0 {
            let read = rustix::io::read(&self.file, &mut *buffer)? as u64;
            if read == 0 || read > left {
                return Ok(false);
            }
            let chunk = usize::try_from(read)
                .ok()
                .and_then(|read| buffer.get(..read));
            io::Write::write_all(&mut content, chunk.unwrap_or_default())?;
            left -= read;
        }
        let (_, digest, _) = content.finish();
        Ok(digest == entry.digest)
    }

    /// Gives this very file, whatever has its name by now, another name.
    fn link(&self, folder: &OwnedFd, path: &str) -> rustix::io::Result<()> {
        match rustix::fs::linkat(&self.file, "", folder, path, AtFlags::EMPTY_PATH) {
            // Kernels before 6.10 let only root do so.
            Err(Errno::NOENT) => {
                let opened = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                rustix::fs::linkat(CWD, opened, folder, path, AtFlags::SYMLINK_FOLLOW)
            }
            linked => linked,
        }
    }
}

/// The mode that files of a release have on disk.
pub(super) fn mode(kind: Kind) -> Option<u32> {
    match kind {
        Kind::File => Some(0o644),
        Kind::Executable => Some(0o755),
        Kind::Symlink | Kind::EmptyFolder => None,
    }
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
                if !held.contains_key(&key) && (base.whole || base.file(&entry.path).is_ok()) {
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
pub(super) fn handle(folder: &Path) -> io::Result<OwnedFd> {
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
        links::make_in_private(&held, &elsewhere).unwrap();
        assert!(!linked(), "a link");
        // What a step could have made of a folder, to have a file of its own taken for the signed one.
        fs_err::remove_file(&held).unwrap();
        fs_err::remove_dir(place("base/in")).unwrap();
        links::make_in_private(&place("base/in"), &place("elsewhere")).unwrap();
        assert!(!linked(), "a link on the way");
    }
}
