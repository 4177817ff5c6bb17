//! Where a reader that is nearly right would let somebody through, or name the wrong one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use longshore_shared::name::EnvironmentName;
use longshore_shared::signature::{
    AllowedSigners, RELEASE_NAMESPACE, Revoked, SIGNERS_NAMESPACE, Trust, VerifyError,
    verify_manifest,
};

use crate::ssh_keygen::Keys;
use crate::{is_accepted, refusal, trust};

const MESSAGE: &[u8] = b"message";
const NAME: &str = "release@example.com";

#[test]
fn a_name_in_a_certificate_is_no_pattern() {
    let keys = Keys::new();
    keys.generate("ca", "ed25519");
    let ca = keys.public("ca");
    let production = EnvironmentName::new("production").unwrap();
    // The authority speaks for all of them but one.
    let mut trust = trust(&format!(
        "*@example.com,!ci@example.com cert-authority {ca}"
    ));
    trust.release_by = Some(vec!["ci@example.com".to_owned()]);
    for name in [
        "*@example.com",
        "?i@example.com",
        "*",
        "!ops@example.com",
        "x@example.com",
    ] {
        keys.certify("ca", "id", &["-I", "x", "-n", name]);
        let signature = keys.sign("id-cert.pub", RELEASE_NAMESPACE, MESSAGE);
        let now = Timestamp::now();
        let said =
            verify_manifest(&trust, Some(&production), MESSAGE, &signature, now).unwrap_err();
        assert!(!matches!(said, VerifyError::Manifest(_)), "{name}: {said}");
    }
}

#[test]
fn nobody_is_said_to_have_signed_what_they_did_not() {
    let keys = Keys::new();
    let production = EnvironmentName::new("production").unwrap();
    let signature = keys.sign("id", RELEASE_NAMESPACE, MESSAGE);
    for options in [
        "",
        "namespaces=\"git\"",
        "valid-before=\"20200101\"",
        "valid-after=\"29990101\"",
    ] {
        let mut trust = keys.trust(options);
        trust.release_by = Some(vec!["ci@example.com".to_owned()]);
        let said = verify_manifest(
            &trust,
            Some(&production),
            b"another",
            &signature,
            Timestamp::now(),
        );
        let said = said.unwrap_err();
        assert!(matches!(said, VerifyError::Mismatch { .. }), "{said}");
        assert!(!said.is_about_rights());
    }
}

#[test]
fn that_a_key_was_revoked_is_said_before_anything_else() {
    let keys = Keys::new();
    let mut trust = keys.trust("namespaces=\"git\",valid-before=\"20200101\"");
    trust.revoked = Revoked::parse(keys.public("id").as_bytes()).unwrap();
    for namespace in [RELEASE_NAMESPACE, SIGNERS_NAMESPACE, "git"] {
        let signature = keys.sign("id", namespace, b"another");
        let said = refusal(&trust, MESSAGE, &signature);
        assert!(
            matches!(said, VerifyError::Revoked { .. }),
            "{namespace}: {said}"
        );
    }
}

#[test]
fn a_text_of_revoked_keys_means_what_it_means_to_ssh_keygen() {
    let keys = Keys::new();
    keys.generate("ca", "ed25519");
    keys.certify("ca", "id", &["-I", "x", "-n", NAME, "-z", "1"]);
    let older = std::fs::read_to_string(keys.path("id-cert.pub")).unwrap();
    keys.certify("ca", "id", &["-I", "y", "-n", NAME, "-z", "2"]);
    let certified = keys.sign("id-cert.pub", RELEASE_NAMESPACE, MESSAGE);
    let plain = keys.sign("id", RELEASE_NAMESPACE, MESSAGE);
    let by_ca = format!("{NAME} cert-authority {}", keys.public("ca"));
    let by_key = keys.line("");
    for (list, of_certificate, of_key) in [
        (keys.public("id"), true, true),
        (keys.public("ca"), true, false),
        // A certificate stands for its key, not for that one certificate.
        (older, true, true),
    ] {
        std::fs::write(keys.path("revoked"), &list).unwrap();
        for (allowed, signature, wanted) in [
            (&by_ca, &certified, of_certificate),
            (&by_key, &plain, of_key),
        ] {
            let revoked = keys.path("revoked");
            let stock = keys.stock_accepts_but(allowed, NAME, MESSAGE, signature, Some(&revoked));
            assert_eq!(!stock, wanted, "ssh-keygen: {list}");
            let trust = Trust {
                revoked: Revoked::parse(list.as_bytes()).unwrap(),
                ..trust(allowed)
            };
            assert_eq!(!is_accepted(&trust, MESSAGE, signature), wanted, "{list}");
        }
    }
}

