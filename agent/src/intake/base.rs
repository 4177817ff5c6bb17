//! What a host has already: the files of the releases that it keeps.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use longshore_shared::digest::{Digesting, Sha256Digest};
use longshore_shared::tree::{Entry, Kind, Tree};
use longshore_shared::wire::latest::Slot;

use crate::layout::{AppLayout, ReleaseFiles};
use crate::links;

/// As many earlier releases are looked through; the rest is most likely in these.
const MOST_BASES: usize = 3;

/// Where a wanted content may be found.
#[derive(Debug, Default)]
pub(super) struct Base(HashMap<(Sha256Digest, bool), PathBuf>);

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
        Self(
            wanted
                .into_iter()
                .filter_map(|(key, place)| Some((key, place?)))
                .collect(),
        )
    }

    /// Gives `entry` the file that is here already, under the name `target`. Only a file that
    /// still has its content is linked on; whether it was.
    pub(super) fn link(&self, entry: &Entry, target: &Path) -> io::Result<bool> {
        let Some(held) = key(entry).and_then(|key| self.0.get(&key)) else {
            return Ok(false);
        };
        if !is_intact(held, entry) {
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

fn is_intact(held: &Path, entry: &Entry) -> bool {
    let read = || -> io::Result<(u64, Sha256Digest)> {
        if !std::fs::symlink_metadata(held)?.is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut file = Digesting::new(std::fs::File::open(held)?);
        io::copy(&mut file, &mut io::sink())?;
        let (size, digest, _) = file.finish();
        Ok((size, digest))
    };
    read().is_ok_and(|(size, digest)| size == entry.size && digest == entry.digest)
}
