//! The agent's start after a stop at any moment: every operation that was running is finished, where
//! its links were begun, or taken back.

use std::path::Path;
use std::sync::Arc;

use longshore_shared::name::AppName;
use longshore_shared::wire::latest::Outcome;

use crate::activate::{self, cooldown, systemd};
use crate::host::Host;
use crate::layout::{APPS, AppLayout};
use crate::ledger::OperationRow;
use crate::operation::{Trouble, chain};
use crate::server::{Agent, eprint_line};

/// The first step of a switch that is never taken back.
const NO_WAY_BACK: [&str; 2] = ["links", "settle"];

/// Brings every app into one whole state. A problem with one of them stops neither the others nor
/// the agent: it is what `status` is asked through.
pub(crate) fn recover(agent: &Arc<Agent>) {
    let running = agent.ledger.running().unwrap_or_else(|error| {
        eprint_line(&chain(&error));
        Vec::new()
    });
    for row in running {
        let (outcome, message) = match settle(agent, &row) {
            Ok(ended) => ended,
            Err(trouble) => (Outcome::Failed, words(trouble)),
        };
        eprint_line(&format!(
            "operation {} ({} of {}): {message}",
            row.id, row.verb, row.app
        ));
        if let Err(error) = agent.ledger.end(row.id, outcome, Some(&message)) {
            eprint_line(&chain(&error));
        }
    }
    for app in apps() {
        let layout = AppLayout::new(&app);
        activate::clear_staging(&layout);
        if let Err(error) = activate::sweep(&agent.ledger, &layout) {
            eprint_line(&chain(&error));
        }
        cooldown::watch(agent, &app);
    }
}

fn settle(agent: &Arc<Agent>, row: &OperationRow) -> Result<(Outcome, String), Trouble> {
    let layout = AppLayout::new(&row.app);
    // A step of the release may have gone on without the agent; nobody waits for it any more.
    if let Err(error) = systemd::stop_if_there(&layout.step_unit()) {
        eprint_line(&chain(&error));
    }
    let taken_back = |what: &str| {
        Ok((
            Outcome::TakenBack,
            format!("the agent was stopped in the middle; {what}"),
        ))
    };
    let (Some(why), Some(slot), Some(version)) = (row.why, row.slot, &row.version) else {
        return match row.verb.as_str() {
            "migrate" => taken_back("how far the migration came is for the database to tell"),
            _ => taken_back("nothing of the release was kept"),
        };
    };
    let step = agent.ledger.last_step(row.id)?.unwrap_or_default();
    if NO_WAY_BACK.contains(&step.as_str()) {
        let left = row.previous.as_ref();
        activate::finish_links(agent, &layout, slot, version, left, why)?;
        return Ok((
            Outcome::Done,
            "the agent was stopped in the middle, and finished it at its next start".to_owned(),
        ));
    }
    let domain = Host::load()
        .ok()
        .and_then(|host| host.apps.get(&row.app)?.domain.clone());
    let domain = domain.as_ref().map(|domain| domain.as_str());
    let started = matches!(step.as_str(), "slot" | "start") || !is_warm(agent, &row.app);
    let problems = activate::take_back(&layout, domain, started.then_some(slot));
    if problems.is_empty() {
        return taken_back("what it had started was stopped, and the release before it serves");
    }
    Ok((
        Outcome::Failed,
        format!(
            "it was interrupted, and not all could be taken back: {}",
            problems.join("; ")
        ),
    ))
}

/// A slot that was warm when the switch was begun was not started by it.
fn is_warm(agent: &Agent, app: &AppName) -> bool {
    agent.ledger.warm(app).ok().flatten().is_some()
}

fn apps() -> Vec<AppName> {
    let entries = fs_err::read_dir(Path::new(APPS))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| AppName::new(entry.file_name().to_str()?).ok())
        .collect()
}

fn words(trouble: Trouble) -> String {
    match trouble {
        Trouble::Failed(failed) => failed.what,
        Trouble::Refused(problems) => problems
            .into_iter()
            .map(|problem| problem.what)
            .collect::<Vec<_>>()
            .join("; "),
    }
}
