//! A content, told as new bytes and runs of held pieces in turn.
//!
//! Numbers are little-endian in groups of seven bits. A content of `size` bytes is: how many bytes
//! are new, these bytes; then, unless it is complete, how many held pieces follow, and where they
//! begin, counted from the end of the run before; and so on. Several contents follow each other.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use super::cut::{Cut, PieceSize};
use super::print::Print;

/// So many new bytes are held back at most, since their number is told first.
const MOST_NEW: usize = 256 * 1024;

/// So much may be in runs that nothing is said about yet.
const MOST_UNSAID: usize = 64 * 1024 * 1024;

/// Pieces that follow each other where they are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u32,

    count: u32,
}

/// Tells contents to whoever holds pieces.
#[derive(Debug)]
pub struct RecipeWriter<'a, W> {
    out: W,
    size: PieceSize,
    held: &'a HashMap<Print, u32>,
    /// Where the last run ended.
    expected: u32,
    new: Vec<u8>,
    /// Bytes of contents since something was last told for certain.
    unsaid: usize,
}

impl<'a, W: Write> RecipeWriter<'a, W> {
    /// Writes to `out` for one who holds these pieces.
    pub fn new(out: W, size: PieceSize, held: &'a HashMap<Print, u32>) -> Self {
        Self {
            out,
            size,
            held,
            expected: 0,
            new: Vec::new(),
            unsaid: 0,
        }
    }

    /// Tells one content, of so many bytes.
    pub fn tell(&mut self, content: impl Read, bytes: u64) -> io::Result<()> {
        let mut cut = Cut::new(content, self.size);
        let mut left = bytes;
        let mut run: Option<Run> = None;
        while let Some(piece) = cut.next_piece()? {
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| io::Error::other("a content is longer than it was said to be"))?;
            self.unsaid += piece.len();
            let held = self.held.get(&Print::of(piece)).copied();
            match (&mut run, held) {
                (Some(run), Some(number)) if run.first + run.count == number => run.count += 1,
                (_, Some(number)) => {
                    if let Some(before) = run.take() {
                        self.write(before)?;
                    }
                    run = Some(Run {
                        first: number,
                        count: 1,
                    });
                }
                (_, None) => {
                    if let Some(before) = run.take() {
                        self.write(before)?;
                    }
                    self.new.extend_from_slice(piece);
                    if self.new.len() >= MOST_NEW && left > 0 {
                        self.write(NOTHING)?;
                    }
                }
            }
            // A host that waits must see now and then that there is somebody.
            if self.unsaid >= MOST_UNSAID && left > 0 {
                if run.is_some() || !self.new.is_empty() {
                    self.write(run.take().unwrap_or(NOTHING))?;
                }
                self.out.flush()?;
                self.unsaid = 0;
            }
        }
        if left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match run {
            Some(run) => self.write(run),
            None if self.new.is_empty() => Ok(()),
            None => self.write_new(),
        }
    }

    /// What all was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn write(&mut self, run: Run) -> io::Result<()> {
        self.write_new()?;
        write_number(&mut self.out, u64::from(run.count))?;
        if run.count > 0 {
            let moved = i64::from(run.first) - i64::from(self.expected);
            write_number(&mut self.out, (moved << 1 ^ moved >> 63).cast_unsigned())?;
            self.expected = run.first + run.count;
        }
        Ok(())
    }

    fn write_new(&mut self) -> io::Result<()> {
        write_number(&mut self.out, self.new.len() as u64)?;
        self.out.write_all(&self.new)?;
        self.new.clear();
        Ok(())
    }
}

const NOTHING: Run = Run { first: 0, count: 0 };

/// Understands what a [`RecipeWriter`] tells.
#[derive(Debug)]
pub struct RecipeReader<R> {
    input: R,
    expected: u32,
}

/// Where held pieces lie.
pub trait Held {
    /// Writes one piece to `out`, and says how long it is. Nothing if there is no such piece.
    fn copy(&mut self, piece: u32, out: &mut impl Write) -> io::Result<Option<u64>>;
}

