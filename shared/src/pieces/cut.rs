//! Where a content is cut.

use std::io::{self, Read};

/// How long pieces are, roughly: a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceSize(u32);

impl PieceSize {
    /// About a line of text.
    pub const SMALLEST: Self = Self(64);
    /// The longest piece, and so what has to fit in memory, is eight times as long.
    pub const LARGEST: Self = Self(256 * 1024);

    /// The size of this many bytes, if it is one.
    pub fn new(bytes: u32) -> Option<Self> {
        let within = (Self::SMALLEST.0..=Self::LARGEST.0).contains(&bytes);
        (within && bytes.is_power_of_two()).then_some(Self(bytes))
    }

    /// The smallest that cuts `bytes` into no more than `pieces`, as a guess.
    pub fn fitting(bytes: u64, pieces: usize) -> Self {
        let mut size = Self::SMALLEST;
        while u64::from(size.0).saturating_mul(pieces as u64) < bytes
            && let Some(larger) = size.doubled()
        {
            size = larger;
        }
        size
    }

    /// The next size, if there is one.
    pub fn doubled(self) -> Option<Self> {
        Self::new(self.0 * 2)
    }

    /// In bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }

    fn shortest(self) -> usize {
        self.0 as usize / 8
    }

    fn longest(self) -> usize {
        self.0 as usize * 8
    }

    /// How many bits of the rolling hash have to be zero for a cut behind a line, and behind any
    /// other byte. Lines are what people change, so their ends are preferred: in the smallest pieces
    /// each is a cut.
    fn bits(self) -> (u32, u32) {
        let log = self.0.trailing_zeros();
        (log - Self::SMALLEST.0.trailing_zeros(), log + 2)
    }
}

/// Cuts what it reads.
#[derive(Debug)]
pub struct Cut<R> {
    reader: R,
    size: PieceSize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

const LEAST_BUFFER: usize = 128 * 1024;

impl<R: Read> Cut<R> {
    /// Cuts all of `reader` into pieces of about `size`.
    pub fn new(reader: R, size: PieceSize) -> Self {
        Self {
            reader,
            size,
            buffer: vec![0; LEAST_BUFFER.max(2 * size.longest())],
            start: 0,
            end: 0,
        }
    }

    /// The next piece; nothing at the end.
    pub fn next_piece(&mut self) -> io::Result<Option<&[u8]>> {
        if self.end - self.start < self.size.longest() {
            self.fill()?;
        }
        let from = self.start;
        let waiting = self.buffer.get(from..self.end).unwrap_or_default();
        let length = first_cut(waiting, self.size);
        self.start += length;
        let piece = self.buffer.get(from..self.start).unwrap_or_default();
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while let Some(room) = self.buffer.get_mut(self.end..).filter(|r| !r.is_empty()) {
            match self.reader.read(room) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How long the first piece of `bytes` is, which begin at a cut.
fn first_cut(bytes: &[u8], size: PieceSize) -> usize {
    let (behind_lines, elsewhere) = size.bits();
    let masks = [mask(elsewhere), mask(behind_lines)];
    let mut hash = 0u64;
    for (at, byte) in bytes.iter().take(size.longest()).enumerate() {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        let mask = masks[usize::from(*byte == b'\n')];
        if hash & mask == 0 && at + 1 >= size.shortest() {
            return at + 1;
        }
    }
    bytes.len().min(size.longest())
}

/// The highest bits hang on the most bytes.
const fn mask(bits: u32) -> u64 {
    if bits == 0 {
        0
    } else {
        u64::MAX << (64 - bits)
    }
}

/// A number for each byte. They are part of the protocol: both ends have to cut alike.
const GEAR: [u64; 256] = {
    let mut gear = [0; 256];
    let mut at = 0;
    while at < gear.len() {
        gear[at] = mixed(at as u64);
        at += 1;
    }
    gear
};

/// The step of splitmix64.
const fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(content: &[u8], size: PieceSize) -> Vec<Vec<u8>> {
        let mut cut = Cut::new(content, size);
        let mut pieces = Vec::new();
        while let Some(piece) = cut.next_piece().unwrap() {
            pieces.push(piece.to_vec());
        }
        pieces
    }

    fn noise(bytes: usize) -> Vec<u8> {
        (0..bytes)
            .map(|at| (mixed(at as u64) >> 56) as u8)
            .collect()
    }

    #[test]
    fn both_ends_cut_alike_for_ever() {
        // A change of these numbers makes every host and every controller of other versions send
        // more than they need.
        let lengths: Vec<usize> = cut(&noise(2000), PieceSize::SMALLEST)
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(
            lengths,
            [318, 257, 257, 22, 250, 161, 34, 134, 105, 229, 233]
        );
    }

    #[test]
    fn an_insertion_moves_no_later_cut() {
        for size in [64, 1024, 8192].map(|bytes| PieceSize::new(bytes).unwrap()) {
            let old = noise(400_000);
            let mut new = old.clone();
            new.splice(1000..1003, *b"inserted");
            let (old, new) = (cut(&old, size), cut(&new, size));
            let kept = new.iter().filter(|piece| old.contains(piece)).count();
            assert!(kept + 3 >= new.len(), "{kept} of {} at {size:?}", new.len());
        }
    }

    #[test]
    fn lines_are_pieces() {
        let text = "first line\nsecond line\n\nthird line\n";
        let pieces = cut(text.as_bytes(), PieceSize::SMALLEST);
        let lines: Vec<&[u8]> = vec![b"first line\n", b"second line\n", b"\nthird line\n"];
        assert_eq!(pieces, lines);
    }

    #[test]
    fn a_size_fits_its_content() {
        assert_eq!(PieceSize::fitting(1000, 100), PieceSize::SMALLEST);
        assert_eq!(PieceSize::fitting(100_000, 1000).bytes(), 128);
        assert_eq!(PieceSize::fitting(u64::MAX, 1000), PieceSize::LARGEST);
        assert!(
            [0, 32, 65, 512 * 1024]
                .iter()
                .all(|bytes| PieceSize::new(*bytes).is_none())
        );
    }

    proptest! {
        #[test]
        fn pieces_are_the_content(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let pieces = cut(&content, PieceSize::SMALLEST);
            prop_assert_eq!(pieces.concat(), content);
            let longest = PieceSize::SMALLEST.longest();
            prop_assert!(pieces.iter().all(|piece| piece.len() <= longest));
        }
    }
}
