//! The pieces that this host can put into contents: of a text at hand, or of files that the new
//! release replaces or that came only in part.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;

use longshore_shared::digest::Sha256Digest;
use longshore_shared::pieces::{Cut, Held, HeldPieces, PieceSize, Print};
use longshore_shared::tree::{Entry, Kind, Tree};

use super::base::{Base, Found};

/// So many files are kept at hand while pieces of them are copied, and the small ones among them in
/// memory: pieces are short, and many.
const MOST_AT_HAND: usize = 64;
const SMALL: u64 = 128 * 1024;
/// More than this of old files beside a release that lacks little is not worth reading.
const SPARE: u64 = 1 << 20;

/// Where a piece lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    source: usize,
    at: u64,
    length: usize,
}

/// Pieces of several sources; each is there once.
#[derive(Debug)]
struct Pieces {
    size: PieceSize,
    prints: Vec<Print>,
    places: Vec<Place>,
}

impl Pieces {
    /// Cuts as finely as one message can tell.
    fn of<R: Read>(bytes: u64, sources: usize, open: impl Fn(usize) -> io::Result<R>) -> Self {
        // Much is there more than once, so that finer pieces may do.
        let mut size = PieceSize::fitting(bytes / 2, HeldPieces::MOST);
        loop {
            let (pieces, all) = Self::cut(size, sources, &open);
            match size.doubled() {
                Some(larger) if !all => size = larger,
                _ => return pieces,
            }
        }
    }

    /// Also whether there was room for all.
    fn cut<R: Read>(
        size: PieceSize,
        sources: usize,
        open: impl Fn(usize) -> io::Result<R>,
    ) -> (Self, bool) {
        let mut pieces = Self {
            size,
            prints: Vec::new(),
            places: Vec::new(),
        };
        let mut seen = HashSet::new();
        for source in 0..sources {
            // What cannot be read is not held.
            let Ok(reader) = open(source) else { continue };
            let mut cut = Cut::new(reader, size);
            let mut at = 0;
            while let Ok(Some(piece)) = cut.next_piece() {
                let print = Print::of(piece);
                if seen.insert(print) {
                    if pieces.prints.len() == HeldPieces::MOST {
                        return (pieces, false);
                    }
                    pieces.prints.push(print);
                    pieces.places.push(Place {
                        source,
                        at,
                        length: piece.len(),
                    });
                }
                at += piece.len() as u64;
            }
        }
        (pieces, true)
    }

    fn told(&self) -> HeldPieces {
        HeldPieces::new(self.size, &self.prints)
    }

    fn place(&self, piece: u32) -> Option<Place> {
        self.places.get(usize::try_from(piece).ok()?).copied()
    }
}

/// Pieces of a text.
#[derive(Debug)]
pub(super) struct TextPieces<'a> {
    text: &'a [u8],
    pieces: Pieces,
}

impl<'a> TextPieces<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let text = text.as_bytes();
        let pieces = Pieces::of(text.len() as u64, 1, |_| Ok(text));
        Self { text, pieces }
    }

    /// What the other end is told of them.
    pub(super) fn told(&self) -> HeldPieces {
        self.pieces.told()
    }
}

impl Held for TextPieces<'_> {
    fn copy(&mut self, piece: u32, out: &mut impl Write) -> io::Result<Option<u64>> {
        let piece = self.pieces.place(piece).and_then(|place| {
            let at = usize::try_from(place.at).ok()?;
            self.text.get(at..at + place.length)
        });
        let Some(piece) = piece else { return Ok(None) };
        out.write_all(piece)?;
        Ok(Some(piece.len() as u64))
    }
}

