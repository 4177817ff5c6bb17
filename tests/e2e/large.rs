//! Releases that do not fit a signed 32-bit number, nor one without a sign.

use std::io::{self, Read as _};
use std::process::Command;

use longshore_lab::process;
use longshore_lab::sample::{Behaviour, Sample};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::answers::ended;
use crate::stage::{ENVIRONMENT, lease};
use crate::told::{Story, Told};
use crate::wire::Wire;

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "large::two_gibibytes_and_a_byte_are_shipped_and_shipped_again",
        tell: shipped,
    },
    Story {
        name: "large::four_gibibytes_and_a_byte_are_checked_to_the_last",
        tell: checked_to_the_last,
    },
];

const SIZE: u64 = (1 << 31) + 1;

fn shipped() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(Sample::Tiny)?;
    // Made by a step: git is not what is tried here.
    repository.change_app_file(|text| {
        format!("{text}\n[build]\nrun = [\"truncate -s {SIZE} large\"]\n")
    })?;
    for version in ["1.0.0", "1.1.0"] {
        let release = lease.release(&repository, version, &Behaviour::Good)?;
        ended(&lease.deploy(Sample::Tiny, &release)?, 0);
        let large = format!("/srv/longshore/tiny/releases/{version}/large");
        let size = host.sh(&format!("stat -c %s {large}"))?;
        assert_eq!(size.trim(), SIZE.to_string());
        fs_err::remove_file(release)?;
    }
    // Neither the file nor a copy of it was held in memory.
    let peak = host.sh(
        "grep VmHWM /proc/$(systemctl show --property=MainPID --value longshore-agent)/status",
    )?;
    let kilobytes = peak
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok());
    let kilobytes = kilobytes.ok_or_else(|| format!("no peak in {peak:?}"))?;
    assert!(kilobytes < 96 * 1024, "{peak}");
    Ok(())
}

/// Sent frame by frame: zeros travel in no time.
fn checked_to_the_last() -> Told {
    const HUGE: u64 = (1 << 32) + 1;
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(Sample::Tiny)?;
    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let manifest = fs_err::read_to_string(release.replace(".tar.gz", ".json"))?;

    let zeros = |length: u64| io::repeat(0).take(length);
    let mut digest = Sha256::new();
    let mebibyte = vec![0; 1 << 20];
    (0..HUGE >> 20).for_each(|_| digest.update(&mebibyte));
    digest.update([0]);
    let digest: String = digest
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let tree = format!("100644 {HUGE} {digest} huge\n");
    let tree_digest: String = Sha256::digest(&tree)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let mut signed: Value = serde_json::from_str(&manifest)?;
    signed["tree"] =
        json!({"size": tree.len(), "sha256": tree_digest, "entries": 1, "bytes": HUGE});
    let manifest = signed.to_string();
    let file = lease.folder().join("huge.json");
    fs_err::write(&file, &manifest)?;
    let key = lease.signing_key();
    let words = ["-q", "-Y", "sign", "-n", "longshore-release", "-f", &key];
    process::run(Command::new("ssh-keygen").args(words).arg(&file))?;
    let signature = fs_err::read_to_string(lease.folder().join("huge.json.sig"))?;

    let mut wire = Wire::open(host)?;
    wire.lock(ENVIRONMENT, "tiny")?;
    let tree = zstd::encode_all(tree.as_bytes(), 3)?;
    let mut ship = |last: u8| -> Result<Value, Box<dyn std::error::Error>> {
        let content = zeros(HUGE - 1).chain(io::repeat(last).take(1));
        let content = zstd::encode_all(content, 1)?;
        wire.ship("tiny", &manifest, &signature, [&tree, &content])
    };
    let reply = ship(1)?;
    assert_eq!(reply["reply"], "refused", "{reply}");
    assert!(
        reply.to_string().contains("is not the signed one"),
        "{reply}"
    );
    host.sh("test -z \"$(ls -A /srv/longshore/tiny/staging)\"")?;
    let reply = ship(0)?;
    assert_eq!(reply["reply"], "staged", "{reply}");
    let size = host.sh("stat -c %s /srv/longshore/tiny/releases/1.0.0/huge")?;
    assert_eq!(size.trim(), HUGE.to_string());
    Ok(())
}