/// Who pastes half a key must not believe that it is revoked, or trusted.
#[test]
fn a_key_that_was_cut_or_spoiled_refuses_the_list() {
    let keys = Keys::new();
    keys.generate("rsa", "rsa");
    keys.generate("ecdsa", "ecdsa");
    keys.certify("rsa", "id", &["-I", "x", "-n", NAME]);
    for name in ["id", "rsa", "ecdsa", "id-cert"] {
        let public = keys.public(name);
        let words: Vec<&str> = public.split(' ').collect();
        let whole = BASE64_STANDARD.decode(words[1].trim()).unwrap();
        let lines = |blob: &[u8]| {
            let key = format!("{} {}", words[0], BASE64_STANDARD.encode(blob));
            (format!("{NAME} {key}"), key)
        };
        let (allowed, revoked) = lines(&whole);
        // A line names keys, and authorities of certificates, not certificates.
        assert_eq!(
            AllowedSigners::parse(&allowed).is_ok(),
            name != "id-cert",
            "{name}"
        );
        assert!(Revoked::parse(revoked.as_bytes()).is_ok(), "{name}");
        // What follows the key in a certificate has no part in what is revoked.
        let key_ends = if name == "id-cert" { 100 } else { whole.len() };
        for end in 0..key_ends {
            let (allowed, revoked) = lines(&whole[..end]);
            assert!(AllowedSigners::parse(&allowed).is_err(), "{name} {end}");
            assert!(Revoked::parse(revoked.as_bytes()).is_err(), "{name} {end}");
        }
        let (allowed, revoked) = lines(&[&whole[..], b"x"].concat());
        assert!(AllowedSigners::parse(&allowed).is_err(), "{name}");
        assert!(Revoked::parse(revoked.as_bytes()).is_err(), "{name}");
        if name.starts_with("id") {
            let id = BASE64_STANDARD.decode(keys.public("id").split(' ').nth(1).unwrap());
            let point = &id.unwrap()[19..];
            let at = whole.windows(32).position(|part| part == point).unwrap();
            let (_, revoked) = lines(&[&whole[..at], &[0; 32], &whole[at + 32..]].concat());
            assert!(Revoked::parse(revoked.as_bytes()).is_err(), "{name}");
        }
    }
}

#[test]
fn keys_that_can_sign_nothing_leave_nobody() {
    let keys = Keys::new();
    keys.generate("rsa", "rsa");
    for options in ["", "cert-authority,"] {
        let options = format!("{options}namespaces=\"longshore-signers\" ");
        let left = |key: &str| {
            let list = format!("{NAME} {options}{}", keys.public(key));
            AllowedSigners::parse(&list).unwrap().anyone_may(
                SIGNERS_NAMESPACE,
                &Revoked::default(),
                Timestamp::now(),
            )
        };
        assert!(left("id"), "{options}");
        assert!(!left("rsa"), "{options}");
    }
}

