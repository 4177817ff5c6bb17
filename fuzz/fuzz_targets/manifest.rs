//! Whatever is read as a manifest is refused, or is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore_shared::manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        let again = manifest.to_bytes().expect("it is written");
        assert_eq!(Manifest::parse(&again).expect("it is read again"), manifest);
    }
});
