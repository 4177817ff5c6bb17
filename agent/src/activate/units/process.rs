//! The unit of a process beside a slot.

use longshore_shared::app_file::Process;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::Slot;

use super::{Confined, program};
use crate::layout::{AppLayout, other_slot, slot_name};

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
        file: &manifest.app_file,
    }
    .lines();
    // systemd itself sees to it that there are never two: the one is ended before the other begins.
    let other = layout.process_unit(other_slot(slot), name);
    let alone = match process.single {
        true => format!("Conflicts={other}\nAfter={other}\n"),
        false => String::new(),
    };
    let (app, slot) = (&layout.app, slot_name(slot));
    let start = program(process.command.as_str());
    let stop = process.stop_timeout.duration().as_millis();
    format!(
        "# Made by longshore-agent. Changes are overwritten.
[Unit]
Description=Longshore app {app}, {name} of slot {slot}
After=network.target
{alone}StartLimitIntervalSec=0

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
