//! What runs beside the web: processes of a slot, and timers. Which of them belong on this host is told
//! by the units that are there.
//!
//! A process is started with its slot, so that one that cannot run stops the switch. A single one
//! begins once traffic has moved, and systemd lets it wait for the end of the one before; timers follow
//! what is current. Nothing here waits for work that is being finished.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
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
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);
const LINES_OF_LOG: usize = 50;

/// All units of processes beside a slot.
pub(crate) fn units(layout: &AppLayout, slot: Slot) -> Vec<String> {
    let processes = layout.processes(slot);
    let unit = |name: &ProcessName| layout.process_unit(slot, name);
    processes.iter().map(unit).collect()
}

/// Whether a process of any release still finishes its work.
pub(super) fn any_ending(layout: &AppLayout) -> bool {
    let all = [Slot::Blue, Slot::Green].map(|slot| units(layout, slot));
    let mut all = all.iter().flatten();
    all.any(|unit| systemd::is_ending(unit).unwrap_or(true))
}

/// Makes the units beside a slot those of a release.
pub(super) fn install(
    layout: &AppLayout,
    slot: Slot,
    manifest: &Manifest,
    single_here: bool,
) -> Result<(), ProcessError> {
    let wanted = manifest.app_file.processes.iter();
    let wanted: BTreeMap<_, _> = wanted
        .filter(|(_, process)| single_here || !process.single)
        .collect();
    let there = layout.processes(slot);
    if wanted.is_empty() && there.is_empty() {
        return Ok(());
    }
    let gone = there.iter().filter(|name| !wanted.contains_key(name));
    let gone: Vec<String> = gone.map(|name| layout.process_unit(slot, name)).collect();
    systemd::stop_soon(&gone)?;
    for unit in &gone {
        remove(unit)?;
    }
    for (name, process) in wanted {
        let text = units::process(layout, slot, manifest, name, process);
        put(&place(&layout.process_unit(slot, name)), &text)?;
    }
    let mut all = units(layout, slot);
    // What ended badly is not held against the release that comes.
    systemd::forget(&all)?;
    all.extend(gone);
    reload_if_needed(&all)?;
    Ok(())
}

/// What was started beside a slot and is to be believed in, and when.
pub(super) struct Begun {
    units: Vec<String>,
    at: Instant,
    time: Timestamp,
}

/// Starts what may run while the other slot still does. What waits for the end of work in its own place
/// is not waited for.
pub(super) fn start_beside_others(
    layout: &AppLayout,
    slot: Slot,
    manifest: &Manifest,
) -> Result<Begun, ProcessError> {
    let mut names = layout.processes(slot);
    let before = manifest_in(layout, other_slot(slot));
    names.retain(|name| {
        !is_single(manifest, name) && before.as_ref().is_none_or(|it| !is_single(it, name))
    });
    Begun::start(layout, slot, names)
}

impl Begun {
    /// One in whose place there is still work in hand begins after that, which nobody waits for.
    fn start(
        layout: &AppLayout,
        slot: Slot,
        names: Vec<ProcessName>,
    ) -> Result<Self, ProcessError> {
        let (at, time) = (Instant::now(), Timestamp::now());
        let (mut later, mut units) = (Vec::new(), Vec::new());
        for name in names {
            let unit = layout.process_unit(slot, &name);
            let other = layout.process_unit(other_slot(slot), &name);
            let waits =
                systemd::is_ending(&unit)? || (is_alone(&unit) && systemd::is_at_work(&other)?);
            if waits {
                later.push(unit)
            } else {
                units.push(unit)
            }
        }
        systemd::start_soon(&later)?;
        systemd::start(&units)?;
        Ok(Self { units, at, time })
    }

    /// Waits until it can be believed that all of them go on running.
    pub(super) fn prove(&self, operation: &Operation) -> Result<(), Trouble> {
        while let Some(last) = self.look()? {
            if last {
                return Ok(());
            }
            if operation.is_cancelled() {
                return Err(Trouble::cancelled());
            }
            std::thread::sleep(
                UNTIL_BELIEVED
                    .saturating_sub(self.at.elapsed())
                    .min(BETWEEN_LOOKS),
            );
        }
        Ok(())
    }

    /// Whether this look was the last one; nothing where there is nothing to look at.
    fn look(&self) -> Result<Option<bool>, Trouble> {
        if self.units.is_empty() {
            return Ok(None);
        }
        let last = self.at.elapsed() >= UNTIL_BELIEVED;
        for unit in &self.units {
            let state = systemd::state(unit)
                .map_err(|error| Trouble::because(&error, "systemd has to answer on this host"))?;
            if state.crashed {
                let trouble = Trouble::failed(
                    format!(
                        "{unit} was started, but it stopped by itself ({})",
                        state.how
                    ),
                    "read its log, correct the app, then deploy again",
                );
                let log = systemd::log(unit, LINES_OF_LOG, Some(self.time));
                return Err(trouble.with_log(log).with_probe(state.how));
            }
        }
        Ok(Some(last))
    }
}

