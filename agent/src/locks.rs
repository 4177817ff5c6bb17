//! Who may change an app at the moment: one connection, and what it began.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::instance::Instance;

/// Which connection, or which of the agent's own threads, wants the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimant(pub(crate) u64);

/// The agent itself takes a lock for moments, and whoever comes then waits: nobody would know what
/// to make of being refused for that. A slot that is left drains for half a minute at most.
const WAIT_FOR_AGENT: Duration = Duration::from_secs(60);

/// The locks of all apps.
#[derive(Debug, Default, Clone)]
pub(crate) struct Locks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<BTreeMap<Instance, Held>>,
    freed: Condvar,
}

/// Who holds a lock, in words; the agent itself, where it is nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Agent,
    Somebody(String),
    /// May take over a lock whose holder has begun nothing: at three in the morning a laptop that
    /// was closed must not be in the way.
    Root(String),
}

/// Somebody else has the lock.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    /// Who, and since when.
    pub(crate) holder: String,
    /// Whether they bring the very same release: whoever waits for them finds it here.
    pub(crate) same_release: bool,
}

#[derive(Debug)]
struct Held {
    by: Claimant,
    holder: Holder,
    /// The manifest of the release that is brought.
    release: Option<Sha256Digest>,
    since: Timestamp,
    /// Whether the claimant itself still wants it, beside what it began.
    wanted: bool,
    operations: usize,
}

/// An operation's share in a lock: it outlives the connection.
#[derive(Debug)]
pub(crate) struct Share {
    locks: Locks,
    app: Instance,
}

