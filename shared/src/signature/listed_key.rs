//! A key as a line of a list has it: its kind, and all of it in base64.
//!
//! What was cut off or spoiled is refused, and not taken for a key that nobody has: whoever pasted
//! half a key would believe that it is trusted, or revoked.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::certificate::Certificate;
use super::error::SshSigError;
use super::public_key::PublicKey;
use super::wire_format::Strings;

/// Kinds that other tools list and that sign nothing here, and how many fields follow their name.
const IDLE_KINDS: [(&str, usize); 2] = [("ssh-rsa", 2), ("ssh-dss", 4)];

/// A whole key.
#[derive(Debug)]
pub(super) struct ListedKey {
    /// As SSH writes it, without a certificate.
    pub(super) plain: Vec<u8>,
    /// Whether it is of a kind that can sign here.
    pub(super) signs: bool,
    pub(super) certified: bool,
}

impl ListedKey {
    pub(super) fn parse(kind: &str, key: &str) -> Option<Self> {
        let blob = BASE64_STANDARD.decode(key).ok()?;
        let named = Strings(&blob).take()? == kind.as_bytes();
        named.then(|| Self::of(blob)).flatten()
    }

    /// The same of a key that is not in text.
    pub(super) fn of(blob: Vec<u8>) -> Option<Self> {
        if let Some(plain) = Certificate::plain_key(&blob) {
            PublicKey::parse(&plain).ok()?;
            return Some(Self {
                plain,
                signs: true,
                certified: true,
            });
        }
        let signs = match PublicKey::parse(&blob) {
            Ok(_) => true,
            Err(SshSigError::KeyKind(_)) => {
                let mut fields = Strings(&blob);
                let kind = fields.take()?;
                let known = IDLE_KINDS.iter().find(|(idle, _)| idle.as_bytes() == kind);
                let (_, count) = known?;
                for _ in 0..*count {
                    fields.take()?;
                }
                if !fields.is_done() {
                    return None;
                }
                false
            }
            Err(_) => return None,
        };
        Some(Self {
            plain: blob,
            signs,
            certified: false,
        })
    }
}
