//! What a security token would have made, for keys that no token holds.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer as _;
use longshore_shared::signature::{RELEASE_NAMESPACE, armor, signed_data};
use sha2::{Digest, Sha256};

/// What every token here signs.
pub(crate) const MESSAGE: &[u8] = b"message";
const APPLICATION: &[u8] = b"ssh:release";

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key, and how it signs.
pub(crate) struct Token {
    pub(crate) kind: &'static str,
    curve: Option<&'static str>,
    public: Vec<u8>,
    sign: Sign,
}

impl Token {
    pub(crate) fn ed25519() -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        Self {
            kind: "sk-ssh-ed25519@openssh.com",
            curve: None,
            public: key.verifying_key().to_bytes().to_vec(),
            sign: Box::new(move |data| key.sign(data).to_bytes().to_vec()),
        }
    }

    pub(crate) fn ecdsa() -> Self {
        let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        Self {
            kind: "sk-ecdsa-sha2-nistp256@openssh.com",
            curve: Some("nistp256"),
            public: key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            sign: Box::new(move |data| {
                let signature: p256::ecdsa::Signature = key.sign(data);
                let (r, s) = signature.split_bytes();
                [positive(&r), positive(&s)].concat()
            }),
        }
    }

    pub(crate) fn blob(&self) -> Vec<u8> {
        let mut blob = string(self.kind.as_bytes());
        blob.extend(self.curve.iter().flat_map(|curve| string(curve.as_bytes())));
        blob.extend(string(&self.public));
        blob.extend(string(APPLICATION));
        blob
    }

    pub(crate) fn line(&self) -> String {
        let blob = BASE64_STANDARD.encode(self.blob());
        format!("release@example.com {} {blob}", self.kind)
    }

    /// A signature that says of itself what the token said.
    pub(crate) fn signature(&self, flags: u8) -> String {
        armor(&self.blob(), RELEASE_NAMESPACE, &self.made(flags, flags))
    }

    /// What a signature holds, where the token saw `flags` and the signature says `told`.
    pub(crate) fn made(&self, flags: u8, told: u8) -> Vec<u8> {
        let mut signed = Sha256::digest(APPLICATION).to_vec();
        signed.push(flags);
        signed.extend(9_u32.to_be_bytes());
        signed.extend(Sha256::digest(signed_data(RELEASE_NAMESPACE, MESSAGE)));
        let mut blob = string(self.kind.as_bytes());
        blob.extend(string(&(self.sign)(&signed)));
        blob.push(told);
        blob.extend(9_u32.to_be_bytes());
        blob
    }
}

pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

/// A number as SSH writes it.
pub(crate) fn positive(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap();
    let mut digits = bytes[first..].to_vec();
    if digits[0] >= 0x80 {
        digits.insert(0, 0);
    }
    string(&digits)
}
