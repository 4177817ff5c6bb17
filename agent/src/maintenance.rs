//! Whether a site is being worked on: a file that nginx looks for. It survives deployments and reboots.

use std::io;

use jiff::Timestamp;
use longshore_shared::wire::latest::MaintenanceState;

use crate::layout::AppLayout;
use crate::system_file::put;

/// Since when, and by whom; nothing where the site is open.
pub(crate) fn state(layout: &AppLayout) -> Option<MaintenanceState> {
    let file = layout.maintenance();
    let about = fs_err::symlink_metadata(&file).ok()?;
    let since = about
        .modified()
        .ok()
        .and_then(|at| Timestamp::try_from(at).ok());
    let who = fs_err::read_to_string(&file).unwrap_or_default();
    Some(MaintenanceState {
        since,
        by: who.trim().to_owned(),
    })
}

/// Whether anything changed.
pub(crate) fn set(layout: &AppLayout, on: bool, who: &str) -> io::Result<bool> {
    let file = layout.maintenance();
    if on {
        return match fs_err::symlink_metadata(&file) {
            Ok(_) => Ok(false),
            Err(_) => put(&file, format!("{who}\n")),
        };
    }
    match fs_err::remove_file(&file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
