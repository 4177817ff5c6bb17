//! How what runs beside the web stands.

use jiff::SignedDuration;
use longshore_shared::app_file::Timer;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::{ProcessState, ProcessStatus};

use super::live::Live;
use crate::layout::AppLayout;
use crate::systemd::{self, Shown};

/// The processes of the live release on this host, and its timers.
pub(crate) fn statuses(
    layout: &AppLayout,
    live: &Live,
    manifest: Option<&Manifest>,
) -> Vec<ProcessStatus> {
    let (processes, timers) = (layout.processes(live.slot), layout.timers());
    if processes.is_empty() && timers.is_empty() {
        return Vec::new();
    }
    let mut units: Vec<String> = processes
        .iter()
        .map(|name| layout.process_unit(live.slot, name))
        .collect();
    units.extend(timers.iter().flat_map(|name| layout.timer_units(name)));
    let Ok(shown) = systemd::show(&units) else {
        return Vec::new();
    };
    let (own, of_timers) = shown.split_at(processes.len().min(shown.len()));
    let mut all: Vec<ProcessStatus> = processes
        .into_iter()
        .zip(own)
        .map(|(name, unit)| process(name, unit))
        .collect();
    for (name, units) in timers.into_iter().zip(of_timers.chunks(2)) {
        if let [service, unit] = units {
            let timer = manifest.and_then(|manifest| manifest.app_file.timers.get(&name));
            all.push(timed(name, service, unit, timer));
        }
    }
    all
}

fn process(name: ProcessName, unit: &Shown) -> ProcessStatus {
    let state = match (unit.active.as_str(), unit.sub.as_str()) {
        ("active", _) => ProcessState::Running,
        (_, "auto-restart") => ProcessState::Restarting,
        ("activating" | "reloading", _) => ProcessState::Restarting,
        _ => ProcessState::Failed,
    };
    ProcessStatus {
        name,
        state,
        ended: (state != ProcessState::Running || unit.restarts > 0)
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
