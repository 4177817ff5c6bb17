//! Short fingerprints of pieces.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::cut::PieceSize;
use crate::digest::Sha256Digest;

const LENGTH: usize = 6;

/// The beginning of a piece's SHA-256. Two pieces may share one by chance, which the digest of the
/// whole content brings to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Print([u8; LENGTH]);

impl Print {
    /// The fingerprint of one piece.
    pub fn of(piece: &[u8]) -> Self {
        let [a, b, c, d, e, f, ..] = *Sha256Digest::of(piece).as_bytes();
        Self([a, b, c, d, e, f])
    }
}

/// What one end holds, as the other is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPieces {
    /// The size of the pieces.
    size: u32,
    /// The fingerprints of all of them in their order, as Base64.
    prints: String,
}

impl HeldPieces {
    /// As many fit in one message, beside all else that it says.
    pub const MOST: usize = 16_384;

    /// Says which pieces are held.
    pub fn new(size: PieceSize, prints: &[Print]) -> Self {
        let bytes: Vec<u8> = prints.iter().flat_map(|print| print.0).collect();
        Self {
            size: size.bytes(),
            prints: STANDARD_NO_PAD.encode(bytes),
        }
    }

    /// The size of the pieces, and the number of each; nothing where this was not said by us.
    pub fn read(&self) -> Option<(PieceSize, HashMap<Print, u32>)> {
        let size = PieceSize::new(self.size)?;
        let bytes = STANDARD_NO_PAD.decode(&self.prints).ok()?;
        let (prints, rest) = bytes.as_chunks::<LENGTH>();
        if !rest.is_empty() || prints.len() > Self::MOST {
            return None;
        }
        let mut numbers = HashMap::with_capacity(prints.len());
        for (number, print) in (0..).zip(prints) {
            numbers.entry(Print(*print)).or_insert(number);
        }
        Some((size, numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_reads_as_it_was_said() {
        let prints = [b"one", b"two", b"six"].map(|piece| Print::of(piece));
        let held = HeldPieces::new(PieceSize::SMALLEST, &prints);
        let (size, numbers) = held.read().unwrap();
        assert_eq!(size, PieceSize::SMALLEST);
        assert_eq!(prints.map(|print| numbers[&print]), [0, 1, 2]);
    }

    #[test]
    fn what_nobody_says_is_refused() {
        let held = |size, prints: &str| HeldPieces {
            size,
            prints: prints.to_owned(),
        };
        assert!(held(64, "AAAAAAAA").read().is_some());
        assert!(held(63, "AAAAAAAA").read().is_none());
        assert!(held(64, "AAAAAAA").read().is_none());
        assert!(held(64, "AAAA AAA").read().is_none());
        assert!(
            held(64, &"AAAAAAAA".repeat(HeldPieces::MOST + 1))
                .read()
                .is_none()
        );
    }
}
