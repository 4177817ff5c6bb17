//! The length-prefixed strings of SSH.

/// Takes strings off the front of a blob.
#[derive(Debug)]
pub(super) struct Strings<'a>(pub(super) &'a [u8]);

impl<'a> Strings<'a> {
    /// The next string, or nothing where the blob is cut short.
    pub(super) fn take(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.take_number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    /// The next number of 32 bits.
    pub(super) fn take_number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// The next number of 64 bits.
    pub(super) fn take_long(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    /// The next byte.
    pub(super) fn take_byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends `string` with its length before it.
pub(super) fn put(out: &mut Vec<u8>, string: &[u8]) {
    // What is put here is a digest, a key or a constant: never near 4 GiB.
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(string);
}
