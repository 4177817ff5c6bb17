//! Undoing what a switch did before its links.

use longshore_shared::wire::latest::Slot;

use super::{live, processes, site};
use crate::host::Front;
use crate::layout::{AppLayout, other_slot};
use crate::links;
use crate::operation::chain;
use crate::systemd;

/// Stops the slot that was started, and gives nginx the site of what serves. Gives back what could
/// not be undone.
pub(crate) fn take_back(
    layout: &AppLayout,
    front: Option<&Front>,
    started: Option<Slot>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let live = live::live(layout);
    let idle = started.filter(|slot| live.as_ref().is_none_or(|live| live.slot != *slot));
    if let Some(slot) = idle
        && let Err(error) = systemd::stop_and_forget(&[layout.unit(slot)])
    {
        problems.push(chain(&error));
    }
    // Those beside the slot that serves go on; others may take their time to end.
    let beside = live.as_ref().map(|live| other_slot(live.slot)).or(started);
    let beside = beside.map(|slot| processes::units(layout, slot));
    if let Err(error) = systemd::stop_soon(&beside.unwrap_or_default()) {
        problems.push(chain(&error));
    }
    let Some(live) = live else {
        problems.extend(site::remove(layout).err().map(|error| chain(&error)));
        problems.extend(
            links::remove(&layout.current())
                .err()
                .map(|error| error.to_string()),
        );
        return problems;
    };
    let Some(front) = front else {
        return problems;
    };
    match live::manifest(layout, &live.version) {
        Ok(manifest) => {
            let restored = site::restore(layout, &manifest, front);
            problems.extend(restored.err().map(|error| chain(&error)));
        }
        Err(error) => problems.push(error.to_string()),
    }
    problems
}
