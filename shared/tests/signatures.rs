//! Signatures both ways round with stock OpenSSH, and every way to spoil one.
//!
//! `ssh-keygen` is the oracle. Where it is missing these tests fail rather than pass unseen.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use longshore_shared::signature::{
    AllowedSigners, RELEASE_NAMESPACE, SshSig, VerifyError, armor, verify_manifest,
};

struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        let keys = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        keys.generate("id", "ed25519");
        keys
    }

    fn generate(&self, name: &str, kind: &str) {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-f"])
            .arg(self.path(name))
            .status()
            .unwrap();
        assert!(made.success());
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name).with_extension("pub")).unwrap()
    }

    fn allowed(&self, options: &str) -> AllowedSigners {
        AllowedSigners::parse(&format!(
            "release@example.com {options} {}",
            self.public("id")
        ))
        .unwrap()
    }

    fn sign(&self, name: &str, namespace: &str, message: &[u8]) -> String {
        let file = self.path("message");
        std::fs::write(&file, message).unwrap();
        let signature = Path::new(&format!("{}.sig", file.display())).to_owned();
        let _ = std::fs::remove_file(&signature);
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
            .arg(self.path(name))
            .arg(&file)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(signed.success());
        std::fs::read_to_string(signature).unwrap()
    }
}

fn refusal(allowed: &AllowedSigners, message: &[u8], signature: &str) -> VerifyError {
    verify_manifest(allowed, message, signature).expect_err("it was accepted")
}

/// A signature that is good is followed by the reading of the manifest, which this text is not.
fn is_accepted(allowed: &AllowedSigners, message: &[u8], signature: &str) -> bool {
    matches!(
        refusal(allowed, message, signature),
        VerifyError::Manifest(_)
    )
}

#[test]
fn what_ssh_keygen_signs_is_accepted_and_only_for_its_namespace() {
    let keys = Keys::new();
    let allowed = keys.allowed("namespaces=\"longshore-release\"");
    let signature = keys.sign("id", RELEASE_NAMESPACE, b"message");
    assert!(is_accepted(&allowed, b"message", &signature));
    assert!(matches!(
        refusal(&allowed, b"massage", &signature),
        VerifyError::Mismatch { .. }
    ));
    for namespace in ["git", "file", "Longshore-release", "longshore-releases"] {
        let other = keys.sign("id", namespace, b"message");
        assert!(matches!(
            refusal(&allowed, b"message", &other),
            VerifyError::Namespace { .. }
        ));
    }
    let elsewhere = keys.allowed("namespaces=\"git\"");
    assert!(matches!(
        refusal(&elsewhere, b"message", &signature),
        VerifyError::NotTrusted { .. }
    ));
}

#[test]
fn keys_that_are_not_listed_are_refused() {
    let keys = Keys::new();
    keys.generate("other", "ed25519");
    keys.generate("ecdsa", "ecdsa");
    let allowed = keys.allowed("");
    let other = keys.sign("other", RELEASE_NAMESPACE, b"message");
    assert!(matches!(
        refusal(&allowed, b"message", &other),
        VerifyError::NotTrusted { .. }
    ));
    let ecdsa = keys.sign("ecdsa", RELEASE_NAMESPACE, b"message");
    assert!(matches!(
        refusal(&allowed, b"message", &ecdsa),
        VerifyError::Format(_)
    ));
}

#[test]
fn our_armour_is_the_one_of_ssh_keygen() {
    let keys = Keys::new();
    let text = keys.sign("id", RELEASE_NAMESPACE, b"message");
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let blob = BASE64_STANDARD.decode(body).unwrap();
    let raw_signature = &blob[blob.len() - (4 + 11 + 4 + 64)..];
    let key = SshSig::parse(&text).unwrap().key().to_vec();
    assert_eq!(armor(&key, RELEASE_NAMESPACE, raw_signature), text);
}

#[test]
fn no_flipped_bit_is_accepted() {
    let keys = Keys::new();
    let allowed = keys.allowed("");
    let message = br#"{"format":1,"app":"cortico"}"#.to_vec();
    let signature = keys.sign("id", RELEASE_NAMESPACE, &message);
    assert!(is_accepted(&allowed, &message, &signature));
    for bit in 0..message.len() * 8 {
        let mut flipped = message.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !is_accepted(&allowed, &flipped, &signature),
            "bit {bit} of the message"
        );
    }
    for bit in 0..signature.len() * 8 {
        let mut flipped = signature.clone().into_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = String::from_utf8(flipped) {
            assert!(
                !is_accepted(&allowed, &message, &text),
                "bit {bit} of the signature"
            );
        }
    }
}

#[test]
fn one_armour_and_nothing_else() {
    let keys = Keys::new();
    let good = keys.sign("id", RELEASE_NAMESPACE, b"message");
    assert!(SshSig::parse(&good).is_ok());
    for text in [
        String::new(),
        format!("text\n{good}"),
        format!("{good}text"),
        format!("{good}{good}"),
        good.replace("BEGIN SSH", "BEGIN PGP"),
        good.replacen("U1NI", "U1NJ", 1),
        good.replace("-----END", "=\n-----END"),
        format!("{good}{}", "\n".repeat(10_000)),
    ] {
        assert!(SshSig::parse(&text).is_err(), "{text:?} passed");
    }
}

#[test]
fn spoiled_fields_are_refused() {
    let keys = Keys::new();
    let good = keys.sign("id", RELEASE_NAMESPACE, b"message");
    let body: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    let blob = BASE64_STANDARD.decode(body).unwrap();
    let wrap = |blob: &[u8]| {
        let body = BASE64_STANDARD.encode(blob);
        format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
    };
    assert!(SshSig::parse(&wrap(&blob)).is_ok());
    let replaced = |from: &[u8], to: &[u8]| {
        let at = blob
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        [&blob[..at], to, &blob[at + from.len()..]].concat()
    };
    let namespace_end = b"longshore-release\0\0\0\0";
    for (what, spoiled) in [
        (
            "version 0",
            replaced(b"SSHSIG\0\0\0\x01", b"SSHSIG\0\0\0\0"),
        ),
        (
            "version 2",
            replaced(b"SSHSIG\0\0\0\x01", b"SSHSIG\0\0\0\x02"),
        ),
        (
            "reserved",
            replaced(namespace_end, b"longshore-release\0\0\0\x01x"),
        ),
        ("hash md5", replaced(b"\0\0\0\x06sha512", b"\0\0\0\x03md5")),
        ("empty hash", replaced(b"\0\0\0\x06sha512", b"\0\0\0\0")),
        ("trailing bytes", [&blob[..], b"x"].concat()),
        ("cut short", blob[..blob.len() - 1].to_vec()),
        ("no magic", blob[6..].to_vec()),
        (
            "zero signature",
            [&blob[..blob.len() - 64], &[0; 64]].concat(),
        ),
        ("S of at least L", {
            let mut high = blob.clone();
            let last = high.len() - 1;
            high[last] |= 0xf0;
            high
        }),
    ] {
        let text = wrap(&spoiled);
        let accepted = SshSig::parse(&text).is_ok_and(|signature| signature.fits(b"message"));
        assert!(!accepted, "{what} passed");
    }
}
