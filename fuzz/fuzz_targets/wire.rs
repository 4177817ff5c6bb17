//! Frames from a peer that is anything but Longshore.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore_shared::wire::codec::Decoder;
use longshore_shared::wire::latest::{FromAgent, ToAgent};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::after_greeting();
    for part in bytes.chunks(97) {
        decoder.feed(part);
        while let Ok(Some(frame)) = decoder.next_frame() {
            let _ = frame.parse::<FromAgent>();
            let _ = frame.parse::<ToAgent>();
        }
    }
});
