//! Previews whose time has come are taken away by the agent itself. One thread waits for the next of
//! them, and none where there are none; each end is a thread's own, so that none waits for another's hook.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use longshore_shared::instance::Instance;

use super::destroy;
use crate::agent::Agent;
use crate::journal;
use crate::ledger::{LedgerError, NewOperation, PreviewRow};
use crate::locks::Holder;
use crate::operation::chain;

/// A clock that was set is noticed after this.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
const WHILE_LOCKED: Duration = Duration::from_secs(2);
/// What could not be taken away is tried again after this: it may need a person first.
const AFTER_FAILURE: Duration = Duration::from_secs(3600);
/// One that never served, and on which nobody works any more, was given up: its controller was lost.
const TO_SERVE: Duration = Duration::from_secs(3600);
const WHO: &str = "longshore-agent";

/// Waits for the ends of previews from now on, if nobody does.
pub(crate) fn watch(agent: &Arc<Agent>) {
    if std::mem::replace(&mut agent.previews.lock().runs, true) {
        return;
    }
    let watched = Arc::clone(agent);
    let spawned = std::thread::Builder::new()
        .name("previews".to_owned())
        .spawn(move || wait(&watched));
    if let Err(error) = spawned {
        agent.previews.lock().runs = false;
        journal::say(&format!("nothing waits for the end of previews: {error}"));
    }
}

