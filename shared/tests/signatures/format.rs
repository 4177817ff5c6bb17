//! One armour, every field as it should be, and no bit another one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use longshore_shared::signature::{RELEASE_NAMESPACE, SshSig, armor};

use crate::is_accepted;
use crate::ssh_keygen::Keys;

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

/// Keys that some verifiers accept and others do not; whoever could choose between the two could
/// show one verdict to the auditor and another to the host.
#[test]
fn keys_and_points_of_small_order_sign_nothing() {
    let keys = Keys::new();
    let zero = [0; 32];
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    // The same point as zero, written with a number that is too large.
    let mut beyond = [0xff; 32];
    (beyond[0], beyond[31]) = (0xed, 0x7f);
    for key in [zero, one, minus_one, beyond] {
        for r in [zero, one, key] {
            let string = |bytes: &[u8]| {
                let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
                [&length, bytes].concat()
            };
            let blob = |body: &[u8]| [string(b"ssh-ed25519"), string(body)].concat();
            let text = armor(&blob(&key), RELEASE_NAMESPACE, &blob(&[r, zero].concat()));
            let ours = SshSig::parse(&text).is_ok_and(|signature| signature.fits(b"message"));
            assert!(!ours, "key {key:?}, R {r:?}");
        }
    }
    // The reader of the test does read what is good.
    let good = keys.sign("id", RELEASE_NAMESPACE, b"message");
    assert!(SshSig::parse(&good).unwrap().fits(b"message"));
}
