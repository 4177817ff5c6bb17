//! Signatures both ways round with stock OpenSSH, and every way to spoil one.
//!
//! `ssh-keygen` is the oracle. Where it is missing these tests fail rather than pass unseen.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod certificates;
mod format;
mod kinds;
mod lists;
mod made_certificates;
mod spoiled;
mod ssh_keygen;
mod strictness;
mod token;

use jiff::Timestamp;
use longshore_shared::signature::{
    AllowedSigners, RELEASE_NAMESPACE, Trust, VerifyError, verify_manifest,
};

use ssh_keygen::Keys;

/// Trusts those whom one list names.
fn trust(line: &str) -> Trust {
    Trust {
        allowed: AllowedSigners::parse(line).unwrap(),
        ..Trust::default()
    }
}

fn refusal(trust: &Trust, message: &[u8], signature: &str) -> VerifyError {
    verify_manifest(trust, None, message, signature, Timestamp::now()).expect_err("it was accepted")
}

/// A signature that is good is followed by the reading of the manifest, which this text is not.
fn is_accepted(trust: &Trust, message: &[u8], signature: &str) -> bool {
    matches!(refusal(trust, message, signature), VerifyError::Manifest(_))
}

#[test]
fn what_ssh_keygen_signs_is_accepted_and_only_for_its_namespace() {
    let keys = Keys::new();
    let trust = keys.trust("namespaces=\"longshore-release\"");
    let signature = keys.sign("id", RELEASE_NAMESPACE, b"message");
    assert!(is_accepted(&trust, b"message", &signature));
    assert!(matches!(
        refusal(&trust, b"massage", &signature),
        VerifyError::Mismatch { .. }
    ));
    for namespace in ["git", "file", "Longshore-release", "longshore-releases"] {
        let other = keys.sign("id", namespace, b"message");
        assert!(matches!(
            refusal(&trust, b"message", &other),
            VerifyError::Namespace { .. }
        ));
    }
    let elsewhere = keys.trust("namespaces=\"git\"");
    assert!(matches!(
        refusal(&elsewhere, b"message", &signature),
        VerifyError::OtherNamespaces { .. }
    ));
}

#[test]
fn keys_that_are_not_listed_are_refused() {
    let keys = Keys::new();
    keys.generate("other", "ed25519");
    keys.generate("rsa", "rsa");
    let trust = keys.trust("");
    let other = keys.sign("other", RELEASE_NAMESPACE, b"message");
    assert!(matches!(
        refusal(&trust, b"message", &other),
        VerifyError::NotTrusted { .. }
    ));
    let rsa = keys.sign("rsa", RELEASE_NAMESPACE, b"message");
    assert!(matches!(
        refusal(&trust, b"message", &rsa),
        VerifyError::Format(_)
    ));
}
