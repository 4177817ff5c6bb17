//! All that an instance has on a host, to be taken away.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::command::{self, CommandError};
use crate::layout::{AppLayout, TIMER_STAMPS, UNITS};
use crate::names;
use crate::systemd;
use crate::trash;

/// Why something stays.
#[derive(Debug, Error)]
pub(super) enum RemainsError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("something of it cannot be removed")]
    Remove(#[from] io::Error),
}

/// Ends all that runs for it. Timers come first, which would start something again.
pub(super) fn stop(layout: &AppLayout) -> Result<(), RemainsError> {
    let mut units = units(layout);
    units.sort_by_key(|unit| !unit.ends_with(".timer"));
    systemd::stop(&units)?;
    systemd::stop_if_there(&layout.step_unit())?;
    // Commands that people run in it have names of their own.
    if let Some(slice) = layout.slice() {
        systemd::stop_if_there(&slice)?;
    }
    systemd::forget(&units)?;
    Ok(())
}

fn units(layout: &AppLayout) -> Vec<String> {
    named(UNITS, &layout.unit_prefix()).collect()
}

/// What in a folder has a name that begins so.
fn named(folder: &str, begin: &str) -> impl Iterator<Item = String> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(move |name| name.starts_with(begin))
}

/// Removes its files, its user last. A step at its end has begun its slice again.
pub(super) fn remove(layout: &AppLayout) -> Result<(), RemainsError> {
    stop(layout)?;
    let mut files: Vec<PathBuf> = units(layout)
        .iter()
        .map(|unit| Path::new(UNITS).join(unit))
        .collect();
    files.extend(layout.slice_file());
    let stamp = format!("stamp-{}", layout.unit_prefix());
    files.extend(named(TIMER_STAMPS, &stamp).map(|name| Path::new(TIMER_STAMPS).join(name)));
    files.extend([
        layout.tmpfiles(),
        layout.sysusers(),
        layout.settings(),
        layout.made_settings(),
        layout.earlier_settings(),
        layout.site_users(),
        layout.run(),
    ]);
    for file in &files {
        trash::delete(file)?;
    }
    systemd::reload_units()?;
    trash::delete(layout.home())?;
    let user = layout.user();
    if names::user(&user).is_some() {
        forget_memory(&user)?;
        if let Some(slice) = layout.slice() {
            systemd::stop_if_there(&slice)?;
        }
        command::run("userdel", &[&user])?;
    }
    if names::group(&user).is_some() {
        command::run("groupdel", &[&user])?;
    }
    Ok(())
}

/// The next user may get its number, and is to find nothing in shared memory and queues: systemd takes
/// that of a user away with a unit that says so.
fn forget_memory(user: &str) -> Result<(), CommandError> {
    let user = format!("--property=User={user}");
    let words = [
        "--quiet",
        "--wait",
        "--collect",
        &user,
        "--property=RemoveIPC=yes",
        "true",
    ];
    command::run("systemd-run", &words).map(drop)
}