impl<H: Held> Held for &mut H {
    fn copy(&mut self, piece: u32, out: &mut impl Write) -> io::Result<Option<u64>> {
        (**self).copy(piece, out)
    }
}

impl<R: Read> RecipeReader<R> {
    /// Reads contents that were told one after the other.
    pub fn new(input: R) -> Self {
        Self { input, expected: 0 }
    }

    /// Writes the next content, of so many bytes, to `out`. Whether pieces went into it.
    pub fn follow(
        &mut self,
        bytes: u64,
        held: &mut impl Held,
        out: &mut impl Write,
    ) -> io::Result<bool> {
        let mut left = bytes;
        let mut pieces = false;
        while left > 0 {
            let new = self.read_number()?;
            left = left.checked_sub(new).ok_or_else(too_long)?;
            if io::copy(&mut (&mut self.input).take(new), out)? < new {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if left == 0 {
                break;
            }
            let run = self.read_run()?;
            let before = left;
            pieces |= run.count > 0;
            for piece in run.first..self.expected {
                let length = held.copy(piece, out)?;
                let length = length.ok_or_else(|| wrong("a piece that is not held"))?;
                left = left.checked_sub(length).ok_or_else(too_long)?;
            }
            if new == 0 && left == before {
                return Err(wrong("a recipe that never ends"));
            }
        }
        Ok(pieces)
    }

    /// What all was read from.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn read_run(&mut self) -> io::Result<Run> {
        let count = u32::try_from(self.read_number()?).map_err(|_| wrong("a run without end"))?;
        if count == 0 {
            return Ok(Run {
                first: self.expected,
                count,
            });
        }
        let moved = self.read_number()?;
        let moved = (moved >> 1).cast_signed() ^ -(moved & 1).cast_signed();
        let first = i64::from(self.expected).checked_add(moved);
        let first = first.and_then(|first| u32::try_from(first).ok());
        let end = first.and_then(|first| first.checked_add(count));
        let (first, end) = first
            .zip(end)
            .ok_or_else(|| wrong("a piece that is not held"))?;
        self.expected = end;
        Ok(Run { first, count })
    }

    fn read_number(&mut self) -> io::Result<u64> {
        let mut number = 0u64;
        for group in 0..10 {
            let mut byte = [0];
            self.input.read_exact(&mut byte)?;
            let [byte] = byte;
            let bits = u64::from(byte & 0x7f);
            let placed = bits << (7 * group);
            if placed >> (7 * group) != bits {
                break;
            }
            number |= placed;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(wrong("a number without end"))
    }
}

fn write_number(out: &mut impl Write, mut number: u64) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(10);
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    out.write_all(&bytes)
}

