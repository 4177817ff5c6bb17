//! What a host has already: the files of the releases that it keeps.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use longshore_shared::digest::{Digesting, Sha256Digest};
use longshore_shared::tree::{Entry, Kind, Tree};
use longshore_shared::wire::latest::Slot;
use rustix::fs::{FileType, Mode, OFlags};

use crate::layout::{AppLayout, ReleaseFiles};
use crate::links;

/// As many earlier releases are looked through; the rest is most likely in these.
const MOST_BASES: usize = 3;
/// Most files of a release fit in it, and are read with one call.
const BUFFER: usize = 128 * 1024;

/// Where a wanted content may be found.
#[derive(Debug)]
pub(super) struct Base {
    held: HashMap<(Sha256Digest, bool), PathBuf>,
    buffer: Vec<u8>,
}

impl Base {
    /// Looks through the release that serves, then the newest ones, for the files of `tree`.
    pub(super) fn find(layout: &AppLayout, tree: &Tree, newest: &[String]) -> Self {
        let mut wanted: HashMap<(Sha256Digest, bool), Option<PathBuf>> = tree
            .entries()
            .iter()
            .filter_map(key)
            .map(|key| (key, None))
            .collect();
        let live = [
            layout.current(),
            layout.slot(Slot::Blue),
            layout.slot(Slot::Green),
        ];
        let mut names: Vec<String> = live.iter().filter_map(|link| links::names(link)).collect();
        names.extend(newest.iter().cloned());
        let mut seen: Vec<&String> = Vec::new();
        let mut missing = wanted.len();
        for name in &names {
            if missing == 0 || seen.len() == MOST_BASES {
                break;
            }
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let release = layout.releases().join(name);
            let Some(held) = read_tree(&release) else {
                continue;
            };
            for entry in held.entries() {
                let found = key(entry).and_then(|key| wanted.get_mut(&key));
                if let Some(place @ None) = found {
                    *place = Some(release.join(&entry.path));
                    missing -= 1;
                }
            }
        }
        let held = wanted
            .into_iter()
            .filter_map(|(key, place)| Some((key, place?)))
            .collect();
        Self {
            held,
            buffer: vec![0; BUFFER],
        }
    }

    /// Gives `entry` the file that is here already, under the name `target`. Only a file that
    /// still has its content is linked on; whether it was.
    pub(super) fn link(&mut self, entry: &Entry, target: &Path) -> io::Result<bool> {
        let Some(held) = key(entry).and_then(|key| self.held.get(&key)) else {
            return Ok(false);
        };
        // What cannot be read is sent again, like what has changed.
        if !is_intact(held, entry, &mut self.buffer).unwrap_or(false) {
            return Ok(false);
        }
        match std::fs::hard_link(held, target) {
            Ok(()) => Ok(true),
            // Too many links, another file system, a file just pruned: the content is sent again.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
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

fn read_tree(release: &Path) -> Option<Tree> {
    Tree::parse(&std::fs::read_to_string(ReleaseFiles::of(release).tree()).ok()?).ok()
}

/// Thousands of files are looked at, so each costs as few calls as can be: its size comes from the
/// open file itself, and the end of the file is known by it.
fn is_intact(held: &Path, entry: &Entry, buffer: &mut [u8]) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(held, flags, Mode::empty())?;
    let about = rustix::fs::fstat(&file)?;
    let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
    if !is_file || u64::try_from(about.st_size) != Ok(entry.size) {
        return Ok(false);
    }
    let mut content = Digesting::new(io::sink());
    let mut left = entry.size;
    while left > 0 {
        let read = rustix::io::read(&file, &mut *buffer)? as u64;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_still_has_its_content_is_linked_on() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..200_000u32).map(|at| at as u8).collect();
        let entry = Entry {
            kind: Kind::File,
            size: content.len() as u64,
            digest: Sha256Digest::of(&content),
            path: "file".to_owned(),
        };
        let held = folder.path().join("held");
        let base = |held: &Path| Base {
            held: HashMap::from([((entry.digest, false), held.to_owned())]),
            buffer: vec![0; BUFFER],
        };
        let target = folder.path().join("target");
        let linked = |held: &Path| {
            let linked = base(held).link(&entry, &target).unwrap();
            assert_eq!(linked, target.exists());
            let _there = fs_err::remove_file(&target);
            linked
        };
        assert!(!linked(&held), "nothing is there");
        fs_err::write(&held, &content).unwrap();
        assert!(linked(&held));
        for spoil in [0, 100_000, content.len() - 1] {
            let mut spoiled = content.clone();
            spoiled[spoil] ^= 1;
            fs_err::write(&held, &spoiled).unwrap();
            assert!(!linked(&held), "byte {spoil}");
        }
        fs_err::write(&held, &content[1..]).unwrap();
        assert!(!linked(&held), "shorter");
        fs_err::write(&held, [&content[..], b"x"].concat()).unwrap();
        assert!(!linked(&held), "longer");
        let link = folder.path().join("link");
        fs_err::write(&held, &content).unwrap();
        crate::links::make_in_private(&link, &held).unwrap();
        assert!(!linked(&link), "a link");
    }
}
