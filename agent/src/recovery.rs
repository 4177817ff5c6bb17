//! The agent's start after a stop at any moment: every operation that was running is finished, where
//! the lasting link has moved, or taken back.

use std::path::Path;
use std::sync::Arc;

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{Outcome, SwitchReason};

use crate::activate::{self, cooldown, live};
use crate::agent::Agent;
use crate::host::Host;
use crate::intake;
use crate::journal;
use crate::layout::{APPS, AppLayout};
use crate::ledger::OperationRow;
use crate::operation::{Trouble, chain};
use crate::preview::expiry;
use crate::settings;
use crate::systemd;
use crate::trust;

/// Brings every app into one whole state. A problem with one of them stops neither the others nor
/// the agent: it is what `status` is asked through.
pub(crate) fn recover(agent: &Arc<Agent>) {
    match trust::finish_interrupted() {
        Ok(true) => journal::say("a change of the signers was finished"),
        Ok(false) => {}
        Err(error) => journal::say(&chain(&error)),
    }
    let running = agent.ledger.running().unwrap_or_else(|error| {
        journal::say(&chain(&error));
        Vec::new()
    });
    for row in running {
        let (outcome, message) =
            settle(agent, &row).unwrap_or_else(|trouble| (Outcome::Failed, trouble.message()));
        journal::say(&format!("operation {} ({}): {message}", row.id, row.verb));
        if let Err(error) = agent.ledger.end(row.id, outcome, Some(&message)) {
            journal::say(&chain(&error));
        }
    }
    settings::sweep();
    for app in apps() {
        let layout = AppLayout::new(&app);
        activate::clear_staging(&layout, &intake::worth_keeping(&layout));
        if let Err(error) = activate::sweep(&agent.ledger, &layout) {
            journal::say(&chain(&error));
        }
        cooldown::watch(agent, &app);
    }
    expiry::watch(agent);
}

fn settle(agent: &Arc<Agent>, row: &OperationRow) -> Result<(Outcome, String), Trouble> {
    let Some(app) = &row.app else {
        // What is about the host as a whole is written down when it is done.
        return Ok((Outcome::Failed, interrupted("nobody knows how far it came")));
    };
    let layout = AppLayout::new(app);
    // A step of the release may have gone on without the agent; nobody waits for it any more.
    if let Err(error) = systemd::stop_if_there(&layout.step_unit()) {
        journal::say(&chain(&error));
    }
    let (Some(why), Some(slot), Some(version)) = (row.why, row.slot, &row.version) else {
        return settle_other(agent, app, row);
    };
    let moved = live::live(&layout)
        .is_some_and(|live| live.slot == slot && live.version == *version)
        && (row.previous.as_ref() != Some(version) || why == SwitchReason::Restart);
    if moved {
        let left = row.previous.as_ref();
        activate::finish(agent, &layout, slot, version, left, why)?;
        return Ok((
            Outcome::Done,
            interrupted("it was finished at the agent's next start"),
        ));
    }
    let mut problems = Vec::new();
    let front = match Host::load() {
        Ok(host) => host.hosted(app).and_then(|app| app.front()),
        Err(error) => {
            problems.push(chain(&error));
            None
        }
    };
    // A slot that was warm when the switch was begun was not started by it.
    let started = agent.ledger.warm(app)?.is_none_or(|warm| warm.slot != slot);
    problems.extend(activate::take_back(
        &layout,
        front.as_ref(),
        started.then_some(slot),
    ));
    if problems.is_empty() {
        let what = "what it had started was stopped, and the release before it serves";
        return Ok((Outcome::TakenBack, interrupted(what)));
    }
    let problems = problems.join("; ");
    Ok((
        Outcome::Failed,
        interrupted(&format!("not all could be taken back: {problems}")),
    ))
}

/// A staging or a migration.
fn settle_other(
    agent: &Agent,
    app: &Instance,
    row: &OperationRow,
) -> Result<(Outcome, String), Trouble> {
    let release = match &row.version {
        Some(version) => agent.ledger.release(app, version)?,
        None => None,
    };
    match (row.verb.as_str(), release) {
        ("migrate", Some(release)) if agent.ledger.migrated(app, &release.manifest)? => {
            Ok((Outcome::Done, interrupted("all of it had run")))
        }
        ("settings", _) => {
            let changed = settings::was_changed(agent, &AppLayout::new(app), row.begun)?;
            Ok(match changed {
                true => (Outcome::Done, interrupted("the settings were changed")),
                false => (
                    Outcome::TakenBack,
                    interrupted("the settings are as they were"),
                ),
            })
        }
        ("destroy" | "expire" | "preview", _) => {
            let there = agent.ledger.preview(app)?.is_some();
            Ok(match (row.verb.as_str(), there) {
                ("preview", true) => (Outcome::Done, interrupted("there is to be this preview")),
                ("preview", false) => (Outcome::TakenBack, interrupted("there is none")),
                (_, true) => (Outcome::TakenBack, interrupted("it is begun anew")),
                (_, false) => (Outcome::Done, interrupted("nothing of it was left")),
            })
        }
        ("create", _) => Ok((
            Outcome::TakenBack,
            interrupted("what it had made is taken away before it is made anew"),
        )),
        ("leave", _) => Ok((
            Outcome::TakenBack,
            interrupted("what was undone is for the database to tell; the release before serves"),
        )),
        ("migrate", _) => Ok((
            Outcome::TakenBack,
            interrupted("how far the migration came is for the database to tell"),
        )),
        (_, Some(_)) => Ok((Outcome::Done, interrupted("the release is whole"))),
        // They may be why the agent was stopped: nobody is to run them again without a thought.
        (_, None) if intake::stopped_in_steps(&AppLayout::new(app), row.id) => Ok((
            Outcome::Failed,
            interrupted("steps of [[prepare]] were at work, and what they made was thrown away"),
        )),
        (_, None) => Ok((
            Outcome::TakenBack,
            interrupted("what had come of the release is kept for the next try"),
        )),
    }
}

fn interrupted(what: &str) -> String {
    format!("the agent was stopped in the middle; {what}")
}

fn apps() -> Vec<Instance> {
    let entries = fs_err::read_dir(Path::new(APPS))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
