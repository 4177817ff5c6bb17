//! The unit of a process beside a slot.

use longshore_shared::app_file::Process;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::Slot;

use super::{Confined, shell};
use crate::layout::{AppLayout, slot_name};

pub(in crate::activate) fn render(
    layout: &AppLayout,
    slot: Slot,
    manifest: &Manifest,
    name: &ProcessName,
    process: &Process,
) -> String {
    let confined = Confined {
        layout,
        release: &layout.slot(slot),
        writable: None,
        limits: &manifest.app_file.limits,
    }
    .lines();
    let (app, slot) = (&layout.app, slot_name(slot));
    let start = shell(process.command.as_str());
    let stop = process.stop_timeout.duration().as_millis();
    format!(
        "# Made by longshore-agent. Changes are overwritten.
[Unit]
Description=Longshore app {app}, {name} of slot {slot}
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={start}
Restart=always
RestartSec=1
TimeoutStopSec={stop}ms
Environment=LONGSHORE_SLOT={slot} LONGSHORE_PROCESS={name}
{confined}"
    )
}
