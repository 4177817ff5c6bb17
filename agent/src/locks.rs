//! Who may change an app at the moment: one connection, and what it began.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use longshore_shared::name::AppName;

/// Which connection, or which of the agent's own threads, wants the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimant(pub(crate) u64);

/// The locks of all apps.
#[derive(Debug, Default, Clone)]
pub(crate) struct Locks(Arc<Mutex<BTreeMap<AppName, Held>>>);

#[derive(Debug)]
struct Held {
    by: Claimant,
    words: String,
    since: Timestamp,
    /// Whether the claimant itself still wants it, beside what it began.
    wanted: bool,
    operations: usize,
}

/// An operation's share in a lock: it outlives the connection.
#[derive(Debug)]
pub(crate) struct Share {
    locks: Locks,
    app: AppName,
}

impl Locks {
    /// Takes the lock, or says who has it. Taking it twice is fine.
    pub(crate) fn take(&self, app: &AppName, by: Claimant, words: &str) -> Result<(), String> {
        let mut all = self.lock();
        match all.get_mut(app) {
            Some(held) if held.by == by => held.wanted = true,
            Some(held) => return Err(held.describe()),
            None => {
                let held = Held {
                    by,
                    words: words.to_owned(),
                    since: Timestamp::now(),
                    wanted: true,
                    operations: 0,
                };
                all.insert(app.clone(), held);
            }
        }
        Ok(())
    }

    /// Gives up one app's lock, or all that this claimant holds.
    pub(crate) fn release(&self, by: Claimant, app: Option<&AppName>) {
        self.lock().retain(|name, held| {
            if held.by == by && app.is_none_or(|app| app == name) {
                held.wanted = false;
            }
            held.wanted || held.operations > 0
        });
    }

    /// Keeps the lock for an operation. Nothing where this claimant does not hold it.
    pub(crate) fn share(&self, app: &AppName, by: Claimant) -> Option<Share> {
        let mut all = self.lock();
        let held = all.get_mut(app).filter(|held| held.by == by)?;
        held.operations += 1;
        Some(Share {
            locks: self.clone(),
            app: app.clone(),
        })
    }

    pub(crate) fn describe(&self, app: &AppName) -> Option<String> {
        self.lock().get(app).map(Held::describe)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppName, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn describe(&self) -> String {
        format!("{} since {:.0}", self.words, self.since)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.locks.lock();
        if let Some(held) = all.get_mut(&self.app) {
            held.operations -= 1;
            if held.operations == 0 && !held.wanted {
                all.remove(&self.app);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Claimant = Claimant(1);
    const OTHER: Claimant = Claimant(2);

    fn app(name: &str) -> AppName {
        AppName::new(name).unwrap()
    }

    #[test]
    fn one_holder_at_a_time_and_other_apps_are_free() {
        let locks = Locks::default();
        locks.take(&app("a"), ONE, "deploy by ann").unwrap();
        locks.take(&app("a"), ONE, "deploy by ann").unwrap();
        assert!(
            locks
                .take(&app("a"), OTHER, "")
                .unwrap_err()
                .contains("deploy by ann")
        );
        locks.take(&app("b"), OTHER, "").unwrap();
        assert!(locks.share(&app("a"), OTHER).is_none());
        locks.release(ONE, None);
        locks.take(&app("a"), OTHER, "").unwrap();
    }

    #[test]
    fn an_operation_keeps_the_lock_when_its_connection_is_gone() {
        let locks = Locks::default();
        locks.take(&app("a"), ONE, "").unwrap();
        let share = locks.share(&app("a"), ONE).unwrap();
        locks.release(ONE, None);
        assert!(locks.take(&app("a"), OTHER, "").is_err());
        drop(share);
        locks.take(&app("a"), OTHER, "").unwrap();
    }
}
