//! A swap file for hosts with little memory.

use std::path::Path;

use longshore_shared::setup::{DesiredSystem, SetupFailure};

use super::facts::Facts;
use super::plan::{Planned, failed};
use crate::command::{self, CommandError};
use crate::system_file;

const FILE: &str = "/swapfile";
const FSTAB: &str = "/etc/fstab";
const LINE: &str = "/swapfile none swap sw 0 0";

pub(super) fn plan(system: &DesiredSystem, facts: &Facts, planned: &mut Planned) {
    let Some(size) = system.swap else { return };
    if facts.memory >= size.saturating_mul(2) {
        return;
    }
    if facts.container {
        planned.note("no swap file: this host is a container, whose memory is the machine's");
        return;
    }
    let swaps = fs_err::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() < 2 {
        let words = format!("+ swap file of {} MiB", size >> 20);
        planned.change(words, move |_| make(size));
    } else if swaps.contains(FILE) && !in_fstab() {
        planned.change("~ swap file after a reboot too (/etc/fstab)", |_| enter());
    }
}

fn make(size: u64) -> Result<(), SetupFailure> {
    let size = size.to_string();
    let all = || -> Result<(), CommandError> {
        // Its content is the memory of others: it is made for root alone from its first byte on.
        command::run("install", &["-m", "600", "/dev/null", FILE])?;
        command::run("fallocate", &["-l", &size, FILE])?;
        command::run("mkswap", &[FILE])?;
        command::run("swapon", &[FILE]).map(drop)
    };
    all().map_err(failed)?;
    enter()
}

fn in_fstab() -> bool {
    fs_err::read_to_string(FSTAB).is_ok_and(|text| text.lines().any(|line| line == LINE))
}

fn enter() -> Result<(), SetupFailure> {
    if in_fstab() {
        return Ok(());
    }
    let mut text = fs_err::read_to_string(FSTAB).unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(LINE);
    text.push('\n');
    system_file::put(Path::new(FSTAB), text)
        .map(drop)
        .map_err(failed)
}
