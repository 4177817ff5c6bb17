//! What follows once a release serves.

use std::sync::Arc;

use jiff::Timestamp;
use longshore_shared::manifest::Manifest;
use longshore_shared::wire::latest::{Slot, SwitchReason};
use semver::Version;

use super::{cooldown, live, processes, prune};
use crate::agent::Agent;
use crate::host::Host;
use crate::journal;
use crate::layout::{AppLayout, other_slot};
use crate::ledger::{LedgerError, Verdict, Warm};
use crate::operation::{Trouble, chain};
use crate::settings;
use crate::systemd;

/// Finishes a switch whose lasting link has moved, at the agent's next start. A power cut may have
/// come with it: then the slot does not run, and is started.
pub(crate) fn finish(
    agent: &Arc<Agent>,
    layout: &AppLayout,
    slot: Slot,
    version: &Version,
    left: Option<&Version>,
    why: SwitchReason,
) -> Result<(), Trouble> {
    let manifest = live::manifest(layout, version)
        .map_err(|error| Trouble::because(&error, "deploy the release again"))?;
    let unit = layout.unit(slot);
    if !systemd::is_active(&unit).unwrap_or(false) {
        systemd::start(&[&unit])
            .map_err(|error| Trouble::because(&error, "roll back: `longshore rollback`"))?;
    }
    live::go_live(layout, slot, version)
        .map_err(|error| Trouble::because(&error, "mend the disk, then start the agent again"))?;
    if processes::any(layout, &manifest)
        && let Err(trouble) = hand_over(layout, slot, &manifest)
    {
        journal::say(&trouble.message());
    }
    Ok(settle(agent, layout, &manifest, slot, left, why)?)
}

fn hand_over(layout: &AppLayout, slot: Slot, manifest: &Manifest) -> Result<(), Trouble> {
    let restart = "restart the app: `longshore restart`";
    let host = Host::load().map_err(|error| Trouble::because(&error, restart))?;
    let single_here = host.hosted(&layout.app).is_some_and(|app| app.single);
    processes::hand_over(layout, slot, manifest, single_here)
        .map_err(|error| error.trouble(restart))
}

/// Writes down what serves, keeps the other slot warm for a while, and prunes.
pub(super) fn settle(
    agent: &Arc<Agent>,
    layout: &AppLayout,
    manifest: &Manifest,
    slot: Slot,
    left: Option<&Version>,
    why: SwitchReason,
) -> Result<(), LedgerError> {
    let (ledger, app) = (&agent.ledger, &layout.app);
    ledger.serve(app, &manifest.version, slot, settings::number(layout))?;
    if let Some(left) = left.filter(|left| **left != manifest.version) {
        match why {
            SwitchReason::Deploy | SwitchReason::Restart => {}
            SwitchReason::Rollback => ledger.judge(app, left, Verdict::Bad)?,
            // It served for a moment, and another host has shown that it should not: nothing goes
            // back to it by itself.
            SwitchReason::Return => ledger.judge(app, left, Verdict::Staged)?,
        }
    }
    if left.is_some() {
        let until = Timestamp::now() + manifest.app_file.web.cooldown.duration();
        ledger.set_warm(
            app,
            Some(Warm {
                slot: other_slot(slot),
                until,
            }),
        )?;
        cooldown::watch(agent, app);
    }
    prune::prune(ledger, layout, None, manifest.app_file.app.keep_releases)
}

/// Says in the journal what nobody else is told.
pub(super) fn report(result: Result<(), LedgerError>) {
    if let Err(error) = result {
        journal::say(&chain(&error));
    }
}
