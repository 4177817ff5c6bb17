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

/// The fields of one, as they are written.
struct Fields<'a> {
    serial: u64,
    class: u32,
    key_id: &'a [u8],
    principals: &'a [u8],
    after: u64,
    before: u64,
    critical: &'a [u8],
    extensions: &'a [u8],
    authority: &'a [u8],
    /// Of which the last is made, all that stands before it.
    signed: &'a [u8],
    signature: &'a [u8],
}

impl Certificate {
    /// Reads a key's blob if it is a certificate.
    pub(super) fn parse(blob: &[u8]) -> Result<Option<Self>, SshSigError> {
        let Some(kind) = kind_certified(blob) else {
            return Ok(None);
        };
        if PublicKey::fields(&kind).is_none() {
            return Err(SshSigError::KeyKind(kind.chars().take(40).collect()));
        }
        let cut = || SshSigError::Certificate;
        let (plain, rest) = split_key(blob, &kind).ok_or_else(cut)?;
        let fields = Fields::read(blob, rest).ok_or_else(cut)?;
        let public = PublicKey::parse(&plain)?;
        let authority = PublicKey::parse(fields.authority).map_err(|error| match error {
            SshSigError::KeyKind(kind) => SshSigError::AuthorityKind(kind),
            _ => cut(),
        })?;
        let made = authority.read_signature(fields.signature)?;
        if !authority.made(&made, fields.signed) {
            return Err(cut());
        }
        if fields.class != USER {
            return Err(SshSigError::NotOfUser);
        }
        // What a critical option would narrow is nothing that is known here.
        if !fields.critical.is_empty() {
            return Err(SshSigError::CriticalOption);
        }
        are_pairs(fields.extensions).ok_or_else(cut)?;
        let key_id = str::from_utf8(fields.key_id).map_err(|_| cut())?;
        // OpenSSH ends a text there, and would find another one in a list of revoked ones.
        if key_id.contains('\0') {
            return Err(cut());
        }
        Ok(Some(Self {
            plain,
            public,
            serial: fields.serial,
            key_id: key_id.to_owned(),
            principals: names(fields.principals).ok_or(SshSigError::CertificateNames)?,
            validity: Validity {
                after: Some(time(fields.after)),
                // A certificate ends at the beginning of that second, a line of signers behind it.
                before: Some(time(fields.before.checked_sub(1).ok_or_else(cut)?)),
            },
            authority: fields.authority.to_vec(),
        }))
    }

    /// The key of a certificate, whoever made it and whatever for; nothing where it is none.
    pub(super) fn plain_key(blob: &[u8]) -> Option<Vec<u8>> {
        let kind = kind_certified(blob)?;
        let (plain, rest) = split_key(blob, &kind)?;
        Fields::read(blob, rest).map(|_| plain)
    }
}

impl<'a> Fields<'a> {
    /// Reads what follows the key in `blob`.
    fn read(blob: &'a [u8], rest: &'a [u8]) -> Option<Self> {
        let mut fields = Strings(rest);
        let (serial, class, key_id) = (fields.take_long()?, fields.take_number()?, fields.take()?);
        let (principals, after, before) =
            (fields.take()?, fields.take_long()?, fields.take_long()?);
        let (critical, extensions) = (fields.take()?, fields.take()?);
        let (_reserved, authority) = (fields.take()?, fields.take()?);
        let signed = blob.get(..blob.len().checked_sub(fields.0.len())?)?;
        let signature = fields.take()?;
        fields.is_done().then_some(Self {
            serial,
            class,
            key_id,
            principals,
            after,
            before,
            critical,
            extensions,
            authority,
            signed,
            signature,
        })
    }
}

/// Of which kind the key is that a certificate is about.
fn kind_certified(blob: &[u8]) -> Option<String> {
    let name = str::from_utf8(Strings(blob).take()?).ok()?;
    let stem = name.strip_suffix(ENDING)?;
    // The kinds of tokens end in the same words as their certificates.
    Some(match stem.strip_prefix("sk-") {
        Some(_) => format!("{stem}@openssh.com"),
        None => stem.to_owned(),
    })
}

/// The key as it would stand by itself, and what follows it.
fn split_key<'a>(blob: &'a [u8], kind: &str) -> Option<(Vec<u8>, &'a [u8])> {
    let mut fields = Strings(blob);
    let (_name, _nonce) = (fields.take()?, fields.take()?);
    let mut plain = Vec::new();
    put(&mut plain, kind.as_bytes());
    for _ in 0..PublicKey::fields(kind)? {
        put(&mut plain, fields.take()?);
    }
    Some((plain, fields.0))
}

/// Extensions widen what an SSH server lets somebody do, and mean nothing here.
fn are_pairs(blob: &[u8]) -> Option<()> {
    let mut fields = Strings(blob);
    while !fields.is_done() {
        let (_name, _value) = (fields.take()?, fields.take()?);
    }
    Some(())
}

/// At least one, and each a plain one: with a comma in it, it would be two in a list, and with a star
/// it would stand for people for whom the authority does not speak.
fn names(blob: &[u8]) -> Option<Vec<String>> {
    let mut fields = Strings(blob);
    let mut names = Vec::new();
    while !fields.is_done() {
        let name = str::from_utf8(fields.take()?).ok()?;
        let odd = |letter: char| letter.is_control() || ",*?!\"".contains(letter);
        let plain = !name.is_empty() && !name.contains(odd) && names.len() < MOST_PRINCIPALS;
        names.push(plain.then(|| name.to_owned())?);
    }
    (!names.is_empty()).then_some(names)
}

/// Beyond what can be told in time there is no end.
fn time(seconds: u64) -> Timestamp {
    let second = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}
