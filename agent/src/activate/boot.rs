//! `longshore-agent boot`: after a reboot the sites come back without the agent.
//!
//! `/run` is empty then. `slots/live` tells what served; everything else follows from it.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use longshore_shared::wire::latest::Slot;
use thiserror::Error;

use super::{live, processes};
use crate::command::{self, CommandError};
use crate::journal;
use crate::layout::{APPS, AppLayout};
use crate::settings::files;
use crate::systemd;

/// nginx starts after this, whether or not every slot listens by then.
const UNTIL_LISTENING: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Why an app did not come back. The others do all the same.
#[derive(Debug, Error)]
enum BootError {
    #[error("its links cannot be made")]
    Links(#[source] std::io::Error),
    #[error(transparent)]
    Unit(#[from] CommandError),
}

/// Starts the live slot of every app. Whether all of them came back.
pub(crate) fn boot() -> bool {
    let apps: Vec<AppLayout> = fs_err::read_dir(APPS)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(|app| AppLayout::new(&app))
        .collect();
    let mut all = true;
    let mut started = Vec::new();
    for layout in &apps {
        let Some(live) = live::live(layout) else {
            continue;
        };
        match start(layout, &live) {
            Ok(()) => started.push(layout.socket(live.slot)),
            Err(error) => {
                all = false;
                journal::say(&format!(
                    "{}: {}",
                    layout.app,
                    crate::operation::chain(&error)
                ));
            }
        }
    }
    let deadline = Instant::now() + UNTIL_LISTENING;
    for socket in started {
        while UnixStream::connect(&socket).is_err() {
            if Instant::now() >= deadline {
                journal::say(&format!("{} does not listen yet", socket.display()));
                all = false;
                break;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
    all
}

fn start(layout: &AppLayout, live: &live::Live) -> Result<(), BootError> {
    command::run(
        "systemd-tmpfiles",
        &[Path::new("--create"), &layout.tmpfiles()],
    )?;
    for slot in [Slot::Blue, Slot::Green] {
        if let Some(version) = live::in_slot(layout, slot) {
            live::fill(layout, slot, &version).map_err(BootError::Links)?;
        }
    }
    // A power cut may have come between the lasting truth and what follows from it.
    live::show(layout, live.slot, &live.version).map_err(BootError::Links)?;
    if let Ok(manifest) = live::manifest(layout, &live.version)
        && let Err(trouble) = files::lay_out(layout, &manifest.app_file.settings.files)
    {
        journal::say(&trouble.message());
    }
    systemd::start(&[layout.unit(live.slot)])?;
    // nginx waits for none of these, and one that cannot start keeps no other from it.
    let mut beside = processes::units(layout, live.slot);
    beside.extend(processes::timer_units(layout));
    systemd::start_soon(&beside)?;
    Ok(())
}
