//! The unit of a slot, made from a fixed form: an app chooses what runs, never how it is confined.

use std::path::Path;

use longshore_shared::app_file::Limits;
use longshore_shared::manifest::Manifest;
use longshore_shared::wire::latest::Slot;

use crate::layout::{AppLayout, ReleaseFiles, slot_name};

/// The text of the slot's unit for the release with this manifest.
pub(super) fn render(layout: &AppLayout, slot: Slot, manifest: &Manifest) -> String {
    let link = layout.slot(slot);
    let release = ReleaseFiles::of(&link).environment();
    let socket = layout.socket(slot);
    let (app, name, user) = (&layout.app, slot_name(slot), layout.user());
    let (home, shared) = (layout.app_mount(), layout.shared());
    let (home, shared, link, release) = (
        home.display(),
        shared.display(),
        link.display(),
        release.display(),
    );
    let settings = layout.settings();
    let (settings, folder) = (settings.display(), layout.socket_folder(slot));
    let folder = folder.display();
    let start = start_line(layout, slot, manifest);
    let limits = limits(&manifest.app_file.limits);
    let socket = socket.display();
    format!(
        "# Made by longshore-agent. Changes are overwritten.
[Unit]
Description=Longshore app {app}, slot {name}
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={user}
Group={user}
WorkingDirectory={home}
BindReadOnlyPaths={link}:{home}
EnvironmentFile=-{settings}
EnvironmentFile={release}
Environment=LONGSHORE_SLOT={name} LONGSHORE_SOCKET={socket} HOME=/tmp PYTHONUNBUFFERED=1
ExecStartPre=-/bin/rm -f {socket}
ExecStart={start}
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=35
UMask=0007
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths={shared} {folder}
{limits}"
    )
}

fn limits(limits: &Limits) -> String {
    let line = |name: &str, value: Option<u32>| {
        value.map_or(String::new(), |value| format!("{name}={value}\n"))
    };
    line("LimitNOFILE", limits.open_files) + &line("TasksMax", limits.processes)
}

fn start_line(layout: &AppLayout, slot: Slot, manifest: &Manifest) -> String {
    let web = &manifest.app_file.web;
    let mut words: Vec<String> = Vec::new();
    if let Some(application) = &web.gunicorn {
        let own = Path::new(".venv/bin/gunicorn");
        if layout.release(&manifest.version).join(own).exists() {
            words.push(layout.app_mount().join(own).display().to_string());
        } else {
            words.extend(["/usr/bin/env", "gunicorn"].map(str::to_owned));
        }
        words.push(format!("--bind=unix:{}", layout.socket(slot).display()));
        words.push(format!("--workers={}", web.workers));
        words.push("--worker-tmp-dir=/dev/shm".to_owned());
        words.extend(application.as_str().split_whitespace().map(str::to_owned));
    } else if let Some(command) = &web.command {
        words.extend(["/bin/sh", "-c"].map(str::to_owned));
        words.push(format!("exec {command}"));
    }
    words
        .iter()
        .map(|word| quoted(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// One word of a unit file, in which nothing has a meaning for systemd.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_means_anything_to_systemd() {
        assert_eq!(quoted("config.wsgi:application"), "config.wsgi:application");
        assert_eq!(
            quoted("exec a $B %h \"c\" \\"),
            "\"exec a $$B %%h \\\"c\\\" \\\\\""
        );
        assert_eq!(quoted(""), "\"\"");
    }
}
