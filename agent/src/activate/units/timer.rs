//! The units of a timer. They follow what is current: a run that is under way at a switch ends in the
//! release in which it was begun.

use longshore_shared::app_file::Timer;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::ProcessName;

use super::{Confined, shell};
use crate::layout::AppLayout;

/// The text of what is started, and of the timer that starts it.
pub(in crate::activate) fn render(
    layout: &AppLayout,
    manifest: &Manifest,
    name: &ProcessName,
    timer: &Timer,
) -> [String; 2] {
    let confined = Confined {
        layout,
        release: &layout.current(),
        writable: None,
        file: &manifest.app_file,
    }
    .lines();
    let app = &layout.app;
    let start = shell(timer.command.as_str());
    let longest = timer.timeout.duration().as_millis();
    let when = match (&timer.at, timer.every) {
        (Some(at), _) => format!("OnCalendar={}\nPersistent=yes\n", at.as_str()),
        (None, Some(every)) => {
            let every = every.duration().as_millis();
            format!("OnActiveSec={every}ms\nOnUnitActiveSec={every}ms\n")
        }
        (None, None) => String::new(),
    };
    let service = format!(
        "# Made by longshore-agent. Changes are overwritten.
[Unit]
Description=Longshore app {app}, {name}
After=network.target

[Service]
Type=exec
ExecStart={start}
RuntimeMaxSec={longest}ms
TimeoutStopSec=30
Environment=LONGSHORE_PROCESS={name}
{confined}"
    );
    let timer = format!(
        "# Made by longshore-agent. Changes are overwritten.
[Unit]
Description=When {name} of Longshore app {app} runs

[Timer]
{when}AccuracySec=1s
"
    );
    [service, timer]
}
