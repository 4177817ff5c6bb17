//! Builds a release's tree: what the host has is linked, what it lacks is received.
//!
//! Symlinks come last, so that no content is ever written through one.

use std::collections::{BTreeMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use longshore_shared::digest::{Digesting, Sha256Digest};
use longshore_shared::tree::{Entry, Kind, Tree};
use longshore_shared::wire::latest::Ask;
use zstd::stream::read::Decoder;

use super::base::Base;
use super::{Dialog, MEND_DISK, hostile, lost};
use crate::layout::AppLayout;
use crate::operation::{Operation, Trouble};

/// A window of 8 MiB bounds what a frame can make the agent reserve.
const LARGEST_WINDOW_LOG: u32 = 23;
/// A pair of numbers takes a few bytes, and a message a quarter of a megabyte.
const MOST_RANGES: usize = 8000;
/// What stays free on the disk beside the release.
const SPARE_BYTES: u64 = 64 << 20;
const SPARE_INODES: u64 = 1000;

/// Makes the tree in `folder`. Gives back how many bytes of content had to be sent.
pub(super) fn rebuild(
    layout: &AppLayout,
    tree: &Tree,
    folder: &Path,
    operation: &Operation,
    dialog: &mut Dialog<'_>,
) -> Result<u64, Trouble> {
    let newest: Vec<String> = operation
        .ledger()
        .releases(&layout.app)?
        .into_iter()
        .map(|row| row.version.to_string())
        .collect();
    let mut base = Base::find(layout, tree, &newest);
    let failed = |error: io::Error| Trouble::because(&error, MEND_DISK);
    fs_err::create_dir(folder).map_err(failed)?;
    let lacking = link_what_is_here(&mut base, tree, folder).map_err(failed)?;
    let bytes = lacking
        .iter()
        .filter_map(|at| tree.entries().get(*at))
        .map(|e| e.size)
        .sum();
    let lack = room_problem(folder, bytes, tree.entries().len() as u64);
    if let Some(lack) = lack.map_err(failed)? {
        return Err(Trouble::failed(
            lack,
            "make room on this host, then deploy again",
        ));
    }
    let mut targets = BTreeMap::new();
    // What is lacking may be scattered over the tree; each question has to fit one message.
    for wanted in ranges(&lacking).chunks(MOST_RANGES) {
        let entries = || {
            wanted
                .iter()
                .flat_map(|(first, count)| *first..*first + *count)
                .filter_map(|at| tree.entries().get(usize::try_from(at).ok()?))
        };
        let bytes = entries().map(|entry| entry.size).sum();
        let ask = Ask::Contents {
            wanted: wanted.to_vec(),
            bytes,
        };
        let data = dialog.ask(operation, ask).map_err(|error| lost(&error))?;
        let mut contents = decoder(data).map_err(|error| lost(&error))?;
        for entry in entries() {
            receive(entry, folder, &mut contents, &mut targets)?;
        }
        finish(contents).map_err(|error| lost(&error))?;
    }
    tree.check_links(&targets)
        .map_err(|error| hostile(&error))?;
    for (path, target) in &targets {
        crate::links::make_in_private(&folder.join(path), Path::new(target)).map_err(failed)?;
    }
    Ok(bytes)
}

/// Says what is too small for a release, in words, before anything is written.
pub(crate) fn room_problem(place: &Path, bytes: u64, entries: u64) -> io::Result<Option<String>> {
    let disk = rustix::fs::statvfs(place)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let wanted = bytes.saturating_add(SPARE_BYTES);
    if free < wanted {
        let (free, wanted) = (free >> 20, wanted >> 20);
        return Ok(Some(format!(
            "the disk has {free} MiB free, and the release takes {wanted} MiB"
        )));
    }
    // Some file systems make inodes as they go and report none at all.
    if disk.f_files > 0 && disk.f_favail < entries.saturating_add(SPARE_INODES) {
        let free = disk.f_favail;
        return Ok(Some(format!(
            "the disk has {free} inodes free, and the release takes {entries}"
        )));
    }
    Ok(None)
}

/// Makes all folders, and all files whose content is here. Gives back the other entries.
fn link_what_is_here(base: &mut Base, tree: &Tree, folder: &Path) -> io::Result<Vec<usize>> {
    let mut made: HashSet<&str> = HashSet::new();
    let mut lacking = Vec::new();
    for (at, entry) in tree.entries().iter().enumerate() {
        for (slash, _) in entry.path.match_indices('/') {
            let parent = entry.path.get(..slash).unwrap_or_default();
            if made.insert(parent) {
                fs_err::create_dir(folder.join(parent))?;
            }
        }
        let target = folder.join(&entry.path);
        match entry.kind {
            Kind::EmptyFolder => fs_err::create_dir(&target)?,
            Kind::Symlink => lacking.push(at),
            Kind::File | Kind::Executable => {
                if !base.link(entry, &target)? {
                    lacking.push(at);
                }
            }
        }
    }
    Ok(lacking)
}

/// Runs of neighbours, as first and count.
fn ranges(places: &[usize]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for place in places.iter().map(|place| *place as u64) {
        match ranges.last_mut() {
            Some((first, count)) if *first + *count == place => *count += 1,
            _ => ranges.push((place, 1)),
        }
    }
    ranges
}

fn receive<'a>(
    entry: &'a Entry,
    folder: &Path,
    contents: &mut impl Read,
    targets: &mut BTreeMap<&'a str, String>,
) -> Result<(), Trouble> {
    let mut content = Digesting::new(contents.take(entry.size));
    if entry.kind == Kind::Symlink {
        let mut target = String::new();
        content
            .read_to_string(&mut target)
            .map_err(|error| lost(&error))?;
        targets.insert(&entry.path, target);
    } else {
        let mode = if entry.kind == Kind::Executable {
            0o755
        } else {
            0o644
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(folder.join(&entry.path))
            .map_err(|error| Trouble::because(&error, MEND_DISK))?;
        io::copy(&mut content, &mut file).map_err(|error| lost(&error))?;
    }
    let (size, digest, _) = content.finish();
    fits(entry, size, digest)
}

fn fits(entry: &Entry, size: u64, digest: Sha256Digest) -> Result<(), Trouble> {
    if size == entry.size && digest == entry.digest {
        return Ok(());
    }
    Err(Trouble::refused(
        format!(
            "the content sent for {:?} is not the signed one",
            entry.path
        ),
        "nothing of it was kept; build the release again, then deploy",
    ))
}

/// Reads one zstd frame, within bounds of memory.
pub(super) fn decoder<R: Read>(data: R) -> io::Result<Decoder<'static, BufReader<R>>> {
    let mut decoder = Decoder::new(data)?.single_frame();
    decoder.window_log_max(LARGEST_WINDOW_LOG)?;
    Ok(decoder)
}

