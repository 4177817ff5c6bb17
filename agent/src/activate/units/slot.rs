//! The unit of a slot: what serves.

use std::path::Path;

use longshore_shared::manifest::Manifest;
use longshore_shared::wire::latest::Slot;

use super::{Confined, command, program};
use crate::layout::{AppLayout, slot_name};

/// The text of the slot's unit for the release with this manifest.
pub(in crate::activate) fn render(layout: &AppLayout, slot: Slot, manifest: &Manifest) -> String {
    let (app, name, socket) = (&layout.app, slot_name(slot), layout.socket(slot));
    let socket = socket.display();
    let confined = Confined {
        layout,
        release: &layout.slot(slot),
        writable: Some(layout.socket_folder(slot)),
        file: &manifest.app_file,
    }
    .lines();
    let start = start_line(layout, slot, manifest);
    format!(
        "# Made by longshore-agent. Changes are overwritten.
[Unit]
Description=Longshore app {app}, slot {name}
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStartPre=-/bin/rm -f {socket}
ExecStart={start}
Restart=always
RestartSec=1
TimeoutStopSec=35
Environment=LONGSHORE_SLOT={name} LONGSHORE_SOCKET={socket}
{confined}"
    )
}

fn start_line(layout: &AppLayout, slot: Slot, manifest: &Manifest) -> String {
    let web = &manifest.app_file.web;
    if let Some(line) = &web.command {
        return program(line.as_str());
    }
    let own = Path::new(".venv/bin/gunicorn");
    let mut words: Vec<String> = if layout.release(&manifest.version).join(own).exists() {
        vec![layout.app_mount().join(own).display().to_string()]
    } else {
        ["/usr/bin/env", "gunicorn"].map(str::to_owned).to_vec()
    };
    words.push(format!("--bind=unix:{}", layout.socket(slot).display()));
    words.push(format!("--workers={}", web.workers));
    words.push("--worker-tmp-dir=/dev/shm".to_owned());
    let application = web.gunicorn.iter();
    words
        .extend(application.flat_map(|words| words.as_str().split_whitespace().map(str::to_owned)));
    command(&words)
}
