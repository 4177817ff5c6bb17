//! A release that does not fit a signed 32-bit number, from the commit to the page that is served.

use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::ended;
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "large::two_gibibytes_and_a_byte_are_shipped_and_shipped_again",
    tell: shipped,
}];

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