/// Each byte of a line as another one: what `ssh-keygen` refuses, or takes for another name, is
/// refused here.
#[test]
fn no_spoiled_line_says_more_than_it_says_to_ssh_keygen() {
    let keys = Keys::new();
    let signature = keys.sign("id", RELEASE_NAMESPACE, MESSAGE);
    let whole = format!(
        "a@x,{NAME} namespaces=\"git,longshore-*\",valid-before=\"29990101Z\" {}",
        keys.public("id")
    );
    let key_begins = whole.find("ssh-ed").unwrap() + 4;
    let mut both = 0;
    for at in 0..key_begins {
        for put in [
            "", " ", "\t", "\r", "\0", "\u{b}", "\u{a0}", "\"", "\\", ",", "!", "*", "=",
        ] {
            if !whole.is_char_boundary(at) {
                continue;
            }
            let line = format!("{}{put}{}", &whole[..at], &whole[at + 1..]);
            let ours = AllowedSigners::parse(&line).is_ok_and(|allowed| {
                let production = EnvironmentName::new("production").unwrap();
                let trust = Trust {
                    allowed,
                    release_by: Some(vec![NAME.to_owned()]),
                    ..Trust::default()
                };
                let now = Timestamp::now();
                let said = verify_manifest(&trust, Some(&production), MESSAGE, &signature, now);
                matches!(said, Err(VerifyError::Manifest(_)))
            });
            // Asking the other process is what takes long.
            if ours {
                both += 1;
                assert!(
                    keys.stock_accepts(&line, NAME, MESSAGE, &signature),
                    "{line:?}"
                );
            }
        }
    }
    assert!(both > 20, "the test compares something: {both}");
}

/// Each byte of a binary list as another one: where `ssh-keygen` accepts no signature by it, neither
/// do we.
#[test]
fn no_spoiled_binary_list_revokes_less_than_for_ssh_keygen() {
    let keys = Keys::new();
    keys.generate("ca", "ed25519");
    keys.certify("ca", "id", &["-I", "the id", "-n", NAME, "-z", "42"]);
    let signature = keys.sign("id-cert.pub", RELEASE_NAMESPACE, MESSAGE);
    let allowed = format!("{NAME} cert-authority {}", keys.public("ca"));
    for lines in [
        "serial: 40-45\nid: some id\n",
        "serial: 2\nserial: 42\nserial: 44\nserial: 46\nserial: 47\nserial: 49\n",
    ] {
        let list = keys.revoke(Some("ca"), lines);
        let spoiled = (0..list.len()).flat_map(|at| {
            [0x00, 0x01, 0x80, 0xff].map(|put| {
                let mut spoiled = list.clone();
                spoiled[at] = put;
                spoiled
            })
        });
        for spoiled in spoiled {
            let ours = Revoked::parse(&spoiled).is_ok_and(|revoked| {
                let trust = Trust {
                    revoked,
                    ..trust(&allowed)
                };
                is_accepted(&trust, MESSAGE, &signature)
            });
            if ours {
                std::fs::write(keys.path("krl"), &spoiled).unwrap();
                assert!(!keys.stock_revokes(&allowed, &signature), "{spoiled:?}");
            }
        }
    }
}

/// `ssh-keygen` of another version may write what this one does not.
#[test]
fn ranges_that_mean_nothing_refuse_the_binary_list() {
    let string = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length, bytes].concat()
    };
    let list = |kind: u8, numbers: &[u64]| {
        let numbers: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
        let section = [string(b""), string(b""), vec![kind], string(&numbers)].concat();
        let header = [&b"SSHKRL\n\0\0\0\0\x01"[..], &[0; 24], &[0; 8]].concat();
        [header, vec![1], string(&section)].concat()
    };
    for (kind, numbers, understood) in [
        (0x21, &[7, 9][..], true),
        (0x21, &[9, 7], false),
        (0x21, &[0, 7], false),
        (0x20, &[7], true),
        (0x20, &[0], false),
    ] {
        let read = Revoked::parse(&list(kind, numbers));
        assert_eq!(read.is_ok(), understood, "{numbers:?}: {read:?}");
    }
}

#[test]
fn a_list_with_bytes_that_no_text_has_is_refused() {
    let keys = Keys::new();
    for line in [
        keys.line("").replacen("release", "re\x1b[2Jlease", 1),
        keys.line("").replacen("release", "rel\0ease", 1),
    ] {
        assert!(AllowedSigners::parse(&line).is_err(), "{line:?}");
    }
    // As an editor on another system leaves it.
    let list = format!("# who\r\n{}\r\n", keys.line("").trim_end());
    assert!(AllowedSigners::parse(&list).is_ok());
}