fn too_long() -> io::Error {
    wrong("more than the content")
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} was sent"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Pieces(Vec<Vec<u8>>);

    impl Pieces {
        fn of(content: &[u8]) -> Self {
            let mut cut = Cut::new(content, PieceSize::SMALLEST);
            let mut pieces = Vec::new();
            while let Some(piece) = cut.next_piece().unwrap() {
                pieces.push(piece.to_vec());
            }
            Self(pieces)
        }

        fn numbers(&self) -> HashMap<Print, u32> {
            let prints = self.0.iter().map(|piece| Print::of(piece));
            prints.zip(0..).collect()
        }
    }

    impl Held for Pieces {
        fn copy(&mut self, piece: u32, out: &mut impl Write) -> io::Result<Option<u64>> {
            let Some(piece) = self.0.get(piece as usize) else {
                return Ok(None);
            };
            out.write_all(piece)?;
            Ok(Some(piece.len() as u64))
        }
    }

    fn told(held: &Pieces, contents: &[&[u8]]) -> Vec<u8> {
        let numbers = held.numbers();
        let mut writer = RecipeWriter::new(Vec::new(), PieceSize::SMALLEST, &numbers);
        for content in contents {
            writer.tell(*content, content.len() as u64).unwrap();
        }
        writer.into_inner()
    }

    fn follow(held: &mut Pieces, told: &[u8], bytes: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        RecipeReader::new(told).follow(bytes, held, &mut out)?;
        Ok(out)
    }

    fn text(lines: std::ops::Range<u32>) -> Vec<u8> {
        let line = |at| format!("line {at}, which nobody else has {}\n", at * 7919);
        lines.map(line).collect::<String>().into_bytes()
    }

    #[test]
    fn only_what_is_new_is_told() {
        let old = text(0..1000);
        let mut held = Pieces::of(&old);
        let new = [&text(0..400)[..], b"changed\n", &text(401..1000)].concat();
        let told = told(&held, &[&new, &old]);
        assert!(told.len() < 80, "{}", told.len());
        let mut reader = RecipeReader::new(&told[..]);
        for content in [&new, &old] {
            let mut out = Vec::new();
            let pieces = reader.follow(content.len() as u64, &mut held, &mut out);
            assert!(pieces.unwrap());
            assert_eq!(out, *content);
        }
        assert!(reader.into_inner().is_empty());
    }

    #[test]
    fn all_is_told_where_nothing_is_held() {
        let new = text(0..20_000);
        let mut nothing = Pieces(Vec::new());
        let told = told(&nothing, &[&new]);
        assert!(told.len() < new.len() + 50);
        assert_eq!(follow(&mut nothing, &told, new.len() as u64).unwrap(), new);
    }

    #[test]
    fn what_nobody_tells_is_an_error_and_nothing_else() {
        let mut held = Pieces(vec![b"piece".to_vec(); 3]);
        let mut wrong = |told: &[u8], bytes: u64| follow(&mut held, told, bytes).unwrap_err();
        assert!(wrong(&[0, 0], 5).to_string().contains("never ends"));
        assert!(
            wrong(&[6, 1, 2, 3, 4, 5, 6], 5)
                .to_string()
                .contains("more than")
        );
        // The last number that there is, and one piece from there.
        assert!(
            wrong(&[0, 1, 0xfe, 0xff, 0xff, 0xff, 0x1f], 5)
                .to_string()
                .contains("not held")
        );
        assert!(wrong(&[0, 1, 6], 5).to_string().contains("not held"));
        assert!(wrong(&[0, 1, 1], 5).to_string().contains("not held"));
        assert!(wrong(&[0, 3, 2], 9).to_string().contains("more than"));
        assert!(wrong(&[0x80; 11], 5).to_string().contains("without end"));
        assert!(wrong(&[0xff; 10], 5).to_string().contains("without end"));
        let cut = wrong(&[5, 1, 2], 5);
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #[test]
        fn contents_come_out_as_they_went_in(
            old in proptest::collection::vec(0u32..60, 0..200),
            new in proptest::collection::vec(proptest::collection::vec(0u32..90, 0..200), 0..5),
        ) {
            let content = |lines: &Vec<u32>| -> Vec<u8> {
                lines.iter().flat_map(|line| text(*line..line + 1)).collect()
            };
            let mut held = Pieces::of(&content(&old));
            let new: Vec<Vec<u8>> = new.iter().map(content).collect();
            let slices: Vec<&[u8]> = new.iter().map(Vec::as_slice).collect();
            let told = told(&held, &slices);
            let mut reader = RecipeReader::new(&told[..]);
            for content in new {
                let mut out = Vec::new();
                reader.follow(content.len() as u64, &mut held, &mut out).unwrap();
                prop_assert_eq!(out, content);
            }
        }

        #[test]
        fn noise_is_an_error_or_a_content_of_the_right_length(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            bytes in 0u64..300,
        ) {
            let mut held = Pieces(vec![b"piece".to_vec(); 30]);
            if let Ok(out) = follow(&mut held, &noise, bytes) {
                prop_assert_eq!(out.len() as u64, bytes);
            }
        }
    }
}
