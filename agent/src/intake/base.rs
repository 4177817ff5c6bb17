//! What a host has already: the releases that it keeps, and what came of stagings that broke off.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use longshore_shared::digest::Digesting;
use longshore_shared::tree::{Entry, Kind, Tree};
use longshore_shared::wire::latest::Slot;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::layout::{AppLayout, ReleaseFiles};
use crate::links;

/// As many earlier releases are looked through; the rest is most likely in these.
const MOST_RELEASES: usize = 3;

/// A folder with files, and the list of what should be in it.
#[derive(Debug)]
pub(super) struct Base {
    folder: OwnedFd,
    list: PathBuf,
    /// A release, which is whole; not one that broke off.
    whole: bool,
}

impl Base {
    /// What broke off last (each is a folder and its list), then the release that serves, then the newest ones, then what broke off
    /// before.
    pub(super) fn find(
        layout: &AppLayout,
        parts: &[(PathBuf, PathBuf)],
        newest: &[String],
    ) -> Vec<Self> {
        let mut parts = parts
            .iter()
            .filter_map(|(folder, list)| Self::open(folder, list, false));
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
    pub(super) fn is_intact(&self, entry: &Entry, buffer: &mut [u8]) -> io::Result<bool> {
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
    pub(super) fn link(&self, folder: &OwnedFd, path: &str) -> rustix::io::Result<()> {
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
