//! Signatures both ways round with stock OpenSSH, and every way to spoil one.
//!
//! `ssh-keygen` is the oracle. Where it is missing these tests fail rather than pass unseen.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use longshore_shared::name::EnvironmentName;
use longshore_shared::signature::{
    AllowedSigners, RELEASE_NAMESPACE, Revoked, SIGNERS_NAMESPACE, SshSig, Trust, VerifyError,
    armor, verify, verify_manifest,
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

    /// The key, as one line of `allowed_signers`.
    fn line(&self, options: &str) -> String {
        format!("release@example.com {options} {}", self.public("id"))
    }

    fn trust(&self, options: &str) -> Trust {
        Trust {
            allowed: AllowedSigners::parse(&self.line(options)).unwrap(),
            ..Trust::default()
        }
    }

    /// What `ssh-keygen` says of a signature by somebody who calls themselves `name`.
    fn stock_accepts(&self, allowed: &str, name: &str, message: &[u8], signature: &str) -> bool {
        let (list, sig) = (self.path("allowed"), self.path("to-check.sig"));
        std::fs::write(&list, allowed).unwrap();
        std::fs::write(&sig, signature).unwrap();
        let mut stock = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", name, "-n", RELEASE_NAMESPACE, "-f"])
            .arg(&list)
            .arg("-s")
            .arg(&sig)
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It may have made up its mind before it has read the message.
        let _ = stock.stdin.take().unwrap().write_all(message);
        stock.wait().unwrap().success()
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
    keys.generate("ecdsa", "ecdsa");
    let trust = keys.trust("");
    let other = keys.sign("other", RELEASE_NAMESPACE, b"message");
    assert!(matches!(
        refusal(&trust, b"message", &other),
        VerifyError::NotTrusted { .. }
    ));
    let ecdsa = keys.sign("ecdsa", RELEASE_NAMESPACE, b"message");
    assert!(matches!(
        refusal(&trust, b"message", &ecdsa),
        VerifyError::Format(_)
    ));
}

/// One line each: what stock OpenSSH refuses is refused here, and what it accepts is accepted, but
/// for what is named.
#[test]
fn lists_of_signers_mean_what_they_mean_to_ssh_keygen() {
    let keys = Keys::new();
    keys.generate("other", "ed25519");
    let signature = keys.sign("id", RELEASE_NAMESPACE, b"message");
    let other = format!("release@example.com {}", keys.public("other"));
    for (list, accepted) in [
        (keys.line(""), true),
        (keys.line("namespaces=\"longshore-release\""), true),
        (keys.line("namespaces=\"git,longshore-*\""), true),
        (
            keys.line("namespaces=\"longshore-*,!longshore-release\""),
            false,
        ),
        (keys.line("namespaces=\"git\""), false),
        (keys.line("valid-before=\"20200101\""), false),
        (keys.line("valid-before=\"29990101\""), true),
        (keys.line("valid-after=\"29990101\""), false),
        (
            keys.line("valid-after=\"20200101\",valid-before=\"29990101Z\""),
            true,
        ),
        (keys.line("cert-authority"), false),
        (keys.line("no-such-option"), false),
        (
            format!("{}\n{other}", keys.line("valid-before=\"20200101\"")),
            false,
        ),
        (format!("{other}\n{}", keys.line("")), true),
        (other.clone(), false),
        (String::new(), false),
        (
            keys.line("")
                .replace("release@", "\"a@x,release@")
                .replacen(".com ", ".com\" ", 1),
            true,
        ),
    ] {
        let stock = keys.stock_accepts(&list, "release@example.com", b"message", &signature);
        assert_eq!(stock, accepted, "ssh-keygen: {list}");
        let ours = AllowedSigners::parse(&list).is_ok_and(|allowed| {
            let trust = Trust {
                allowed,
                ..Trust::default()
            };
            is_accepted(&trust, b"message", &signature)
        });
        assert_eq!(ours, accepted, "{list}");
    }
}

#[test]
fn who_may_release_is_a_rule_of_the_environment() {
    let keys = Keys::new();
    let signature = keys.sign("id", RELEASE_NAMESPACE, b"message");
    let production = EnvironmentName::new("production").unwrap();
    let mut trust = keys.trust("");
    for (release_by, may) in [
        (None, true),
        (Some(vec![]), false),
        (Some(vec!["ci@example.com", "ops@example.com"]), false),
        (Some(vec!["ci@example.com", "release@example.com"]), true),
        (Some(vec!["*@example.com"]), true),
        (Some(vec!["*@other.example"]), false),
    ] {
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        trust.release_by = release_by.clone().map(owned);
        let now = Timestamp::now();
        let said = verify_manifest(&trust, Some(&production), b"message", &signature, now);
        let said = said.unwrap_err();
        assert_eq!(
            matches!(said, VerifyError::Manifest(_)),
            may,
            "{release_by:?}: {said}"
        );
        if release_by.is_some_and(|list| list.len() == 2) && !may {
            assert_eq!(
                said.to_string(),
                "signed by release@example.com, who may not release to production; \
                 allowed: ci@example.com, ops@example.com"
            );
        }
        // Who may change the signers is another matter.
        let own = keys.sign("id", SIGNERS_NAMESPACE, b"message");
        assert!(verify(&trust, SIGNERS_NAMESPACE, b"message", &own, now).is_ok());
    }
}

#[test]
fn a_revoked_key_is_refused_whatever_else_is_said_of_it() {
    let keys = Keys::new();
    let signature = keys.sign("id", RELEASE_NAMESPACE, b"message");
    let mut trust = keys.trust("");
    trust.revoked = Revoked::parse(keys.public("id").as_bytes()).unwrap();
    let said = refusal(&trust, b"message", &signature);
    assert!(matches!(said, VerifyError::Revoked { .. }), "{said}");
    assert!(trust.revoked.reason(&signature).is_some());
    keys.generate("other", "ed25519");
    trust.revoked = Revoked::parse(keys.public("other").as_bytes()).unwrap();
    assert!(is_accepted(&trust, b"message", &signature));
    assert_eq!(trust.revoked.reason(&signature), None);
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
    let trust = keys.trust("");
    let message = br#"{"format":1,"app":"cortico"}"#.to_vec();
    let signature = keys.sign("id", RELEASE_NAMESPACE, &message);
    assert!(is_accepted(&trust, &message, &signature));
    for bit in 0..message.len() * 8 {
        let mut flipped = message.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !is_accepted(&trust, &flipped, &signature),
            "bit {bit} of the message"
        );
    }
    for bit in 0..signature.len() * 8 {
        let mut flipped = signature.clone().into_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = String::from_utf8(flipped) {
            assert!(
                !is_accepted(&trust, &message, &text),
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
