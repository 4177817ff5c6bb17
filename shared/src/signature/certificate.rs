//! Certificates as OpenSSH makes them: a key, signed by an authority for some names and some time.

use jiff::Timestamp;

use super::error::SshSigError;
use super::public_key::PublicKey;
use super::validity::Validity;
use super::wire_format::{Strings, put};

const ENDING: &str = "-cert-v01@openssh.com";
const USER: u32 = 1;
/// A certificate names few people; whoever asks for more wants to keep us busy.
const MOST_PRINCIPALS: usize = 256;

/// A certificate whose authority really signed it. Whether the authority may is another question.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    /// The key as it would stand in `authorized_keys`.
    pub(super) plain: Vec<u8>,
    pub(super) public: PublicKey,
    pub(super) serial: u64,
    pub(super) key_id: String,
    pub(super) principals: Vec<String>,
    pub(super) validity: Validity,
    pub(super) authority: Vec<u8>,
}

impl Certificate {
    /// Reads a key's blob if it is a certificate.
    pub(super) fn parse(blob: &[u8]) -> Result<Option<Self>, SshSigError> {
        let name = Strings(blob)
            .take()
            .and_then(|name| str::from_utf8(name).ok());
        let Some(stem) = name.and_then(|name| name.strip_suffix(ENDING)) else {
            return Ok(None);
        };
        // The kinds of tokens end in the same words as their certificates.
        let kind = match stem.strip_prefix("sk-") {
            Some(_) => format!("{stem}@openssh.com"),
            None => stem.to_owned(),
        };
        Self::read(blob, &kind)
            .ok_or(SshSigError::Certificate)
            .and_then(|read| {
                let (certificate, signed, signature) = read;
                let authority = PublicKey::parse(&certificate.authority)?;
                let made = authority.read_signature(signature)?;
                if authority.made(&made, signed) {
                    Ok(Some(certificate))
                } else {
                    Err(SshSigError::Certificate)
                }
            })
    }

    /// The certificate, the bytes that were signed, and their signature.
    fn read<'a>(blob: &'a [u8], kind: &str) -> Option<(Self, &'a [u8], &'a [u8])> {
        let mut fields = Strings(blob);
        let (_name, _nonce) = (fields.take()?, fields.take()?);
        let mut plain = Vec::new();
        put(&mut plain, kind.as_bytes());
        for _ in 0..PublicKey::fields(kind)? {
            put(&mut plain, fields.take()?);
        }
        let (serial, user) = (fields.take_long()?, fields.take_number()?);
        let key_id = str::from_utf8(fields.take()?).ok()?.to_owned();
        let principals = names(fields.take()?)?;
        let validity = Validity {
            after: Some(time(fields.take_long()?)),
            // A certificate ends at the beginning of that second, a line of signers behind it.
            before: Some(time(fields.take_long()?.checked_sub(1)?)),
        };
        let critical = fields.take()?;
        let (_extensions, _reserved) = (fields.take()?, fields.take()?);
        let authority = fields.take()?.to_vec();
        let signed = blob.get(..blob.len().checked_sub(fields.0.len())?)?;
        let signature = fields.take()?;
        // What a critical option would narrow is nothing that is known here.
        if !fields.is_done() || user != USER || !critical.is_empty() || principals.is_empty() {
            return None;
        }
        let certificate = Self {
            public: PublicKey::parse(&plain).ok()?,
            plain,
            serial,
            key_id,
            principals,
            validity,
            authority,
        };
        Some((certificate, signed, signature))
    }
}

fn names(blob: &[u8]) -> Option<Vec<String>> {
    let mut fields = Strings(blob);
    let mut names = Vec::new();
    while !fields.is_done() {
        let name = str::from_utf8(fields.take()?).ok()?;
        // A name with a comma in it would be two in a list.
        let plain = !name.is_empty() && !name.contains(',') && names.len() < MOST_PRINCIPALS;
        names.push(plain.then(|| name.to_owned())?);
    }
    Some(names)
}

/// Beyond what can be told in time there is no end.
fn time(seconds: u64) -> Timestamp {
    let second = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}
