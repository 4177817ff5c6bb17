//! Signatures of every kind with one thing changed. The bytes below the armour are changed, so that
//! each change is read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer as _;
use longshore_shared::signature::{
    RELEASE_NAMESPACE, SshSig, Trust, VerifyError, armor, signed_data,
};

use crate::ssh_keygen::Keys;
use crate::token::{MESSAGE, Token, positive, string};
use crate::{is_accepted, refusal, trust};

const NAME: &str = "release@example.com";

fn blob(signature: &str) -> Vec<u8> {
    let body = signature.lines().filter(|line| !line.starts_with('-'));
    BASE64_STANDARD.decode(body.collect::<String>()).unwrap()
}

fn armored(blob: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(blob);
    format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
}

/// Flips bits of a good signature, `each` of a byte.
fn flip(what: &str, trust: &Trust, good: &str, each: &[u8]) {
    assert!(is_accepted(trust, MESSAGE, good), "{what}");
    let blob = blob(good);
    assert!(is_accepted(trust, MESSAGE, &armored(&blob)), "{what}");
    for at in 0..blob.len() {
        for bit in each {
            let mut flipped = blob.clone();
            flipped[at] ^= 1 << bit;
            let accepted = is_accepted(trust, MESSAGE, &armored(&flipped));
            assert!(!accepted, "{what}: bit {bit} of byte {at}");
        }
    }
    for end in 0..blob.len() {
        assert!(
            SshSig::parse(&armored(&blob[..end])).is_err(),
            "{what}: {end}"
        );
    }
}

#[test]
fn no_flipped_bit_of_any_kind_is_accepted() {
    let every = [0, 1, 2, 3, 4, 5, 6, 7];
    let keys = Keys::new();
    for (kind, bits, each) in [
        ("ed25519", "256", &every[..]),
        ("ecdsa", "256", &every),
        // These two take long to check.
        ("ecdsa", "384", &[0, 7]),
        ("ecdsa", "521", &[0]),
    ] {
        let name = format!("{kind}-{bits}");
        keys.generate_sized(&name, kind, bits);
        let list = format!("{NAME} {}", keys.public(&name));
        let good = keys.sign(&name, RELEASE_NAMESPACE, MESSAGE);
        flip(&name, &trust(&list), &good, each);
    }
    for token in [Token::ed25519(), Token::ecdsa()] {
        flip(
            token.kind,
            &trust(&token.line()),
            &token.signature(1),
            &every,
        );
    }
    keys.generate("ca", "ed25519");
    let list = format!("{NAME} cert-authority {}", keys.public("ca"));
    for token in [Token::ed25519(), Token::ecdsa()] {
        let certificate = keys.certified_token("ca", &token);
        let good = armor(&certificate, RELEASE_NAMESPACE, &token.made(1, 1));
        flip("certificate", &trust(&list), &good, &every);
    }
}

/// Each is really signed, for a namespace that is nearly the right one.
#[test]
fn namespaces_that_are_nearly_ours() {
    let keys = Keys::new();
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let kind = string(b"ssh-ed25519");
    let public = [&kind[..], &string(key.verifying_key().as_bytes())].concat();
    let list = format!("{NAME} ssh-ed25519 {}", BASE64_STANDARD.encode(&public));
    let signed = |namespace: &str| {
        let made = key.sign(&signed_data(namespace, MESSAGE)).to_bytes();
        armor(&public, namespace, &[&kind[..], &string(&made)].concat())
    };
    let good = signed(RELEASE_NAMESPACE);
    assert!(is_accepted(&trust(&list), MESSAGE, &good));
    assert!(keys.stock_accepts(&list, NAME, MESSAGE, &good));
    for namespace in [
        "",
        "file",
        "git",
        "longshore-release\0",
        "\0longshore-release",
        "longshore-release ",
        "longshore-Release",
        "longshore-releas",
        "longshore-signers",
        "*",
        "longshore-rele\u{430}se",
    ] {
        let said = refusal(&trust(&list), MESSAGE, &signed(namespace));
        assert!(
            matches!(said, VerifyError::Namespace { .. }),
            "{namespace:?}: {said}"
        );
    }
}

