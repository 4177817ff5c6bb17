//! A release of more than 2 GiB, from the step that makes it to the stream that a host is sent.

use std::io;

use longshore::release::{Part, Question, Release};
use longshore_shared::digest::Digesting;

use crate::app::{APP_FILE, App};

/// One byte more than a signed 32-bit number holds.
const SIZE: u64 = (1 << 31) + 1;

#[test]
fn a_file_of_two_gibibytes_and_a_byte_is_built_opened_and_sent() {
    let app = App::new();
    let step = format!("truncate -s {SIZE} large");
    app.write(
        "longshore.toml",
        &APP_FILE.replace("date > built-at", &step),
    );
    app.commit("Large");
    app.build_well(&["--version", "1.0.0"]);
    assert!(app.is_signed("cortico-1.0.0"));
    let release = Release::open(&app.dist("cortico-1.0.0.tar.gz")).unwrap();
    let entries = release.tree().entries();
    let at = entries.iter().position(|one| one.path == "large").unwrap();
    assert_eq!(entries[at].size, SIZE);
    assert!(release.manifest().tar.size > SIZE && release.manifest().tree.bytes > SIZE);

    let question = Question {
        wanted: Part::Entries(vec![(at as u64, 1)]),
        held: None,
    };
    let contents = release.answer(&question).unwrap();
    assert_eq!(contents.unpacked(), SIZE);
    let mut unpacked = Digesting::new(zstd::Decoder::new(contents).unwrap());
    io::copy(&mut unpacked, &mut io::sink()).unwrap();
    let (size, digest, _) = unpacked.finish();
    assert_eq!((size, digest), (SIZE, entries[at].digest));
}
