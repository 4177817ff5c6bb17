//! The slot that was left stays warm for a while, and then stops.
//!
//! At most one thread for each app waits, and none when nothing is warm: an idle agent sleeps.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use longshore_shared::instance::Instance;

use crate::agent::Agent;
use crate::journal;
use crate::layout::AppLayout;
use crate::locks::Holder;
use crate::operation::chain;
use crate::systemd;

/// While somebody changes the app its warm slot is theirs.
const WHILE_LOCKED: Duration = Duration::from_secs(2);

/// The apps whose warm slot is waited for.
#[derive(Debug, Default)]
pub(crate) struct Cooldowns(Mutex<BTreeSet<Instance>>);

/// Waits for the app's warm slot from now on, if nobody does.
pub(crate) fn watch(agent: &Arc<Agent>, app: &Instance) {
    if !waiting(agent).insert(app.clone()) {
        return;
    }
    let (agent, app) = (Arc::clone(agent), app.clone());
    let wait = move || {
        while let Some(pause) = next_pause(&agent, &app) {
            std::thread::sleep(pause);
        }
    };
    if let Err(error) = std::thread::Builder::new()
        .name("cooldown".to_owned())
        .spawn(wait)
    {
        journal::say(&format!(
            "nothing waits for the slot that was left: {error}"
        ));
    }
}

fn waiting(agent: &Agent) -> std::sync::MutexGuard<'_, BTreeSet<Instance>> {
    agent
        .cooldowns
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// How long to sleep before the next look; nothing ends the watch.
fn next_pause(agent: &Agent, app: &Instance) -> Option<Duration> {
    // Held until it is known that there is nothing to wait for: a switch that comes now either is
    // seen here or starts a watch of its own.
    let mut watched = waiting(agent);
    let warm = match agent.ledger.warm(app) {
        Ok(Some(warm)) => warm,
        Ok(None) | Err(_) => {
            watched.remove(app);
            return None;
        }
    };
    drop(watched);
    let left = Duration::try_from(warm.until.duration_since(Timestamp::now())).unwrap_or_default();
    if !left.is_zero() {
        return Some(left);
    }
    let claimant = agent.claimant();
    if agent
        .locks
        .take(app, claimant, Holder::Agent, None)
        .is_err()
    {
        return Some(WHILE_LOCKED);
    }
    // Another switch may have come between the look and the lock.
    if agent.ledger.warm(app).ok().flatten() == Some(warm) {
        let layout = AppLayout::new(app);
        let live = super::live::live(&layout);
        if live.is_none_or(|live| live.slot != warm.slot)
            && let Err(error) = systemd::stop(&[layout.unit(warm.slot)])
        {
            journal::say(&format!(
                "the slot that was left did not stop: {}",
                chain(&error)
            ));
        }
        if let Err(error) = agent.ledger.set_warm(app, None) {
            journal::say(&chain(&error));
        }
    }
    agent.locks.release(claimant, Some(app));
    Some(Duration::ZERO)
}