#[test]
fn kinds_that_do_not_belong_together() {
    let token = Token::ecdsa();
    let made = token.made(1, 1);
    let spoiled = |from: &[u8], to: &[u8], bytes: &[u8]| {
        let at = bytes.windows(from.len()).position(|part| part == from);
        let at = at.unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    };
    let kind = token.kind.as_bytes();
    for (what, key, made) in [
        (
            "the signature of another kind",
            token.blob(),
            spoiled(kind, b"sk-ecdsa-sha2-nistp384@openssh.com", &made),
        ),
        (
            "one made in a browser",
            token.blob(),
            spoiled(
                &string(kind),
                &string(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com"),
                &made,
            ),
        ),
        (
            "the key on another curve than its kind",
            spoiled(b"\x08nistp256", b"\x08nistp384", &token.blob()),
            made.clone(),
        ),
        (
            "RSA with SHA-1",
            token.blob(),
            spoiled(&string(kind), &string(b"ssh-rsa"), &made),
        ),
        ("a byte behind", token.blob(), [&made[..], b"x"].concat()),
        ("no counter", token.blob(), made[..made.len() - 4].to_vec()),
    ] {
        let text = armor(&key, RELEASE_NAMESPACE, &made);
        assert!(SshSig::parse(&text).is_err(), "{what}");
    }
}

/// The two numbers of an ECDSA signature, and the point that is the key.
#[test]
fn numbers_and_points_that_no_ecdsa_signature_has() {
    let keys = Keys::new();
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let signature: p256::ecdsa::Signature = key.sign(&signed_data(RELEASE_NAMESPACE, MESSAGE));
    let (r, s) = signature.split_bytes();
    // The order of the curve's group.
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let kind = b"ecdsa-sha2-nistp256";
    let public = |point: &[u8]| [string(kind), string(b"nistp256"), string(point)].concat();
    let verdicts = |point: &[u8], numbers: &[u8]| {
        let public = public(point);
        let made = [string(kind), string(numbers)].concat();
        let text = armor(&public, RELEASE_NAMESPACE, &made);
        let list = format!(
            "{NAME} ecdsa-sha2-nistp256 {}",
            BASE64_STANDARD.encode(&public)
        );
        let ours = SshSig::parse(&text).is_ok_and(|signature| signature.fits(MESSAGE));
        (ours, keys.stock_accepts(&list, NAME, MESSAGE, &text))
    };
    let both = |r: &[u8], s: &[u8]| [positive(r), positive(s)].concat();
    let good = both(&r, &s);
    assert_eq!(verdicts(point.as_bytes(), &good), (true, true));
    let zero = string(&[]);
    for (what, numbers) in [
        ("no numbers", Vec::new()),
        ("r alone", positive(&r)),
        ("three", [&good[..], &positive(&s)].concat()),
        ("r = 0", [&zero[..], &positive(&s)].concat()),
        ("s = 0", [&positive(&r)[..], &zero].concat()),
        ("both 0", [&zero[..], &zero].concat()),
        ("r = n", both(&order, &s)),
        ("s = n", both(&r, &order)),
        ("s of 33 bytes", [positive(&r), string(&[1; 33])].concat()),
        ("negative", [string(&[0x80; 32]), positive(&s)].concat()),
    ] {
        assert_eq!(
            verdicts(point.as_bytes(), &numbers),
            (false, false),
            "{what}"
        );
    }
    // One more spelling of a number that is right.
    let longer = [string(&[&[0, 0][..], &r].concat()), positive(&s)].concat();
    assert!(!verdicts(point.as_bytes(), &longer).0);
    let mut off = point.as_bytes().to_vec();
    off[64] ^= 1;
    let compressed = key.verifying_key().to_sec1_point(true);
    for (what, point) in [
        ("off the curve", &off[..]),
        ("compressed", compressed.as_bytes()),
        ("infinity", &[0]),
        ("empty", &[]),
        ("0, 0", &[&[4][..], &[0; 64]].concat()),
        ("a hybrid", &[&[6][..], &point.as_bytes()[1..]].concat()),
    ] {
        assert!(!verdicts(point, &good).0, "{what}");
    }
}
