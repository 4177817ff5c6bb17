//! Lists of signers and of revoked keys, and the file that brings both.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore_shared::signature::{AllowedSigners, RELEASE_NAMESPACE, Revoked};
use longshore_shared::trust_file::TrustFile;

fuzz_target!(|bytes: &[u8]| {
    let _ = Revoked::parse(bytes);
    let mut list = b"SSHKRL\n\0\0\0\0\x01".to_vec();
    list.extend_from_slice(bytes);
    let _ = Revoked::parse(&list);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(allowed) = AllowedSigners::parse(text) {
        let _ = allowed.names(RELEASE_NAMESPACE);
    }
    if let Ok(file) = TrustFile::parse(text) {
        let _ = file.rules.read();
    }
});
