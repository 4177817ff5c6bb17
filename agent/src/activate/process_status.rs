//! How what runs beside the web stands.

use jiff::SignedDuration;
use longshore_shared::app_file::Timer;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::{ProcessState, ProcessStatus};

use super::live::Live;
use crate::layout::{AppLayout, other_slot};
use crate::systemd::{self, Shown};

/// The processes of the live release on this host, those of the one before that still end, and timers.
pub(crate) fn statuses(
    layout: &AppLayout,
    live: &Live,
    manifest: Option<&Manifest>,
    single_here: bool,
) -> Vec<ProcessStatus> {
    let (own, other) = (live.slot, other_slot(live.slot));
    let (processes, left, timers) = (
        layout.processes(own),
        layout.processes(other),
        layout.timers(),
    );
    let mut all = missing(layout, live, manifest, single_here);
    let unit = |slot| move |name: &ProcessName| layout.process_unit(slot, name);
    let mut units: Vec<String> = processes.iter().map(unit(own)).collect();
    units.extend(left.iter().map(unit(other)));
    units.extend(timers.iter().flat_map(|name| layout.timer_units(name)));
    if units.is_empty() {
        return all;
    }
    let shown = systemd::show(&units).unwrap_or_default();
    let mut shown = shown.into_iter();
    let own: Vec<(ProcessName, Option<Shown>)> = processes
        .into_iter()
        .map(|name| (name, shown.next()))
        .collect();
    let left: Vec<(ProcessName, Option<Shown>)> =
        left.into_iter().map(|name| (name, shown.next())).collect();
    let ending = |name: &ProcessName| {
        left.iter().any(|(left, unit)| {
            left == name
                && unit
                    .as_ref()
                    .is_some_and(|unit| unit.active == "deactivating")
        })
    };
    for (name, unit) in own {
        let waits = ending(&name);
        all.push(match unit {
            Some(unit) => process(name, &unit, waits),
            None => unknown(name),
        });
    }
    let at_work = |unit: &Shown| matches!(unit.active.as_str(), "active" | "deactivating");
    for (name, unit) in &left {
        if let Some(unit) = unit.as_ref().filter(|unit| at_work(unit)) {
            all.push(ProcessStatus {
                state: ProcessState::Ending,
                ..process(name.clone(), unit, false)
            });
        }
    }
    for name in timers {
        let timer = manifest.and_then(|manifest| manifest.app_file.timers.get(&name));
        all.push(match (shown.next(), shown.next()) {
            (Some(service), Some(unit)) => timed(name, &service, &unit, timer),
            _ => unknown(name),
        });
    }
    all
}

/// What the release names for this host, and what has no unit here.
fn missing(
    layout: &AppLayout,
    live: &Live,
    manifest: Option<&Manifest>,
    single_here: bool,
) -> Vec<ProcessStatus> {
    let Some(file) = manifest.map(|manifest| &manifest.app_file) else {
        return Vec::new();
    };
    let (there, timers) = (layout.processes(live.slot), layout.timers());
    let processes = file.processes.iter();
    let processes = processes
        .filter(|(name, process)| (single_here || !process.single) && !there.contains(name))
        .map(|(name, _)| name);
    let wanted = file.timers.iter();
    let wanted = wanted
        .filter(|(name, timer)| (single_here || !timer.single) && !timers.contains(name))
        .map(|(name, _)| name);
    let lacking = |name: &ProcessName| ProcessStatus {
        state: ProcessState::Failed,
        ended: Some("it has no unit here: longshore restart".to_owned()),
        ..unknown(name.clone())
    };
    processes.chain(wanted).map(lacking).collect()
}

/// Where systemd does not answer.
fn unknown(name: ProcessName) -> ProcessStatus {
    ProcessStatus {
        name,
        state: ProcessState::Unknown,
        ended: None,
        restarts: 0,
        since: None,
        next: None,
    }
}

fn process(name: ProcessName, unit: &Shown, waits: bool) -> ProcessStatus {
    let state = match (unit.active.as_str(), unit.sub.as_str()) {
        ("active", _) => ProcessState::Running,
        // The one before has work in hand, beside it or in its own place.
        ("inactive", _) if waits => ProcessState::Waiting,
        ("deactivating", _) => ProcessState::Waiting,
        (_, "auto-restart") => ProcessState::Restarting,
        ("activating" | "reloading", _) => ProcessState::Restarting,
        _ => ProcessState::Failed,
    };
    ProcessStatus {
        name,
        state,
        ended: (state == ProcessState::Failed || unit.restarts > 0)
            .then(|| unit.how())
            .flatten(),
        restarts: unit.restarts,
        since: unit.since,
        next: None,
    }
}

fn timed(name: ProcessName, service: &Shown, unit: &Shown, timer: Option<&Timer>) -> ProcessStatus {
    let failed = service.active == "failed" || service.result != "success";
    let state = match service.active.as_str() {
        "active" | "activating" | "deactivating" => ProcessState::Running,
        _ if failed || unit.active != "active" => ProcessState::Failed,
        _ => ProcessState::Waiting,
    };
    // The next run after the boot or a change counts from the timer's own start.
    let counted = timer.and_then(|timer| timer.every).and_then(|every| {
        let from = unit.triggered.or(unit.since)?;
        from.checked_add(SignedDuration::try_from(every.duration()).ok()?)
            .ok()
    });
    ProcessStatus {
        name,
        state,
        ended: failed.then(|| service.how()).flatten(),
        restarts: 0,
        since: service.since.or(unit.since),
        next: unit.next.or(counted),
    }
}
