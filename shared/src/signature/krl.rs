//! Binary lists of revoked keys, as `ssh-keygen -k` writes them. What is not understood refuses the
//! whole list.

use super::listed_key::ListedKey;
use super::wire_format::Strings;

pub(super) const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;
const CERTIFICATES: u8 = 1;
const KEYS: u8 = 2;
const SHA256: u8 = 5;
const SERIALS: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_IDS: u8 = 0x23;

/// What OpenSSH takes for a number at most, with a byte for the sign.
const LONGEST_BITMAP: usize = 2048 + 1;

/// What a list holds.
#[derive(Debug, Default)]
pub(super) struct Krl {
    /// Whole keys.
    pub(super) keys: Vec<Vec<u8>>,
    /// Digests of keys.
    pub(super) digests: Vec<[u8; 32]>,
    pub(super) certificates: Vec<RevokedCertificates>,
}

/// Certificates of one authority, or of any where it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RevokedCertificates {
    pub(super) authority: Vec<u8>,
    /// From and to, both among them.
    pub(super) serials: Vec<(u64, u64)>,
    pub(super) key_ids: Vec<String>,
}

impl Krl {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut krl = Self::default();
        krl.read(bytes)?;
        Some(krl)
    }

    fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let mut fields = Strings(bytes.strip_prefix(MAGIC)?);
        if fields.take_number()? != FORMAT {
            return None;
        }
        let (_number, _made, _flags) = (
            fields.take_long()?,
            fields.take_long()?,
            fields.take_long()?,
        );
        let (_reserved, _comment) = (fields.take()?, fields.take()?);
        while !fields.is_done() {
            let (kind, body) = (fields.take_byte()?, fields.take()?);
            self.section(kind, Strings(body))?;
        }
        Some(())
    }

    fn section(&mut self, kind: u8, mut body: Strings<'_>) -> Option<()> {
        if kind == CERTIFICATES {
            self.certificates.push(certificates(body)?);
            return Some(());
        }
        while !body.is_done() {
            let entry = body.take()?;
            match kind {
                KEYS => self.keys.push(entry.to_vec()),
                SHA256 => self.digests.push(entry.try_into().ok()?),
                _ => return None,
            }
        }
        // An empty section of an unknown kind is one that is not understood, too.
        matches!(kind, KEYS | SHA256).then_some(())
    }
}

fn certificates(mut body: Strings<'_>) -> Option<RevokedCertificates> {
    let authority = body.take()?;
    if !authority.is_empty() {
        ListedKey::of(authority.to_vec()).filter(|key| !key.certified)?;
    }
    let mut revoked = RevokedCertificates {
        authority: authority.to_vec(),
        ..RevokedCertificates::default()
    };
    let _reserved = body.take()?;
    while !body.is_done() {
        let (kind, section) = (body.take_byte()?, body.take()?);
        let mut section = Strings(section);
        match kind {
            SERIALS => {
                while !section.is_done() {
                    let serial = section.take_long()?;
                    revoked.serials.push(range(serial, serial)?);
                }
            }
            SERIAL_RANGE => {
                let (from, to) = (section.take_long()?, section.take_long()?);
                revoked.serials.push(range(from, to)?);
            }
            SERIAL_BITMAP => {
                let (offset, bits) = (section.take_long()?, section.take()?);
                bitmap(offset, bits, &mut revoked.serials)?;
            }
            KEY_IDS => {
                while !section.is_done() {
                    let id = str::from_utf8(section.take()?).ok()?;
                    revoked.key_ids.push(id.to_owned());
                }
            }
            _ => return None,
        }
        if !section.is_done() {
            return None;
        }
    }
    Some(revoked)
}

/// 0 is what certificates without a serial number have, and is never among them.
fn range(from: u64, to: u64) -> Option<(u64, u64)> {
    (0 < from && from <= to).then_some((from, to))
}

/// The lowest bit of the last byte stands for `offset`. The bits are written as a number, which is
/// never a negative one.
fn bitmap(offset: u64, bits: &[u8], serials: &mut Vec<(u64, u64)>) -> Option<()> {
    if bits.len() > LONGEST_BITMAP || bits.first().is_some_and(|first| *first >= 0x80) {
        return None;
    }
    for (byte, at) in bits.iter().rev().zip(0_u64..) {
        for bit in 0..8 {
            if byte & (1 << bit) != 0 {
                let serial = offset.checked_add(at * 8 + bit)?;
                serials.push(range(serial, serial)?);
            }
        }
    }
    Some(())
}
