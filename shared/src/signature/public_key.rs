//! Public keys as SSH writes them, and whether a signature was made with one: ed25519, ECDSA on the
//! three NIST curves, and the same two kept on a security token (`sk-…`).
//!
//! A token signs its application, whether its owner touched it, and a counter beside the message.
//! One that nobody touched proves no person's will, and is refused.

use ed25519_dalek::VerifyingKey as Ed25519;
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest, Sha256};

use super::error::SshSigError;
use super::wire_format::Strings;

const TOUCHED: u8 = 1;
const UNCOMPRESSED: u8 = 4;

/// A key that can have signed.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    kind: &'static Kind,
    half: Half,
    /// The digest of the token's application, where the key is on one.
    token: Option<[u8; 32]>,
}

#[derive(Debug, Clone)]
enum Half {
    Ed25519(Ed25519),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

/// What a signature is made of, taken apart and not checked yet.
#[derive(Debug, Clone)]
pub(super) struct KeySignature {
    /// Both numbers, each at the length of the curve's.
    raw: Vec<u8>,
    flags: u8,
    counter: u32,
}

/// A kind of key.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    curve: Option<&'static str>,
    /// Bytes of one number of the curve.
    width: usize,
    token: bool,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "ssh-ed25519",
        curve: None,
        width: 32,
        token: false,
    },
    Kind {
        name: "ecdsa-sha2-nistp256",
        curve: Some("nistp256"),
        width: 32,
        token: false,
    },
    Kind {
        name: "ecdsa-sha2-nistp384",
        curve: Some("nistp384"),
        width: 48,
        token: false,
    },
    Kind {
        name: "ecdsa-sha2-nistp521",
        curve: Some("nistp521"),
        width: 66,
        token: false,
    },
    Kind {
        name: "sk-ssh-ed25519@openssh.com",
        curve: None,
        width: 32,
        token: true,
    },
    Kind {
        name: "sk-ecdsa-sha2-nistp256@openssh.com",
        curve: Some("nistp256"),
        width: 32,
        token: true,
    },
];

impl PublicKey {
    /// Reads a key's blob, as in `authorized_keys`.
    pub(super) fn parse(blob: &[u8]) -> Result<Self, SshSigError> {
        let mut fields = Strings(blob);
        let name = fields.take().ok_or(SshSigError::Key)?;
        let kind = KINDS
            .iter()
            .find(|kind| kind.name.as_bytes() == name)
            .ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                SshSigError::KeyKind(name.chars().take(40).collect())
            })?;
        let mut take = || fields.take().ok_or(SshSigError::Key);
        if let Some(curve) = kind.curve
            && take()? != curve.as_bytes()
        {
            return Err(SshSigError::Key);
        }
        let half = kind.half(take()?)?;
        let token = if kind.token {
            Some(Sha256::digest(take()?).into())
        } else {
            None
        };
        if !fields.is_done() {
            return Err(SshSigError::Key);
        }
        Ok(Self { kind, half, token })
    }

    /// How many fields a kind's blob has behind its name.
    pub(super) fn fields(kind: &str) -> Option<usize> {
        let kind = KINDS.iter().find(|known| known.name == kind)?;
        Some(1 + usize::from(kind.curve.is_some()) + usize::from(kind.token))
    }

    /// Takes apart a signature that is said to be this key's.
    pub(super) fn read_signature(&self, blob: &[u8]) -> Result<KeySignature, SshSigError> {
        let wrong = || SshSigError::Signature;
        let mut fields = Strings(blob);
        let (name, body) = fields.take().zip(fields.take()).ok_or_else(wrong)?;
        if name != self.kind.name.as_bytes() {
            return Err(wrong());
        }
        let width = self.kind.width;
        let raw = if self.kind.curve.is_some() {
            let mut numbers = Strings(body);
            let (r, s) = numbers.take().zip(numbers.take()).ok_or_else(wrong)?;
            if !numbers.is_done() {
                return Err(wrong());
            }
            let mut raw = number(r, width).ok_or_else(wrong)?;
            raw.extend(number(s, width).ok_or_else(wrong)?);
            raw
        } else {
            body.to_vec()
        };
        let (flags, counter) = if self.kind.token {
            let flags = fields.take_byte().ok_or_else(wrong)?;
            (flags, fields.take_number().ok_or_else(wrong)?)
        } else {
            (0, 0)
        };
        if !fields.is_done() || raw.len() != 2 * width {
            return Err(wrong());
        }
        Ok(KeySignature {
            raw,
            flags,
            counter,
        })
    }

    /// Whether this key made `signature` over `data`.
    pub(super) fn made(&self, signature: &KeySignature, data: &[u8]) -> bool {
        let Some(application) = self.token else {
            return self.half.made(&signature.raw, data);
        };
        let mut signed = application.to_vec();
        signed.push(signature.flags);
        signed.extend_from_slice(&signature.counter.to_be_bytes());
        signed.extend_from_slice(&Sha256::digest(data));
        signature.flags & TOUCHED != 0 && self.half.made(&signature.raw, &signed)
    }
}

impl Kind {
    fn half(&self, key: &[u8]) -> Result<Half, SshSigError> {
        let wrong = || SshSigError::Key;
        if self.curve.is_none() {
            let key: &[u8; 32] = key.try_into().map_err(|_| wrong())?;
            let key = Ed25519::from_bytes(key).map_err(|_| wrong())?;
            return if key.is_weak() {
                Err(wrong())
            } else {
                Ok(Half::Ed25519(key))
            };
        }
        // As OpenSSH has it: no other spelling of the same point.
        if key.len() != 1 + 2 * self.width || key.first() != Some(&UNCOMPRESSED) {
            return Err(wrong());
        }
        match self.width {
            32 => p256::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map(Half::P256)
                .map_err(|_| wrong()),
            48 => p384::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map(Half::P384)
                .map_err(|_| wrong()),
            _ => p521::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map(Half::P521)
                .map_err(|_| wrong()),
        }
    }
}

impl Half {
    fn made(&self, raw: &[u8], data: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(raw)
                .is_ok_and(|signature| key.verify_strict(data, &signature).is_ok()),
            Self::P256(key) => p256::ecdsa::Signature::from_slice(raw)
                .is_ok_and(|signature| key.verify(data, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_slice(raw)
                .is_ok_and(|signature| key.verify(data, &signature).is_ok()),
            Self::P521(key) => p521::ecdsa::Signature::from_slice(raw)
                .is_ok_and(|signature| key.verify(data, &signature).is_ok()),
        }
    }
}

/// A number as SSH writes it, at its full width: positive, and without a byte more than it needs.
fn number(written: &[u8], width: usize) -> Option<Vec<u8>> {
    let digits = match written {
        [0, next, ..] if *next >= 0x80 => written.get(1..)?,
        [first, ..] if (1..0x80).contains(first) => written,
        _ => return None,
    };
    let mut full = vec![0; width.checked_sub(digits.len())?];
    full.extend_from_slice(digits);
    Some(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(number(&[1], 2), Some(vec![0, 1]));
        assert_eq!(number(&[0, 0x80], 2), Some(vec![0, 0x80]));
        assert_eq!(number(&[0, 0x80, 0], 2), Some(vec![0x80, 0]));
        for wrong in [
            &[][..],
            &[0],
            &[0, 1],
            &[0x80],
            &[1, 0, 0],
            &[0, 0x80, 0, 0],
        ] {
            assert_eq!(number(wrong, 2), None, "{wrong:?}");
        }
    }
}