/// Whether anything runs beside the web, before or after a switch.
pub(super) fn any(layout: &AppLayout, manifest: &Manifest) -> bool {
    let file = &manifest.app_file;
    !file.processes.is_empty()
        || !file.timers.is_empty()
        || !layout.timers().is_empty()
        || [Slot::Blue, Slot::Green]
            .iter()
            .any(|slot| !layout.processes(*slot).is_empty())
}

/// Once `slot` serves: those of the other slot end, each in its own time, and what has to be alone
/// begins after it. Said again, it changes nothing.
pub(super) fn hand_over(
    layout: &AppLayout,
    slot: Slot,
    manifest: &Manifest,
    single_here: bool,
) -> Result<(), ProcessError> {
    let left = other_slot(slot);
    systemd::stop_soon(&units(layout, left))?;
    install(layout, slot, manifest, single_here)?;
    let mut names = layout.processes(slot);
    names.retain(|name| !systemd::is_active(&layout.process_unit(slot, name)).unwrap_or(false));
    let timed = timers(layout, manifest, single_here);
    let begun = Begun::start(layout, slot, names)?;
    timed?;
    while let Some(last) = begun.look().map_err(ProcessError::Ended)? {
        if last {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

/// Makes the timers those of a release, of which only those that changed begin to count anew.
fn timers(layout: &AppLayout, manifest: &Manifest, single_here: bool) -> Result<(), ProcessError> {
    let wanted = manifest.app_file.timers.iter();
    let wanted: BTreeMap<_, _> = wanted
        .filter(|(_, timer)| single_here || !timer.single)
        .collect();
    let there = layout.timers();
    if wanted.is_empty() && there.is_empty() {
        return Ok(());
    }
    let mut all = Vec::new();
    for name in there.iter().filter(|name| !wanted.contains_key(name)) {
        let [service, timer] = layout.timer_units(name);
        systemd::stop(&[&timer])?;
        remove(&timer)?;
        remove(&service)?;
        all.extend([service, timer]);
    }
    for (name, timer) in &wanted {
        let units = layout.timer_units(name);
        for (unit, text) in units
            .iter()
            .zip(units::timer(layout, manifest, name, timer))
        {
            put(&place(unit), text)?;
        }
        all.extend(units);
    }
    // Told by systemd, and not by what was written: a stop may have come between the two.
    let changed = reload_if_needed(&all)?;
    let own = timer_units(layout);
    let anew: Vec<&String> = own.iter().filter(|unit| changed.contains(unit)).collect();
    systemd::restart(&anew)?;
    systemd::start(&own)?;
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

/// Has systemd read its files again where it knows of changed ones, and gives those back.
fn reload_if_needed(units: &[String]) -> Result<Vec<String>, CommandError> {
    let changed = systemd::changed_on_disk(units)?;
    if !changed.is_empty() {
        systemd::reload_units()?;
    }
    Ok(changed)
}

/// Why not all that runs beside the web is as the release wants it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    #[error(transparent)]
    Systemd(#[from] CommandError),
    #[error("a unit cannot be written")]
    Write(#[from] io::Error),
    #[error("{}", .0.message())]
    Ended(Trouble),
}

impl ProcessError {
    /// What to say of it, with the end of a log where there is one.
    pub(super) fn trouble(self, next: &'static str) -> Trouble {
        match self {
            Self::Ended(trouble) => trouble,
            other => Trouble::because(&other, next),
        }
    }
}

fn manifest_in(layout: &AppLayout, slot: Slot) -> Option<Manifest> {
    let version = live::in_slot(layout, slot)?;
    live::manifest(layout, &version).ok()
}

/// Whether systemd lets a unit wait for the one before, as its file says.
fn is_alone(unit: &str) -> bool {
    fs_err::read_to_string(place(unit)).is_ok_and(|text| text.contains("\nConflicts="))
}

fn is_single(manifest: &Manifest, name: &ProcessName) -> bool {
    let process = manifest.app_file.processes.get(name);
    process.is_some_and(|process| process.single)
}

fn place(unit: &str) -> std::path::PathBuf {
    Path::new(UNITS).join(unit)
}

fn remove(unit: &str) -> io::Result<()> {
    match fs_err::remove_file(place(unit)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