/// Pieces of files of bases.
#[derive(Debug)]
pub(super) struct FilePieces<'a> {
    files: Vec<(&'a Base, String)>,
    pieces: Pieces,
    at_hand: HashMap<usize, AtHand>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum AtHand {
    Small(Vec<u8>),
    Large(File),
}

impl AtHand {
    fn open((base, path): &(&Base, String)) -> io::Result<Self> {
        let found = base.file(path)?;
        if found.size() > SMALL {
            return Ok(Self::Large(found.into_file()));
        }
        let mut content = Vec::new();
        found.read().read_to_end(&mut content)?;
        Ok(Self::Small(content))
    }

    fn copy(&self, place: Place, buffer: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Small(content) => {
                let at = usize::try_from(place.at).unwrap_or(usize::MAX);
                let end = at.saturating_add(place.length);
                out.write_all(content.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?)
            }
            Self::Large(file) => {
                buffer.resize(place.length, 0);
                file.read_exact_at(buffer, place.at)?;
                out.write_all(buffer)
            }
        }
    }
}

impl<'a> FilePieces<'a> {
    /// Chooses and cuts files that may be like the entries that are lacking. Nothing where there
    /// are none.
    pub(super) fn like(lacking: &[&Entry], tree: &Tree, bases: &'a [Base]) -> Option<Self> {
        let (files, bytes) = alike(lacking, tree, bases);
        if files.is_empty() {
            return None;
        }
        let pieces = Pieces::of(bytes, files.len(), |number| {
            let (base, path) = files.get(number).ok_or(io::ErrorKind::NotFound)?;
            base.file(path).map(Found::read)
        });
        Some(Self {
            files,
            pieces,
            at_hand: HashMap::new(),
            buffer: Vec::new(),
        })
    }

    /// What the other end is told of them.
    pub(super) fn told(&self) -> HeldPieces {
        self.pieces.told()
    }

    fn at_hand(&mut self, source: usize) -> io::Result<&AtHand> {
        if self.at_hand.len() >= MOST_AT_HAND && !self.at_hand.contains_key(&source) {
            self.at_hand.clear();
        }
        match self.at_hand.entry(source) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let file = self.files.get(source).ok_or(io::ErrorKind::NotFound)?;
                Ok(slot.insert(AtHand::open(file)?))
            }
        }
    }
}

impl Held for FilePieces<'_> {
    fn copy(&mut self, piece: u32, out: &mut impl Write) -> io::Result<Option<u64>> {
        let Some(place) = self.pieces.place(piece) else {
            return Ok(None);
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let source = self.at_hand(place.source);
        let copied = source.and_then(|source| source.copy(place, &mut buffer, out));
        self.buffer = buffer;
        copied?;
        Ok(Some(place.length as u64))
    }
}

/// First what was at the same place; then, as far as it is worth it, what the new tree has no more,
/// since it may have been renamed. Also how many bytes.
fn alike<'a>(lacking: &[&Entry], tree: &Tree, bases: &'a [Base]) -> (Vec<(&'a Base, String)>, u64) {
    let places: HashSet<&str> = lacking.iter().map(|entry| entry.path.as_str()).collect();
    let wanted: HashSet<Sha256Digest> = tree.entries().iter().map(|entry| entry.digest).collect();
    let most = lacking.iter().map(|entry| entry.size).sum::<u64>() * 2 + SPARE;
    let (mut same_place, mut gone) = (Vec::new(), Vec::new());
    let newest = bases.iter().position(Base::is_whole);
    for (number, base) in bases.iter().enumerate() {
        // The releases before the newest have little that it has not; what broke off may have.
        if base.is_whole() && newest != Some(number) {
            continue;
        }
        let Some(held) = base.tree() else { continue };
        for entry in held.entries() {
            if !matches!(entry.kind, Kind::File | Kind::Executable) {
                continue;
            }
            if places.contains(entry.path.as_str()) {
                same_place.push((base, entry.path.clone()));
            } else if !wanted.contains(&entry.digest) {
                gone.push((base, entry.path.clone()));
            }
        }
    }
    let mut bytes = 0;
    let mut chosen = Vec::new();
    for (base, path) in same_place.into_iter().chain(gone) {
        let Ok(size) = base.file(&path).map(|found| found.size()) else {
            continue;
        };
        if size > 0 && bytes + size <= most {
            bytes += size;
            chosen.push((base, path));
        }
    }
    (chosen, bytes)
}