/// Makes sure that a frame and what carried it end together, right after the last wanted byte.
pub(super) fn finish<R: Read>(mut decoder: Decoder<'static, BufReader<R>>) -> io::Result<()> {
    let more = |_| {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "more was sent than was signed",
        ))
    };
    let mut byte = [0];
    if decoder.read(&mut byte)? > 0 {
        return more(());
    }
    if decoder.finish().read(&mut byte)? > 0 {
        return more(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_asked_for_together() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), [(0, 3), (5, 1), (7, 2)]);
        assert!(ranges(&[]).is_empty());
    }

    #[test]
    fn a_frame_ends_where_it_was_said_to_end() {
        let frame = zstd::encode_all(&b"content"[..], 3).unwrap();
        let mut text = String::new();
        let mut good = decoder(&frame[..]).unwrap();
        good.read_to_string(&mut text).unwrap();
        finish(good).unwrap();
        assert_eq!(text, "content");

        let mut long = decoder(&frame[..]).unwrap();
        long.read_exact(&mut [0; 3]).unwrap();
        assert!(finish(long).is_err());

        let mut followed = frame.clone();
        followed.push(0);
        let mut followed = decoder(&followed[..]).unwrap();
        io::copy(&mut followed, &mut io::sink()).unwrap();
        assert!(finish(followed).is_err());

        let mut cut = decoder(&frame[..frame.len() - 1]).unwrap();
        assert!(io::copy(&mut cut, &mut io::sink()).is_err() || finish(cut).is_err());
    }

    #[test]
    fn a_frame_with_a_huge_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 19).unwrap();
        encoder.window_log(27).unwrap();
        io::Write::write_all(&mut encoder, &vec![7; 64 << 20]).unwrap();
        let frame = encoder.finish().unwrap();
        let mut wide = decoder(&frame[..]).unwrap();
        assert!(io::copy(&mut wide, &mut io::sink()).is_err());
    }
}
