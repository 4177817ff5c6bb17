//! What runs beside the web: processes of a slot, and timers. Which of them belong on this host is told
//! by the units that are there.
//!
//! A process is started with its slot, so that one that cannot run stops the switch. A single one
//! waits until the one before it has ended; timers follow what is current.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use longshore_shared::app_file::AppFile;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::Slot;

use super::{live, units};
use crate::command::CommandError;
use crate::layout::{AppLayout, UNITS, other_slot};
use crate::operation::{Operation, Trouble};
use crate::system_file::put;
use crate::systemd;

/// Most of what cannot run has ended by then.
const UNTIL_BELIEVED: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const LINES_OF_LOG: usize = 50;

/// All units of processes beside a slot.
pub(crate) fn units(layout: &AppLayout, slot: Slot) -> Vec<String> {
    let processes = layout.processes(slot);
    let unit = |name: &ProcessName| layout.process_unit(slot, name);
    processes.iter().map(unit).collect()
}

/// Makes the units beside an idle slot those of a release. Whether anything changed.
pub(super) fn install(
    layout: &AppLayout,
    slot: Slot,
    manifest: &Manifest,
    single_here: bool,
) -> io::Result<bool> {
    let wanted = manifest.app_file.processes.iter();
    let wanted: BTreeMap<_, _> = wanted
        .filter(|(_, process)| single_here || !process.single)
        .collect();
    let mut changed = false;
    for name in layout.processes(slot) {
        if !wanted.contains_key(&name) {
            changed |= remove(&layout.process_unit(slot, &name))?;
        }
    }
    for (name, process) in wanted {
        let text = units::process(layout, slot, manifest, name, process);
        changed |= put_unit(&layout.process_unit(slot, name), &text)?;
    }
    Ok(changed)
}

/// Those that may run while the ones of the other slot still do.
pub(super) fn beside_others(layout: &AppLayout, slot: Slot, manifest: &Manifest) -> Vec<String> {
    let processes = layout.processes(slot).into_iter();
    let shared = processes.filter(|name| !is_single(&manifest.app_file, name));
    shared
        .map(|name| layout.process_unit(slot, &name))
        .collect()
}

/// Waits until it can be believed that these units, started at `begun`, go on running.
pub(super) fn prove(
    units: &[String],
    begun: (Instant, Timestamp),
    operation: &Operation,
) -> Result<(), Trouble> {
    loop {
        for unit in units {
            let state = systemd::state(unit)
                .map_err(|error| Trouble::because(&error, "systemd has to answer on this host"))?;
            if state.crashed {
                let trouble = Trouble::failed(
                    format!(
                        "{unit} was started beside the live release, but it stopped by itself ({})",
                        state.how
                    ),
                    "read its log, correct the app, then deploy again",
                );
                let log = systemd::log(unit, LINES_OF_LOG, Some(begun.1));
                return Err(trouble.with_log(log).with_probe(state.how));
            }
        }
        if units.is_empty() || begun.0.elapsed() >= UNTIL_BELIEVED {
            return Ok(());
        }
        while begun.0.elapsed() < UNTIL_BELIEVED {
            if operation.is_cancelled() {
                return Err(Trouble::cancelled());
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

/// Whether anything runs beside the web, before or after a switch to `slot`.
pub(super) fn any(layout: &AppLayout, manifest: &Manifest) -> bool {
    let file = &manifest.app_file;
    !file.processes.is_empty()
        || !file.timers.is_empty()
        || !layout.timers().is_empty()
        || [Slot::Blue, Slot::Green]
            .iter()
            .any(|slot| !layout.processes(*slot).is_empty())
}

/// Once `slot` serves: those of the other slot end, each in its own time, and those that have to be
/// alone begin after it. Said again, it changes nothing.
pub(super) fn hand_over(
    layout: &AppLayout,
    slot: Slot,
    manifest: &Manifest,
    single_here: bool,
) -> Result<(), HandOverError> {
    let left = other_slot(slot);
    systemd::stop_soon(&units(layout, left))?;
    // What cannot be told may be one of them.
    let before = live::in_slot(layout, left);
    let before = before.and_then(|version| live::manifest(layout, &version).ok());
    let mut alone = layout.processes(left);
    alone.retain(|name| {
        before
            .as_ref()
            .is_none_or(|before| is_single(&before.app_file, name))
    });
    let alone: Vec<String> = alone
        .iter()
        .map(|name| layout.process_unit(left, name))
        .collect();
    systemd::stop(&alone)?;
    systemd::start(&units(layout, slot))?;
    timers(layout, manifest, single_here)
}

/// Makes the timers those of a release, of which only those that changed begin to count anew.
fn timers(layout: &AppLayout, manifest: &Manifest, single_here: bool) -> Result<(), HandOverError> {
    let wanted = manifest.app_file.timers.iter();
    let wanted: BTreeMap<_, _> = wanted
        .filter(|(_, timer)| single_here || !timer.single)
        .collect();
    let (mut changed, mut anew) = (false, Vec::new());
    for name in layout.timers() {
        if !wanted.contains_key(&name) {
            let [service, timer] = layout.timer_units(&name);
            systemd::stop(&[&timer])?;
            changed |= remove(&timer)? | remove(&service)?;
        }
    }
    for (name, timer) in &wanted {
        let [service, timer_unit] = layout.timer_units(name);
        let [service_text, timer_text] = units::timer(layout, manifest, name, timer);
        changed |= put_unit(&service, &service_text)?;
        if put_unit(&timer_unit, &timer_text)? {
            changed = true;
            anew.push(timer_unit);
        }
    }
    if changed {
        systemd::reload_units()?;
    }
    systemd::restart(&anew)?;
    systemd::start(&timer_units(layout))?;
    Ok(())
}

/// All timers, which count from the next boot on only if they are started then.
pub(super) fn timer_units(layout: &AppLayout) -> Vec<String> {
    let timers = layout.timers();
    let timer = |name: &ProcessName| {
        let [_, timer] = layout.timer_units(name);
        timer
    };
    timers.iter().map(timer).collect()
}

/// Why not all that runs beside the web is as the release wants it.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandOverError {
    #[error(transparent)]
    Systemd(#[from] CommandError),
    #[error("a unit cannot be written")]
    Write(#[from] io::Error),
}

fn is_single(file: &AppFile, name: &ProcessName) -> bool {
    file.processes
        .get(name)
        .is_none_or(|process| process.single)
}

fn put_unit(unit: &str, text: &str) -> io::Result<bool> {
    put(&std::path::Path::new(UNITS).join(unit), text)
}

fn remove(unit: &str) -> io::Result<bool> {
    match fs_err::remove_file(std::path::Path::new(UNITS).join(unit)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
