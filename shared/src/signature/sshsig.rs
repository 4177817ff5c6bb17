//! SSHSIG, the format of `ssh-keygen -Y sign`.
//!
//! Stricter than OpenSSH where they differ: one armour, no bytes before or after it, and an ed25519
//! signature is checked with the rules that leave no second one for the same message.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256, Sha512};

use super::certificate::Certificate;
use super::error::SshSigError;
use super::public_key::{KeySignature, PublicKey};
use super::wire_format::{Strings, put};

const MAGIC: &[u8] = b"SSHSIG";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "\n-----END SSH SIGNATURE-----";
const LONGEST_ARMOR: usize = 8 * 1024;
const LINE: usize = 70;

/// A signature that was read, and is not checked yet.
#[derive(Debug, Clone)]
pub struct SshSig {
    key: Vec<u8>,
    public: PublicKey,
    certificate: Option<Certificate>,
    namespace: String,
    hash: Hash,
    signature: KeySignature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl SshSig {
    /// Reads the armoured text.
    pub fn parse(text: &str) -> Result<Self, SshSigError> {
        if text.len() > LONGEST_ARMOR {
            return Err(SshSigError::Armor);
        }
        let text = text.strip_suffix('\n').unwrap_or(text);
        let body = text
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(END))
            .ok_or(SshSigError::Armor)?;
        let joined: String = body.split('\n').collect();
        let blob = BASE64_STANDARD
            .decode(joined)
            .map_err(|_| SshSigError::Armor)?;
        Self::parse_blob(&blob)
    }

    fn parse_blob(blob: &[u8]) -> Result<Self, SshSigError> {
        let mut fields = Strings(blob.strip_prefix(MAGIC).ok_or(SshSigError::Fields)?);
        let version = fields.take_number().ok_or(SshSigError::Fields)?;
        if version != 1 {
            return Err(SshSigError::Version(version));
        }
        let mut take = || fields.take().ok_or(SshSigError::Fields);
        let (key, namespace, reserved, hash, signature) =
            (take()?, take()?, take()?, take()?, take()?);
        if !fields.is_done() {
            return Err(SshSigError::Fields);
        }
        if !reserved.is_empty() {
            return Err(SshSigError::Reserved);
        }
        let hash = match hash {
            b"sha256" => Hash::Sha256,
            b"sha512" => Hash::Sha512,
            _ => return Err(SshSigError::Hash),
        };
        let namespace = String::from_utf8(namespace.to_vec()).map_err(|_| SshSigError::Fields)?;
        let certificate = Certificate::parse(key)?;
        let public = match &certificate {
            Some(certificate) => certificate.public.clone(),
            None => PublicKey::parse(key)?,
        };
        Ok(Self {
            key: key.to_vec(),
            signature: public.read_signature(signature)?,
            public,
            certificate,
            namespace,
            hash,
        })
    }

    /// The public key's blob, as in `authorized_keys`; a certificate where it was made with one.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The same without its certificate.
    pub(super) fn plain_key(&self) -> &[u8] {
        self.certificate
            .as_ref()
            .map_or(&self.key, |certificate| &certificate.plain)
    }

    pub(super) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// What the signature was made for.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The key's fingerprint, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        format!(
            "SHA256:{}",
            BASE64_STANDARD_NO_PAD.encode(Sha256::digest(self.plain_key()))
        )
    }

    /// Whether the signature fits `message`.
    pub fn fits(&self, message: &[u8]) -> bool {
        let data = to_be_signed(&self.namespace, self.hash, message);
        self.public.made(&self.signature, &data)
    }
}

/// The bytes that a key signs for `message`, with SHA-512 as `ssh-keygen` has it.
pub fn signed_data(namespace: &str, message: &[u8]) -> Vec<u8> {
    to_be_signed(namespace, Hash::Sha512, message)
}

/// The armoured text of a signature over [`signed_data`]. Both blobs are as SSH writes them.
pub fn armor(key: &[u8], namespace: &str, signature: &[u8]) -> String {
    let mut blob = MAGIC.to_vec();
    blob.extend_from_slice(&1u32.to_be_bytes());
    put(&mut blob, key);
    put(&mut blob, namespace.as_bytes());
    put(&mut blob, b"");
    put(&mut blob, b"sha512");
    put(&mut blob, signature);
    let mut text = BEGIN.to_owned();
    for (at, digit) in BASE64_STANDARD.encode(blob).chars().enumerate() {
        if at > 0 && at % LINE == 0 {
            text.push('\n');
        }
        text.push(digit);
    }
    text.push_str(END);
    text.push('\n');
    text
}

fn to_be_signed(namespace: &str, hash: Hash, message: &[u8]) -> Vec<u8> {
    let mut data = MAGIC.to_vec();
    put(&mut data, namespace.as_bytes());
    put(&mut data, b"");
    match hash {
        Hash::Sha256 => {
            put(&mut data, b"sha256");
            put(&mut data, &Sha256::digest(message));
        }
        Hash::Sha512 => {
            put(&mut data, b"sha512");
            put(&mut data, &Sha512::digest(message));
        }
    }
    data
}
