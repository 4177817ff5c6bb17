//! Bytes to frames and back, without any I/O: whoever has a stream feeds it.
//!
//! A frame is a length of four bytes (big-endian, of what follows), a byte for its kind, and its
//! content. A conversation begins with [`MAGIC`] from the agent, because a login script may print
//! before it.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// What the agent sends before its first frame. No login script prints it by accident.
pub const MAGIC: &[u8; 12] = b"\0longshore\0\n";
/// How much may be printed before [`MAGIC`].
pub const LONGEST_PREAMBLE: usize = 64 * 1024;
/// The longest content of one frame.
pub const LARGEST_FRAME: usize = 256 * 1024;
/// How much bulk data goes into one frame.
pub const CHUNK: usize = 128 * 1024;

const CONTROL: u8 = b'J';
const DATA: u8 = b'D';
const HEADER: usize = 5;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message in JSON.
    Control(Vec<u8>),
    /// Bulk data.
    Data(Vec<u8>),
}

/// Why bytes are no frame or no message.
#[derive(Debug, Error)]
pub enum CodecError {
    #[error("a frame of {0} bytes was announced, and {LARGEST_FRAME} are the most")]
    TooLong(usize),
    #[error("a frame of kind {0:#04x} is not known")]
    Kind(u8),
    #[error("a message cannot be read")]
    Message(#[source] serde_json::Error),
    #[error("a message was expected, and bulk data came")]
    UnexpectedData,
    #[error("{LONGEST_PREAMBLE} bytes came without a greeting of longshore-agent in them")]
    NoGreeting,
}

impl Frame {
    /// A message as a frame.
    pub fn message<T: Serialize>(message: &T) -> Result<Self, CodecError> {
        serde_json::to_vec(message)
            .map(Self::Control)
            .map_err(CodecError::Message)
    }

    /// The message in a frame.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        match self {
            Self::Control(json) => serde_json::from_slice(json).map_err(CodecError::Message),
            Self::Data(_) => Err(CodecError::UnexpectedData),
        }
    }

    /// Appends the frame's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let (kind, content) = match self {
            Self::Control(content) => (CONTROL, content),
            Self::Data(content) => (DATA, content),
        };
        if content.len() > LARGEST_FRAME {
            return Err(CodecError::TooLong(content.len()));
        }
        let length =
            u32::try_from(content.len() + 1).map_err(|_| CodecError::TooLong(content.len()))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.push(kind);
        out.extend_from_slice(content);
        Ok(())
    }
}

/// Collects bytes until they are frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    preamble: Option<usize>,
}

impl Decoder {
    /// Expects frames from the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Skips what comes before [`MAGIC`].
    pub fn after_greeting() -> Self {
        Self {
            preamble: Some(0),
            ..Self::default()
        }
    }

    /// Takes in what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// What was printed before the greeting so far, for an error message.
    pub fn preamble(&self) -> &[u8] {
        if self.preamble.is_some() {
            self.waiting()
        } else {
            &[]
        }
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, CodecError> {
        if self.preamble.is_some() && !self.skip_preamble()? {
            return Ok(None);
        }
        let Some((header, rest)) = self.waiting().split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [a, b, c, d, kind] = *header;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let content = match length.checked_sub(1) {
            Some(content) if content <= LARGEST_FRAME => content,
            _ => return Err(CodecError::TooLong(length)),
        };
        if !matches!(kind, CONTROL | DATA) {
            return Err(CodecError::Kind(kind));
        }
        let Some(content) = rest.get(..content) else {
            return Ok(None);
        };
        let content = content.to_vec();
        self.start += HEADER + content.len();
        Ok(Some(if kind == CONTROL {
            Frame::Control(content)
        } else {
            Frame::Data(content)
        }))
    }

    /// Whether bytes of an unfinished frame are left.
    pub fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn skip_preamble(&mut self) -> Result<bool, CodecError> {
        let searched = self.preamble.unwrap_or_default();
        let unsearched = self.waiting().get(searched..).unwrap_or_default();
        if let Some(at) = unsearched
            .windows(MAGIC.len())
            .position(|window| window == MAGIC)
        {
            self.start += searched + at + MAGIC.len();
            self.preamble = None;
            return Ok(true);
        }
        if self.waiting().len() > LONGEST_PREAMBLE + MAGIC.len() {
            return Err(CodecError::NoGreeting);
        }
        self.preamble = Some(self.waiting().len().saturating_sub(MAGIC.len() - 1));
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(frames: &[Frame]) -> Vec<u8> {
        let mut out = Vec::new();
        frames
            .iter()
            .for_each(|frame| frame.encode(&mut out).unwrap());
        out
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_kept() {
        for length in [0u32, LARGEST_FRAME as u32 + 2, u32::MAX] {
            let mut decoder = Decoder::new();
            decoder.feed(&length.to_be_bytes());
            decoder.feed(b"J");
            assert!(matches!(decoder.next_frame(), Err(CodecError::TooLong(_))));
        }
    }

    #[test]
    fn unknown_kinds_are_refused() {
        let mut decoder = Decoder::new();
        decoder.feed(&[0, 0, 0, 1, b'X']);
        assert!(matches!(decoder.next_frame(), Err(CodecError::Kind(b'X'))));
    }

    #[test]
    fn what_a_login_script_prints_is_skipped_up_to_a_bound() {
        let frame = Frame::Control(b"1".to_vec());
        let mut decoder = Decoder::after_greeting();
        decoder.feed(b"Welcome!\n\0longsh");
        assert_eq!(decoder.next_frame().unwrap(), None);
        decoder.feed(b"ore\0\n");
        decoder.feed(&bytes(std::slice::from_ref(&frame)));
        assert_eq!(decoder.next_frame().unwrap(), Some(frame));

        let mut flooded = Decoder::after_greeting();
        let outcome = (0..1000).try_for_each(|_| {
            flooded.feed(&[b'x'; 1024]);
            flooded.next_frame().map(|_| ())
        });
        assert!(matches!(outcome, Err(CodecError::NoGreeting)));
        assert!(flooded.preamble().len() < 2 * LONGEST_PREAMBLE);
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_frames(
            contents in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..8),
            cut in 1usize..50,
        ) {
            let frames: Vec<Frame> = contents
                .into_iter()
                .map(|(control, content)| if control { Frame::Control(content) } else { Frame::Data(content) })
                .collect();
            let mut decoder = Decoder::new();
            let mut seen = Vec::new();
            for piece in bytes(&frames).chunks(cut) {
                decoder.feed(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame);
                }
            }
            prop_assert_eq!(seen, frames);
            prop_assert!(decoder.is_empty());
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::new();
            decoder.feed(&noise);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }
}
