//! No text is a signature that makes the reader stumble; the blob inside is given armour, so that
//! noise gets past it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore_shared::signature::{RELEASE_NAMESPACE, SshSig, Trust, armor, verify_manifest};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        try_it(text);
    }
    let (key, rest) = bytes.split_at(bytes.len() / 2);
    try_it(&armor(key, RELEASE_NAMESPACE, rest));
});

fn try_it(text: &str) {
    if let Ok(signature) = SshSig::parse(text) {
        let _ = signature.fits(b"message");
    }
    let nobody = Trust::default();
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    assert!(verify_manifest(&nobody, None, b"{}", text, now).is_err());
}
