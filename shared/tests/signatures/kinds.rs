//! Every kind of key, both ways round with stock OpenSSH.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer as _;
use longshore_shared::signature::{RELEASE_NAMESPACE, SshSig, armor, signed_data};
use sha2::{Digest, Sha256};

use crate::ssh_keygen::Keys;
use crate::{is_accepted, trust};

const MESSAGE: &[u8] = b"message";
const APPLICATION: &[u8] = b"ssh:release";

#[test]
fn each_kind_that_ssh_keygen_signs_with_is_accepted_and_no_flipped_bit() {
    let keys = Keys::new();
    for (kind, bits) in [
        ("ecdsa", "256"),
        ("ecdsa", "384"),
        ("ecdsa", "521"),
        ("ed25519", "256"),
    ] {
        let name = format!("{kind}-{bits}");
        keys.generate_sized(&name, kind, bits);
        let line = format!("release@example.com {}", keys.public(&name));
        let signature = keys.sign(&name, RELEASE_NAMESPACE, MESSAGE);
        let trust = trust(&line);
        assert!(is_accepted(&trust, MESSAGE, &signature), "{name}");
        assert!(keys.stock_accepts(&line, "release@example.com", MESSAGE, &signature));
        assert!(!is_accepted(&trust, b"massage", &signature), "{name}");
        // The armour's letters of which a bit is another letter, in the numbers of the signature.
        let bytes = signature.as_bytes();
        for at in (0..bytes.len()).step_by(7) {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1;
            if let Ok(text) = String::from_utf8(flipped) {
                assert!(!is_accepted(&trust, MESSAGE, &text), "{name}: letter {at}");
            }
        }
    }
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// What a security token would have made.
struct Token {
    kind: &'static str,
    curve: Option<&'static str>,
    public: Vec<u8>,
    sign: Sign,
}

impl Token {
    fn ed25519() -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        Self {
            kind: "sk-ssh-ed25519@openssh.com",
            curve: None,
            public: key.verifying_key().to_bytes().to_vec(),
            sign: Box::new(move |data| key.sign(data).to_bytes().to_vec()),
        }
    }

    fn ecdsa() -> Self {
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

    fn blob(&self) -> Vec<u8> {
        let mut blob = string(self.kind.as_bytes());
        blob.extend(self.curve.iter().flat_map(|curve| string(curve.as_bytes())));
        blob.extend(string(&self.public));
        blob.extend(string(APPLICATION));
        blob
    }

    fn line(&self) -> String {
        let blob = BASE64_STANDARD.encode(self.blob());
        format!("release@example.com {} {blob}", self.kind)
    }

    fn signature(&self, flags: u8) -> String {
        self.signature_saying(flags, flags)
    }

    fn signature_saying(&self, flags: u8, told: u8) -> String {
        let mut signed = Sha256::digest(APPLICATION).to_vec();
        signed.push(flags);
        signed.extend(9_u32.to_be_bytes());
        signed.extend(Sha256::digest(signed_data(RELEASE_NAMESPACE, MESSAGE)));
        let mut blob = string(self.kind.as_bytes());
        blob.extend(string(&(self.sign)(&signed)));
        blob.push(told);
        blob.extend(9_u32.to_be_bytes());
        armor(&self.blob(), RELEASE_NAMESPACE, &blob)
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

/// A number as SSH writes it.
fn positive(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap();
    let mut digits = bytes[first..].to_vec();
    if digits[0] >= 0x80 {
        digits.insert(0, 0);
    }
    string(&digits)
}

#[test]
fn tokens_sign_too_when_they_are_touched() {
    let keys = Keys::new();
    for token in [Token::ed25519(), Token::ecdsa()] {
        let touched = token.signature(1);
        assert!(
            keys.stock_accepts(&token.line(), "release@example.com", MESSAGE, &touched),
            "the test makes what a token makes: {}",
            token.kind
        );
        assert!(
            is_accepted(&trust(&token.line()), MESSAGE, &touched),
            "{}",
            token.kind
        );
        // Stricter than stock: nobody was there.
        let alone = token.signature(0);
        assert!(
            !is_accepted(&trust(&token.line()), MESSAGE, &alone),
            "{}",
            token.kind
        );
        // The flag is signed as well.
        let pretended = token.signature_saying(0, 1);
        assert!(!SshSig::parse(&pretended).unwrap().fits(MESSAGE));
    }
}