fn wait(agent: &Arc<Agent>) {
    let ends = Arc::new(Ends::default());
    loop {
        agent.previews.lock().stale = false;
        let previews = match agent.ledger.previews() {
            Ok(previews) => previews,
            Err(error) => {
                journal::say(&chain(&error));
                std::thread::sleep(LONGEST_SLEEP);
                continue;
            }
        };
        ends.keep_those_of(&previews);
        let mut pause = LONGEST_SLEEP;
        for preview in &previews {
            let left = left(agent, preview, Timestamp::now());
            if !left.is_zero() {
                pause = pause.min(left);
            } else if ends.may_begin(&preview.app) {
                begin_end(agent, &ends, preview);
                pause = pause.min(WHILE_LOCKED);
            }
        }
        let mut watch = agent.previews.lock();
        // Whoever keeps one now either is seen here or starts a thread of their own.
        if previews.is_empty() && !watch.stale {
            watch.runs = false;
            return;
        }
        if !watch.stale {
            let waited = agent.previews.news.wait_timeout(watch, pause);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Until its end.
fn left(agent: &Agent, preview: &PreviewRow, now: Timestamp) -> Duration {
    let never_served = agent.ledger.servings(&preview.app);
    let never_served = never_served.is_ok_and(|servings| servings.is_empty());
    let end = match never_served {
        true => preview.until.min(preview.created + TO_SERVE),
        false => preview.until,
    };
    Duration::try_from(end.duration_since(now)).unwrap_or_default()
}

/// Those that are under way, and those that failed lately.
#[derive(Debug, Default)]
struct Ends(Mutex<BTreeMap<Instance, End>>);

#[derive(Debug, PartialEq, Eq)]
enum End {
    Begun,
    Failed(Instant),
}

impl Ends {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Instance, End>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_those_of(&self, previews: &[PreviewRow]) {
        self.lock().retain(|app, end| match end {
            End::Begun => true,
            End::Failed(at) => {
                at.elapsed() < AFTER_FAILURE && previews.iter().any(|preview| preview.app == *app)
            }
        });
    }

    /// Nobody begins it twice.
    fn may_begin(&self, app: &Instance) -> bool {
        let mut ends = self.lock();
        if ends.contains_key(app) {
            return false;
        }
        ends.insert(app.clone(), End::Begun);
        true
    }

    fn ended(&self, app: &Instance, how: &Ended) {
        match how {
            Ended::Gone | Ended::Busy => self.lock().remove(app),
            Ended::Failed => self.lock().insert(app.clone(), End::Failed(Instant::now())),
        };
    }
}

fn begin_end(agent: &Arc<Agent>, ends: &Arc<Ends>, preview: &PreviewRow) {
    let (owned, known, row) = (Arc::clone(agent), Arc::clone(ends), preview.clone());
    let spawned = std::thread::Builder::new()
        .name("preview-end".to_owned())
        .spawn(move || {
            let how = end(&owned, &row);
            known.ended(&row.app, &how);
        });
    if let Err(error) = spawned {
        ends.ended(&preview.app, &Ended::Busy);
        journal::say(&format!("{} cannot be ended now: {error}", preview.app));
    }
}

enum Ended {
    Gone,
    Failed,
    /// Somebody works on it, and may be renewing it.
    Busy,
}

fn end(agent: &Arc<Agent>, preview: &PreviewRow) -> Ended {
    let claimant = agent.claimant();
    let holder = Holder::Somebody("the agent, for its time has come".to_owned());
    let app = &preview.app;
    if agent.locks.take(app, claimant, holder, None).is_err() {
        return Ended::Busy;
    }
    let ended = match agent.locks.share(app, claimant) {
        // It may have been renewed between the look and the lock.
        Some(share) if still_due(agent, app) => match begin(agent, preview, claimant) {
            Ok(operation) => {
                let done = operation.guarded(|| destroy(agent, app, false, &operation));
                let what = format!("{app} of {}, by {}", preview.git_ref, preview.who);
                let ended = match &done {
                    Ok(_) => {
                        journal::say(&format!("{what}, has ended and was taken away"));
                        Ended::Gone
                    }
                    Err(trouble) => {
                        let why = trouble.message();
                        journal::say(&format!("{what}, has ended and is still here: {why}"));
                        Ended::Failed
                    }
                };
                operation.end(share, done);
                ended
            }
            Err(error) => {
                journal::say(&chain(&error));
                Ended::Failed
            }
        },
        Some(_) => Ended::Gone,
        None => Ended::Busy,
    };
    agent.locks.release(claimant, Some(app));
    ended
}

fn still_due(agent: &Agent, app: &Instance) -> bool {
    let row = agent.ledger.preview(app).ok().flatten();
    row.is_some_and(|row| left(agent, &row, Timestamp::now()).is_zero())
}

fn begin(
    agent: &Agent,
    preview: &PreviewRow,
    claimant: crate::locks::Claimant,
) -> Result<Arc<crate::operation::Operation>, LedgerError> {
    let new = NewOperation {
        app: preview.app.clone(),
        verb: "expire",
        version: None,
        previous: None,
        slot: None,
        why: None,
        who: WHO.to_owned(),
    };
    agent.operations.begin(&agent.ledger, &new, claimant)
}

#[cfg(test)]
mod tests {
    use longshore_shared::wire::latest::Slot;

    use super::*;
    use crate::ledger::{Ledger, PreviewWanted};

    #[test]
    fn one_that_never_served_is_given_up_after_an_hour() {
        let agent = Agent::new(Ledger::in_memory());
        let app: Instance = "tiny--login".parse().unwrap();
        let keep = |days: u64| {
            let wanted = PreviewWanted {
                git_ref: Some("login"),
                who: "ann",
                until: Timestamp::now() + Duration::from_secs(days * 24 * 3600),
                at_least: false,
                most: 1,
            };
            agent.ledger.keep_preview(&app, wanted).unwrap().unwrap()
        };
        let row = keep(7);
        let later = |hours: u64| row.created + Duration::from_secs(hours * 3600);
        assert_eq!(left(&agent, &row, later(0)), TO_SERVE);
        assert_eq!(left(&agent, &row, later(2)), Duration::ZERO);
        assert_eq!(left(&agent, &keep(0), later(1)), Duration::ZERO);
        let version = semver::Version::new(1, 0, 0);
        agent
            .ledger
            .serve(&app, &version, Slot::Blue, None)
            .unwrap();
        assert!(left(&agent, &row, later(2)) > TO_SERVE);
        assert_eq!(left(&agent, &row, later(7 * 24 + 1)), Duration::ZERO);
    }
}
