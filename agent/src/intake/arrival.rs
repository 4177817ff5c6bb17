//! What comes in from the controller: one zstd frame for each question, with contents in it that
//! are told plainly or as recipes.

use std::io::{self, BufRead as _, BufReader, Read, Take, Write};

use longshore_shared::pieces::{Held, RecipeReader};
use zstd::stream::read::Decoder;

use crate::peer::PeerError;

/// A window of 8 MiB bounds what a frame can make the agent reserve.
const LARGEST_WINDOW_LOG: u32 = 23;

/// Nobody keeps an operation, and with it the lock, by an answer without an end. Neither what does
/// not compress nor a recipe of short pieces is longer.
fn most(bytes: u64) -> u64 {
    bytes.saturating_mul(2).saturating_add(1 << 20)
}

/// Reads the rest of an answer that is of no use.
pub(super) fn drain(rest: impl Read, bytes: u64) -> io::Result<()> {
    let most = most(bytes);
    if io::copy(&mut rest.take(most), &mut io::sink())? < most {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "much more was sent than was asked for",
    ))
}

/// The contents of one answer, in the order in which they were asked for.
pub(super) struct Arrival<R: Read, H> {
    told: Told<Frame<R>, H>,
}

type Frame<R> = BufReader<Decoder<'static, BufReader<Take<R>>>>;

enum Told<F, H> {
    Plainly(F),
    AsRecipes(RecipeReader<F>, H),
}

/// Whether pieces went into a content, which may then be at fault for what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    OfWhatCame,
    OfPieces,
}

impl<R: Read, H: Held> Arrival<R, H> {
    /// Reads an answer to a question for so many bytes; of recipes, if the question said what is held.
    pub(super) fn new(data: R, bytes: u64, held: Option<H>) -> io::Result<Self> {
        let mut decoder = Decoder::new(data.take(most(bytes)))?.single_frame();
        decoder.window_log_max(LARGEST_WINDOW_LOG)?;
        let frame = BufReader::new(decoder);
        let told = match held {
            None => Told::Plainly(frame),
            Some(held) => Told::AsRecipes(RecipeReader::new(frame), held),
        };
        Ok(Self { told })
    }

    /// Writes the next content to `out`.
    pub(super) fn next(&mut self, bytes: u64, out: &mut impl Write) -> io::Result<Made> {
        match &mut self.told {
            Told::Plainly(frame) => {
                // A content that is too short is for its digest to tell.
                io::copy(&mut frame.take(bytes), out)?;
                Ok(Made::OfWhatCame)
            }
            Told::AsRecipes(recipes, held) => Ok(match recipes.follow(bytes, held, out)? {
                true => Made::OfPieces,
                false => Made::OfWhatCame,
            }),
        }
    }

    /// Makes sure that the frame and what carried it end together, right after the last wanted
    /// byte.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut frame = match self.told {
            Told::Plainly(frame) => frame,
            Told::AsRecipes(recipes, _) => recipes.into_inner(),
        };
        let ends_here = frame.fill_buf()?.is_empty();
        let mut data = frame.into_inner().finish();
        if ends_here && data.fill_buf()?.is_empty() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "more was sent than was signed",
        ))
    }
}

/// Why the connection ended, if that is what went wrong, and not what was sent.
pub(super) fn cut_off(error: &io::Error) -> Option<&PeerError> {
    let cause: &PeerError = error.get_ref()?.downcast_ref()?;
    let ended = matches!(
        cause,
        PeerError::Broken(_) | PeerError::Silent | PeerError::Cancelled
    );
    ended.then_some(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Held for Nothing {
        fn copy(&mut self, _: u32, _: &mut impl Write) -> io::Result<Option<u64>> {
            Ok(None)
        }
    }

    fn arrival(frame: &[u8]) -> Arrival<&[u8], Nothing> {
        Arrival::new(frame, 1 << 20, None).unwrap()
    }

    #[test]
    fn a_frame_ends_where_it_was_said_to_end() {
        let frame = zstd::encode_all(&b"content"[..], 3).unwrap();
        let mut text = Vec::new();
        let mut good = arrival(&frame);
        good.next(7, &mut text).unwrap();
        good.finish().unwrap();
        assert_eq!(text, b"content");

        let mut long = arrival(&frame);
        long.next(3, &mut io::sink()).unwrap();
        assert!(long.finish().is_err());

        let mut followed = frame.clone();
        followed.push(0);
        let mut followed = arrival(&followed);
        followed.next(7, &mut io::sink()).unwrap();
        assert!(followed.finish().is_err());

        let mut cut = arrival(&frame[..frame.len() - 1]);
        assert!(cut.next(8, &mut io::sink()).is_err() || cut.finish().is_err());
    }

    #[test]
    fn a_frame_with_a_huge_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 19).unwrap();
        encoder.window_log(27).unwrap();
        let content = vec![7; 64 << 20];
        encoder.write_all(&content).unwrap();
        let frame = encoder.finish().unwrap();
        let mut wide = arrival(&frame);
        assert!(wide.next(content.len() as u64, &mut io::sink()).is_err());
    }
}
