//! Every kind of key, both ways round with stock OpenSSH.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use longshore_shared::signature::{RELEASE_NAMESPACE, SshSig, armor};

use crate::ssh_keygen::Keys;
use crate::token::{MESSAGE, Token};
use crate::{is_accepted, trust};

const NAME: &str = "release@example.com";

#[test]
fn each_kind_that_ssh_keygen_signs_with_is_accepted() {
    let keys = Keys::new();
    for (kind, bits) in [
        ("ecdsa", "256"),
        ("ecdsa", "384"),
        ("ecdsa", "521"),
        ("ed25519", "256"),
    ] {
        let name = format!("{kind}-{bits}");
        keys.generate_sized(&name, kind, bits);
        let line = format!("{NAME} {}", keys.public(&name));
        let signature = keys.sign(&name, RELEASE_NAMESPACE, MESSAGE);
        let trust = trust(&line);
        assert!(is_accepted(&trust, MESSAGE, &signature), "{name}");
        assert!(keys.stock_accepts(&line, NAME, MESSAGE, &signature));
        assert!(!is_accepted(&trust, b"massage", &signature), "{name}");
    }
}

#[test]
fn tokens_sign_too_when_they_are_touched() {
    let keys = Keys::new();
    for token in [Token::ed25519(), Token::ecdsa()] {
        let touched = token.signature(1);
        assert!(
            keys.stock_accepts(&token.line(), NAME, MESSAGE, &touched),
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
        let pretended = armor(&token.blob(), RELEASE_NAMESPACE, &token.made(0, 1));
        assert!(!SshSig::parse(&pretended).unwrap().fits(MESSAGE));
    }
}

#[test]
fn certificates_of_each_kind_by_each_kind() {
    let keys = Keys::new();
    let kinds = [
        ("ed25519", "256"),
        ("ecdsa", "256"),
        ("ecdsa", "384"),
        ("ecdsa", "521"),
    ];
    for (kind, bits) in kinds {
        keys.generate_sized(&format!("{kind}-{bits}-ca"), kind, bits);
        keys.generate_sized(&format!("{kind}-{bits}"), kind, bits);
    }
    let name = |(kind, bits): (&str, &str)| format!("{kind}-{bits}");
    for ca in kinds.map(|kind| name(kind) + "-ca") {
        let list = format!("{NAME} cert-authority {}", keys.public(&ca));
        for key in kinds.map(name) {
            keys.certify(&ca, &key, &["-I", "x", "-n", NAME]);
            let signature = keys.sign(&format!("{key}-cert.pub"), RELEASE_NAMESPACE, MESSAGE);
            assert!(keys.stock_accepts(&list, NAME, MESSAGE, &signature));
            assert!(
                is_accepted(&trust(&list), MESSAGE, &signature),
                "{key} by {ca}"
            );
        }
        for token in [Token::ed25519(), Token::ecdsa()] {
            let certificate = keys.certified_token(&ca, &token);
            for (flags, touched) in [(1, true), (5, true), (0, false), (4, false)] {
                let made = token.made(flags, flags);
                let signature = armor(&certificate, RELEASE_NAMESPACE, &made);
                assert!(keys.stock_accepts(&list, NAME, MESSAGE, &signature));
                assert_eq!(
                    is_accepted(&trust(&list), MESSAGE, &signature),
                    touched,
                    "{} by {ca}",
                    token.kind
                );
            }
        }
    }
    keys.generate("rsa", "rsa");
    let list = format!("{NAME} cert-authority {}", keys.public("rsa"));
    keys.certify("rsa", "id", &["-I", "x", "-n", NAME]);
    let signature = keys.sign("id-cert.pub", RELEASE_NAMESPACE, MESSAGE);
    let said = SshSig::parse(&signature).unwrap_err().to_string();
    assert!(
        said.contains("signed its certificate") && said.contains("ssh-rsa"),
        "{said}"
    );
    assert!(!is_accepted(&trust(&list), MESSAGE, &signature));
}

impl Keys {
    /// Has `ca` certify the key of a token.
    pub(crate) fn certified_token(&self, ca: &str, token: &Token) -> Vec<u8> {
        let public = format!("{} {}\n", token.kind, BASE64_STANDARD.encode(token.blob()));
        std::fs::write(self.path("token.pub"), public).unwrap();
        self.certify(ca, "token", &["-I", "x", "-n", NAME]);
        let certificate = self.public("token-cert");
        BASE64_STANDARD
            .decode(certificate.split(' ').nth(1).unwrap().trim())
            .unwrap()
    }
}
