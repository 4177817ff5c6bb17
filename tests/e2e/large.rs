//! Releases that do not fit a signed 32-bit number, nor one without a sign.

use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use longshore_lab::host::Host;
use longshore_lab::process;
use longshore_lab::sample::{Behaviour, Sample};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::answers::ended;
use crate::stage::{ENVIRONMENT, Lease, lease};
use crate::told::{Story, Told};
use crate::wire::Wire;

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "large::two_gibibytes_and_a_byte_are_shipped_and_shipped_again",
        tell: shipped,
    },
    Story {
        name: "large::two_places_of_a_large_file_are_changed",
        tell: changed_in_two_places,
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
    let idle = agents_peak(host)?;
    for version in ["1.0.0", "1.1.0"] {
        let release = lease.release(&repository, version, &Behaviour::Good)?;
        let peak = deployed_with_peak(&lease, &release)?;
        assert!(peak < 256 * 1024, "the controller took {peak} kB");
        let large = format!("/srv/longshore/tiny/releases/{version}/large");
        let size = host.sh(&format!("stat -c %s {large}"))?;
        assert_eq!(size.trim(), SIZE.to_string());
        fs_err::remove_file(release)?;
    }
    // Neither the file nor a copy of it was held in memory.
    let peak = agents_peak(host)?;
    assert!(
        peak < idle + 64 * 1024,
        "the agent took {peak} kB, and {idle} before"
    );
    Ok(())
}

/// A release that is like the one before, but for two places in a large file.
fn changed_in_two_places() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(Sample::Tiny)?;
    let made = |words: &str| {
        let python = format!(
            "import random; b = bytearray(random.Random(7).randbytes(96 << 20)); \
             at = 9 << 20; b[at:at] = b\"{words}\"; b[80 << 20] ^= len(b\"{words}\"); \
             open(\"large\", \"wb\").write(b)"
        );
        repository.change_app_file(|text| {
            let kept = text
                .split("\n[build]")
                .next()
                .unwrap_or_default()
                .trim_end();
            format!("{kept}\n\n[build]\nrun = [\"\"\"python3 -c '{python}'\"\"\"]\n")
        })
    };
    made("one")?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let before = agents_peak(host)?;
    deployed_with_peak(&lease, &first)?;
    made("an other one")?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let words = ["deploy", ENVIRONMENT, "--release", &second];
    let answer = lease.controller(Sample::Tiny).run(&words)?;
    ended(&answer, 0);
    let sent = answer.events.iter().find(|event| event["event"] == "sent");
    let sent = sent
        .and_then(|event| event["sent"].as_u64())
        .unwrap_or(u64::MAX);
    assert!(sent < 1 << 20, "{sent}: {}", answer.all());
    let peak = agents_peak(host)?;
    assert!(
        peak < before + 64 * 1024,
        "the agent took {peak} kB, and {before} before"
    );
    host.sh("grep -qa 'an other one' /srv/longshore/tiny/releases/1.1.0/large")?;
    Ok(())
}

/// The most memory that the agent ever had, in kB.
fn agents_peak(host: &Host) -> Result<u64, Box<dyn std::error::Error>> {
    let peak = host.sh(
        "grep VmHWM /proc/$(systemctl show --property=MainPID --value longshore-agent)/status",
    )?;
    kilobytes(&peak).ok_or_else(|| format!("no peak in {peak:?}").into())
}

/// Deploys; the most memory that the controller had, in kB, as far as it was seen.
fn deployed_with_peak(lease: &Lease, release: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let controller = lease.controller(Sample::Tiny);
    let words = [
        "deploy",
        ENVIRONMENT,
        "--release",
        release,
        "--json",
        "--yes",
    ];
    let mut child = controller.command(&words).stdout(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        if let Some(ended) = child.try_wait()? {
            assert!(ended.success(), "{ended}");
            assert!(peak > 0);
            return Ok(peak);
        }
        let said = fs_err::read_to_string(&status).unwrap_or_default();
        let line = said.lines().find(|line| line.starts_with("VmHWM"));
        peak = peak.max(line.and_then(kilobytes).unwrap_or(0));
        thread::sleep(Duration::from_millis(20));
    }
}

fn kilobytes(line: &str) -> Option<u64> {
    line.split_whitespace().nth(1)?.parse().ok()
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
