//! What a host asked for, as one zstd frame. Hosts that lack the same and hold the same share one
//! compression, and each reads it while it is still going on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use longshore_shared::pieces::{HeldPieces, PieceSize, Print, RecipeWriter};
use thiserror::Error;

use super::plain_tar;
use super::spool::{SpoolReader, SpoolWriter, spool};
use super::tar_reader::{Listing, Place};

const LEVEL: i32 = 3;
/// A host may ask again and again for something else; what is kept on disk for it is bounded.
const MOST_KEPT: usize = 8;
const BUFFER: usize = 128 * 1024;

/// Ranges of entries: the first one, and how many.
pub type Ranges = Vec<(u64, u64)>;

/// What a host lacks, and what it holds that is like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is wanted.
    pub wanted: Part,
    /// Where this is said, contents are told as recipes of it.
    pub held: Option<HeldPieces>,
}

/// A part of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The rendered tree.
    Tree,
    /// The contents of entries, in the tree's order: rising, without overlap.
    Entries(Ranges),
}

/// Why contents cannot be given.
#[derive(Debug, Error)]
pub enum ContentsError {
    #[error("the host asked for entries that are not in the release, or not in their order")]
    Ranges,
    #[error("the host says in no known way what it holds")]
    Held,
    #[error("cannot keep compressed contents in a temporary file")]
    Spool(#[source] io::Error),
    #[error("cannot start a thread that compresses")]
    Thread(#[source] io::Error),
}

/// One zstd frame, read from its start.
#[derive(Debug)]
pub struct Contents {
    reader: SpoolReader,
    unpacked: u64,
}

impl Contents {
    /// How many bytes the frame holds when it is unpacked.
    pub fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// How many of them are in what was read so far, about.
    pub fn covered(&self) -> u64 {
        self.reader.covered()
    }
}

impl Read for Contents {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// The contents of one release.
#[derive(Debug)]
pub(super) struct Store {
    tar: Arc<File>,
    listing: Arc<Listing>,
    tarball: PathBuf,
    kept: Mutex<Vec<(Question, SpoolReader, u64)>>,
}

impl Store {
    pub(super) fn new(tar: File, listing: Listing, tarball: &Path) -> Self {
        Self {
            tar: Arc::new(tar),
            listing: Arc::new(listing),
            tarball: tarball.to_owned(),
            kept: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn listing(&self) -> &Listing {
        &self.listing
    }

    pub(super) fn content(&self, path: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let entries = self.listing.tree.entries().iter();
        let mut all = entries.zip(&self.listing.places);
        let Some((entry, Place::At(at))) = all.find(|(entry, _)| entry.path == path) else {
            return Ok(None);
        };
        if entry.size > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut content = vec![0; usize::try_from(entry.size).unwrap_or_default()];
        self.tar.read_exact_at(&mut content, *at)?;
        Ok(Some(content))
    }

    /// All that is wanted, one after the other.
    pub(super) fn zst(&self, question: &Question) -> Result<Contents, ContentsError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reader, unpacked)) = kept.iter().find(|(asked, ..)| asked == question) {
            return Ok(Contents {
                reader: reader.rewound(),
                unpacked: *unpacked,
            });
        }
        let held = match &question.held {
            Some(held) => Some(held.read().ok_or(ContentsError::Held)?),
            None => None,
        };
        let (source, unpacked) = match &question.wanted {
            Part::Tree => {
                let text = self.listing.tree.render().into_bytes();
                let bytes = text.len() as u64;
                (Source::Text(text), bytes)
            }
            Part::Entries(ranges) => {
                let bytes = self.measure(ranges)?;
                let (tar, listing) = (Arc::clone(&self.tar), Arc::clone(&self.listing));
                let ranges = ranges.clone();
                (Source::Entries(tar, listing, ranges), bytes)
            }
        };
        let file = plain_tar::beside(&self.tarball).map_err(ContentsError::Spool)?;
        let (mut writer, reader) = spool(file);
        std::thread::Builder::new()
            .name("compress".to_owned())
            .spawn(move || {
                let end = compress(&source, unpacked, held.as_ref(), &mut writer);
                writer.finish(end.map_err(|error| error.to_string()));
            })
            .map_err(ContentsError::Thread)?;
        if kept.len() >= MOST_KEPT {
            kept.remove(0);
        }
        kept.push((question.clone(), reader.clone(), unpacked));
        Ok(Contents { reader, unpacked })
    }

    /// Checks that ranges are in order and in the tree, and adds up what they hold.
    fn measure(&self, wanted: &[(u64, u64)]) -> Result<u64, ContentsError> {
        let mut bytes = 0;
        let mut next = 0;
        for (first, count) in wanted {
            let entries = slice(self.listing.tree.entries(), *first, *count)
                .filter(|entries| *first >= next && !entries.is_empty())
                .ok_or(ContentsError::Ranges)?;
            bytes += entries.iter().map(|entry| entry.size).sum::<u64>();
            next = first.saturating_add(*count);
        }
        Ok(bytes)
    }
}

fn slice<T>(all: &[T], first: u64, count: u64) -> Option<&[T]> {
    let first = usize::try_from(first).ok()?;
    let end = first.checked_add(usize::try_from(count).ok()?)?;
    all.get(first..end)
}

/// Where contents are read from.
enum Source {
    Text(Vec<u8>),
    Entries(Arc<File>, Arc<Listing>, Ranges),
}

impl Source {
    /// Gives out each content and its size.
    fn each(&self, mut take: impl FnMut(&mut dyn Read, u64) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Text(text) => take(&mut &text[..], text.len() as u64),
            Self::Entries(tar, listing, ranges) => ranges.iter().try_for_each(|(first, count)| {
                let entries = slice(listing.tree.entries(), *first, *count).unwrap_or_default();
                let places = slice(&listing.places, *first, *count).unwrap_or_default();
                let mut both = entries.iter().zip(places);
                both.try_for_each(|(entry, place)| match place {
                    Place::Empty => Ok(()),
                    Place::Target(target) => take(&mut target.as_bytes(), entry.size),
                    Place::At(at) => {
                        let mut content = Section {
                            file: &**tar,
                            at: *at,
                            left: entry.size,
                        };
                        take(&mut content, entry.size)
                    }
                })
            }),
        }
    }
}

fn compress(
    source: &Source,
    unpacked: u64,
    held: Option<&(PieceSize, HashMap<Print, u32>)>,
    out: &mut SpoolWriter,
) -> io::Result<()> {
    let counter = out.counter();
    let out = io::BufWriter::with_capacity(BUFFER, out);
    let mut frame = zstd::Encoder::new(out, LEVEL)?;
    frame.include_checksum(true)?;
    let frame = match held {
        None => {
            frame.set_pledged_src_size(Some(unpacked))?;
            source.each(|content, _| {
                io::copy(&mut counter.counting(content), &mut frame).map(drop)
            })?;
            frame
        }
        Some((size, held)) => {
            let mut recipe = RecipeWriter::new(frame, *size, held);
            source.each(|content, bytes| recipe.tell(counter.counting(content), bytes))?;
            recipe.into_inner()
        }
    };
    frame.finish()?.flush()
}

/// A part of a file, read without moving the place that others read at.
#[derive(Debug)]
pub(crate) struct Section<F> {
    pub(crate) file: F,
    pub(crate) at: u64,
    pub(crate) left: u64,
}

impl<F: Deref<Target = File>> Read for Section<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let read = self.file.read_at(buffer, self.at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
