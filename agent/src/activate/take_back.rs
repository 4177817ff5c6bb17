//! Undoing what a switch did before its links.

use longshore_shared::wire::latest::Slot;

use super::{live, site};
use crate::host::Front;
use crate::layout::AppLayout;
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
        && let Err(error) = systemd::stop_and_forget(&layout.unit(slot))
    {
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
        Ok(manifest) if !site::is_served(layout, &manifest, front) => {
            let restored = site::restore(layout, &manifest, front);
            problems.extend(restored.err().map(|error| chain(&error)));
        }
        Ok(_) => {}
        Err(error) => problems.push(error.to_string()),
    }
    problems
}
