//! Keys that must not be trusted any more, whatever else says that they may.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::krl::{self, Krl, RevokedCertificates};
use super::listed_key::ListedKey;
use super::sshsig::SshSig;

const FINGERPRINT: &str = "SHA256:";

/// Revoked keys: public keys as in a `.pub` file or their fingerprints, one a line, or what
/// `ssh-keygen -k` writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Digests of keys.
    keys: Vec<[u8; 32]>,
    certificates: Vec<RevokedCertificates>,
}

/// Why a list is refused as a whole.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RevokedError {
    #[error(
        "it is a binary list of ssh-keygen -k that was cut off or spoiled, or that holds what is not understood (SHA-1 digests, signatures, extensions): make it again from keys, sha256: digests, serial numbers and key ids, or list the keys, one a line"
    )]
    Binary,
    #[error("it is no text")]
    Text,
    #[error("line {0} is neither a whole public key nor a fingerprint such as SHA256:…")]
    Line(usize),
}

impl Revoked {
    /// Reads the whole list, or refuses it. An empty one revokes nobody.
    pub fn parse(bytes: &[u8]) -> Result<Self, RevokedError> {
        if bytes.starts_with(krl::MAGIC) {
            let list = Krl::parse(bytes).ok_or(RevokedError::Binary)?;
            let digests = list.keys.iter().map(|key| Sha256::digest(key).into());
            return Ok(Self {
                keys: digests.chain(list.digests).collect(),
                certificates: list.certificates,
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RevokedError::Text)?;
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                keys.push(digest_of(line).ok_or(RevokedError::Line(at + 1))?);
            }
        }
        Ok(Self {
            keys,
            certificates: Vec::new(),
        })
    }

    /// Whether this key, as SSH writes it, was revoked.
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(key).into();
        self.keys.contains(&digest)
    }

    /// Whether a signature is by a key that was revoked, or by its certificate or its authority.
    pub(super) fn refuses(&self, sshsig: &SshSig) -> bool {
        let certified = sshsig.certificate().is_some_and(|certificate| {
            let named = |revoked: &RevokedCertificates| {
                let its =
                    revoked.authority.is_empty() || revoked.authority == certificate.authority;
                let serial = certificate.serial;
                let numbered = |(from, to): &(u64, u64)| (*from..=*to).contains(&serial);
                its && (revoked.key_ids.contains(&certificate.key_id)
                    || revoked.serials.iter().any(numbered))
            };
            self.holds(&certificate.authority) || self.certificates.iter().any(named)
        });
        certified || self.holds(sshsig.plain_key())
    }

    /// Why a kept release must not be trusted any more, going by its signature alone.
    pub fn reason(&self, signature: &str) -> Option<String> {
        match SshSig::parse(signature) {
            Ok(sshsig) if self.refuses(&sshsig) => Some(format!(
                "the key {} that signed it was revoked",
                sshsig.fingerprint()
            )),
            Ok(_) => None,
            Err(error) => Some(format!("its signature cannot be read: {error}")),
        }
    }
}

fn digest_of(line: &str) -> Option<[u8; 32]> {
    if let Some(print) = line.strip_prefix(FINGERPRINT) {
        let print = print.split_whitespace().next()?;
        return BASE64_STANDARD_NO_PAD.decode(print).ok()?.try_into().ok();
    }
    let mut words = line.split_whitespace();
    // A certificate in the list stands for its key, with whichever certificate it signs next.
    let key = ListedKey::parse(words.next()?, words.next()?)?;
    Some(Sha256::digest(&key.plain).into())
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn keys_and_fingerprints_are_the_same() {
        let key = BASE64_STANDARD
            .decode(KEY.split(' ').nth(1).unwrap())
            .unwrap();
        let print = BASE64_STANDARD_NO_PAD.encode(Sha256::digest(&key));
        for text in [
            format!("# gone\n{KEY} a laptop\n"),
            format!("{FINGERPRINT}{print} a laptop\n"),
        ] {
            let list = Revoked::parse(text.as_bytes()).unwrap();
            assert!(list.holds(&key), "{text}");
            assert!(!list.holds(b"another"));
        }
        assert!(!Revoked::parse(b"").unwrap().holds(&key));
    }

    #[test]
    fn what_is_not_understood_is_refused_as_a_whole() {
        for (bytes, error) in [
            (&b"SSHKRL\n\0\0"[..], RevokedError::Binary),
            (b"\xff", RevokedError::Text),
            (b"ssh-ed25519", RevokedError::Line(1)),
            (b"\nssh-ed25519 AAAA", RevokedError::Line(2)),
            (b"SHA256:AAAA", RevokedError::Line(1)),
            (b"MD5:00", RevokedError::Line(1)),
        ] {
            assert_eq!(Revoked::parse(bytes), Err(error));
        }
    }
}