impl Locks {
    /// Takes the lock, or says who has it. Taking it twice is fine.
    pub(crate) fn take(
        &self,
        app: &Instance,
        by: Claimant,
        holder: Holder,
        release: Option<Sha256Digest>,
    ) -> Result<(), Busy> {
        let others_moment = |all: &mut BTreeMap<Instance, Held>| {
            all.get(app)
                .is_some_and(|held| held.by != by && held.holder == Holder::Agent)
        };
        let patience = if holder == Holder::Agent {
            Duration::ZERO
        } else {
            WAIT_FOR_AGENT
        };
        let waited = self
            .0
            .freed
            .wait_timeout_while(self.lock(), patience, others_moment);
        let (mut all, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(app) {
            Some(held) if held.by == by => (held.wanted, held.release) = (true, release),
            Some(held)
                if held.operations == 0
                    && matches!(holder, Holder::Root(_))
                    && !held.brings(release) =>
            {
                *held = Held::new(by, holder, release);
            }
            Some(held) => {
                return Err(Busy {
                    holder: held.describe(),
                    same_release: held.brings(release),
                });
            }
            None => {
                all.insert(app.clone(), Held::new(by, holder, release));
            }
        }
        Ok(())
    }

    /// The same person came back on another connection.
    pub(crate) fn hand_over(&self, app: &Instance, from: Claimant, to: Claimant) {
        if let Some(held) = self.lock().get_mut(app).filter(|held| held.by == from) {
            (held.by, held.wanted) = (to, true);
        }
    }

    /// Takes a lock from whoever has begun nothing under it, if that is so.
    pub(crate) fn take_over(
        &self,
        app: &Instance,
        by: Claimant,
        holder: Holder,
        release: Option<Sha256Digest>,
    ) -> bool {
        let mut all = self.lock();
        let idle = all.get_mut(app).filter(|held| held.operations == 0);
        idle.map(|held| *held = Held::new(by, holder, release))
            .is_some()
    }

    /// Waits for a while for an app's lock to become free.
    pub(crate) fn wait(&self, app: &Instance, patience: Duration) {
        let taken = |all: &mut BTreeMap<Instance, Held>| all.contains_key(app);
        let waited = self
            .0
            .freed
            .wait_timeout_while(self.lock(), patience, taken);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Gives up one app's lock, or all that this claimant holds.
    pub(crate) fn release(&self, by: Claimant, app: Option<&Instance>) {
        self.lock().retain(|name, held| {
            if held.by == by && app.is_none_or(|app| app == name) {
                held.wanted = false;
            }
            held.wanted || held.operations > 0
        });
        self.0.freed.notify_all();
    }

    /// Keeps the lock for an operation. Nothing where this claimant does not hold it.
    pub(crate) fn share(&self, app: &Instance, by: Claimant) -> Option<Share> {
        let mut all = self.lock();
        let held = all.get_mut(app).filter(|held| held.by == by)?;
        held.operations += 1;
        Some(Share {
            locks: self.clone(),
            app: app.clone(),
        })
    }

    pub(crate) fn describe(&self, app: &Instance) -> Option<String> {
        self.lock().get(app).map(Held::describe)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Instance, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn new(by: Claimant, holder: Holder, release: Option<Sha256Digest>) -> Self {
        Self {
            by,
            holder,
            release,
            since: Timestamp::now(),
            wanted: true,
            operations: 0,
        }
    }

    fn brings(&self, release: Option<Sha256Digest>) -> bool {
        release.is_some() && self.release == release
    }

    fn describe(&self) -> String {
        let who = match &self.holder {
            Holder::Agent => "the agent, which stops the slot that was left",
            Holder::Somebody(words) | Holder::Root(words) => words,
        };
        format!("{who} since {:.0}", self.since)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.locks.lock();
        if let Some(held) = all.get_mut(&self.app) {
            held.operations -= 1;
            if held.operations == 0 && !held.wanted {
                all.remove(&self.app);
                self.locks.0.freed.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Claimant = Claimant(1);
    const OTHER: Claimant = Claimant(2);

    fn app(name: &str) -> Instance {
        name.parse().unwrap()
    }

    fn ann() -> Holder {
        Holder::Somebody("deploy by ann".to_owned())
    }

    #[test]
    fn one_holder_at_a_time_and_other_apps_are_free() {
        let locks = Locks::default();
        locks.take(&app("a"), ONE, ann(), None).unwrap();
        locks.take(&app("a"), ONE, ann(), None).unwrap();
        assert!(
            locks
                .take(&app("a"), OTHER, ann(), None)
                .unwrap_err()
                .holder
                .contains("deploy by ann")
        );
        locks.take(&app("b"), OTHER, ann(), None).unwrap();
        assert!(locks.share(&app("a"), OTHER).is_none());
        locks.release(ONE, None);
        locks.take(&app("a"), OTHER, ann(), None).unwrap();
    }

    #[test]
    fn an_operation_keeps_the_lock_when_its_connection_is_gone() {
        let locks = Locks::default();
        locks.take(&app("a"), ONE, ann(), None).unwrap();
        let share = locks.share(&app("a"), ONE).unwrap();
        locks.release(ONE, None);
        assert!(locks.take(&app("a"), OTHER, ann(), None).is_err());
        drop(share);
        locks.take(&app("a"), OTHER, ann(), None).unwrap();
    }

    #[test]
    fn root_takes_over_from_whoever_has_begun_nothing() {
        let locks = Locks::default();
        let root = || Holder::Root("rollback by root".to_owned());
        locks.take(&app("a"), ONE, ann(), None).unwrap();
        let share = locks.share(&app("a"), ONE).unwrap();
        assert!(locks.take(&app("a"), OTHER, root(), None).is_err());
        drop(share);
        locks.take(&app("a"), OTHER, root(), None).unwrap();
        assert!(locks.share(&app("a"), ONE).is_none());
        locks.release(ONE, None);
        assert!(locks.share(&app("a"), OTHER).is_some());
    }

    #[test]
    fn people_wait_for_the_agents_moment_and_the_agent_for_nobody() {
        let locks = Locks::default();
        locks.take(&app("a"), ONE, Holder::Agent, None).unwrap();
        std::thread::scope(|scope| {
            let person = scope.spawn(|| locks.take(&app("a"), OTHER, ann(), None));
            std::thread::yield_now();
            locks.release(ONE, None);
            person.join().unwrap().unwrap();
        });
        assert!(locks.take(&app("a"), ONE, Holder::Agent, None).is_err());
    }

    #[test]
    fn whoever_brings_the_same_release_may_wait_for_it() {
        let locks = Locks::default();
        let release = |content: &[u8]| Some(Sha256Digest::of(content));
        let same = |locks: &Locks, release| {
            let busy = locks.take(&app("a"), OTHER, ann(), release).unwrap_err();
            busy.same_release
        };
        locks.take(&app("a"), ONE, ann(), release(b"1")).unwrap();
        assert!(same(&locks, release(b"1")));
        assert!(!same(&locks, release(b"2")) && !same(&locks, None));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| locks.wait(&app("a"), Duration::from_secs(60)));
            std::thread::yield_now();
            locks.release(ONE, None);
            other.join().unwrap();
        });
        locks.take(&app("a"), ONE, ann(), None).unwrap();
        assert!(!same(&locks, None));
    }

    #[test]
    fn a_lock_goes_with_whoever_comes_back_on_another_connection() {
        let locks = Locks::default();
        locks.take(&app("a"), ONE, ann(), None).unwrap();
        let share = locks.share(&app("a"), ONE).unwrap();
        locks.hand_over(&app("a"), ONE, OTHER);
        locks.release(ONE, None);
        drop(share);
        locks.take(&app("a"), OTHER, ann(), None).unwrap();
        assert!(locks.take(&app("a"), ONE, ann(), None).is_err());
        // What is not theirs stays where it is.
        locks.hand_over(&app("a"), ONE, ONE);
        assert!(locks.share(&app("a"), OTHER).is_some());
    }

    #[test]
    fn root_takes_over_from_who_brings_the_same_and_has_not_begun() {
        let locks = Locks::default();
        let release = Some(Sha256Digest::of(b"1"));
        let root = || Holder::Root("deploy by root".to_owned());
        locks.take(&app("a"), ONE, ann(), release).unwrap();
        assert!(locks.take(&app("a"), OTHER, root(), release).is_err());
        let share = locks.share(&app("a"), ONE).unwrap();
        assert!(!locks.take_over(&app("a"), OTHER, root(), release));
        drop(share);
        assert!(locks.take_over(&app("a"), OTHER, root(), release));
        assert!(locks.share(&app("a"), ONE).is_none());
    }
}
