//! An operation: something that changes the host, written down before it is begun, step by step.
//!
//! It belongs to nobody's connection. Whoever asked for it follows its events, and so may others.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{
    Event, Failed, FromAgent, Outcome, Problem, Reply, StepState,
};

use crate::command::printable;
use crate::events::EventLog;
use crate::journal;
use crate::ledger::{Ledger, LedgerError, NewOperation};
use crate::locks::{Claimant, Locks, Share};
use crate::systemd;

/// How many ended operations stay at hand for a controller that comes back.
const MOST_ENDED: usize = 4;

/// One operation that is running, or has just ended.
#[derive(Debug)]
pub(crate) struct Operation {
    id: u64,
    app: Instance,
    /// Who holds the app's lock for it: the connection that began it, or that took it over.
    claimant: AtomicU64,
    who: String,
    ledger: Arc<Ledger>,
    log: EventLog,
    cancelled: AtomicBool,
    /// Nobody can stop it any more.
    to_the_end: AtomicBool,
    unit: Mutex<Option<String>>,
    /// What the history is to say of it once it is done.
    done: Mutex<Option<String>>,
    /// The connection that it receives from.
    source: Mutex<Option<UnixStream>>,
}

/// Why an order is not carried out.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nothing was changed.
    Refused(Vec<Problem>),
    /// It was begun, and what it changed was taken back.
    Failed(Box<Failed>),
}

impl Trouble {
    /// Nothing was changed, for one reason.
    pub(crate) fn refused(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused(vec![Problem {
            what: what.into(),
            next: next.into(),
        }])
    }

    /// It did not succeed.
    pub(crate) fn failed(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Failed(Box::new(Failed {
            what: what.into(),
            next: next.into(),
            live: None,
            log: Vec::new(),
            probe: None,
            cancelled: false,
            resumable: false,
        }))
    }

    /// The other end was lost; the same order goes on from where it was.
    pub(crate) fn broken_off(what: impl Into<String>, next: impl Into<String>) -> Self {
        let mut trouble = Self::failed(what, next);
        if let Self::Failed(failed) = &mut trouble {
            failed.resumable = true;
        }
        trouble
    }

    /// It did not succeed, because of `error`.
    pub(crate) fn because(error: &dyn Error, next: impl Into<String>) -> Self {
        Self::failed(chain(error), next)
    }

    /// Somebody asked to stop.
    pub(crate) fn cancelled() -> Self {
        let mut trouble = Self::failed("it was cancelled", "deploy again when you are ready");
        if let Self::Failed(failed) = &mut trouble {
            failed.cancelled = true;
        }
        trouble
    }

    /// Whether it ended before its time through nobody's fault, so that what it did is of use to the
    /// next try.
    pub(crate) fn broke_off(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Failed(failed) => failed.resumable || failed.cancelled,
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self, Self::Failed(failed) if failed.cancelled)
    }

    /// The same trouble, and what else is so because of it.
    pub(crate) fn and(mut self, what: &str) -> Self {
        if let Self::Failed(failed) = &mut self {
            failed.what.push_str("; ");
            failed.what.push_str(what);
        }
        self
    }

    /// The same trouble, with the last lines of a log.
    pub(crate) fn with_log(mut self, lines: Vec<String>) -> Self {
        if let Self::Failed(failed) = &mut self {
            failed.log = lines;
        }
        self
    }

    /// What was seen of the release itself: it is its own fault.
    pub(crate) fn with_probe(mut self, seen: String) -> Self {
        if let Self::Failed(failed) = &mut self {
            failed.probe = Some(seen);
        }
        self
    }

    /// What went wrong, in one line.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Refused(problems) => problems
                .iter()
                .map(|problem| problem.what.as_str())
                .collect::<Vec<_>>()
                .join("; "),
            Self::Failed(failed) => failed.what.clone(),
        }
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::because(
            &error,
            "look at the disk that holds /var/lib/longshore, then try again",
        )
    }
}

/// An error with all that caused it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    printable(&text.replace('\n', " "))
}

impl Operation {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn log(&self) -> &EventLog {
        &self.log
    }

    /// Does one step: written down first, then begun, then told.
    pub(crate) fn step<T>(
        &self,
        step: &str,
        work: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Trouble::cancelled());
        }
        self.step_to_the_end(step, work)
    }

    /// A step that a cancellation comes too late for.
    pub(crate) fn step_to_the_end<T>(
        &self,
        step: &str,
        work: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.ledger.step(self.id, step)?;
        self.tell(step, StepState::Begun, None);
        let done = work();
        let state = if done.is_ok() {
            StepState::Done
        } else {
            StepState::Failed
        };
        self.tell(step, state, None);
        done
    }

    /// A remark, or a line of a step's output.
    pub(crate) fn note(&self, step: &str, line: &str) {
        self.tell(step, StepState::Note, Some(printable(line)));
    }

    /// There was nothing to do in `step`.
    pub(crate) fn unchanged(&self, step: &str, why: &str) {
        self.tell(step, StepState::Unchanged, Some(why.to_owned()));
    }

    /// What the history is to say of it once it is done.
    pub(crate) fn remember(&self, what: String) {
        *self.done() = Some(what);
    }

    fn done(&self) -> MutexGuard<'_, Option<String>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn say(&self, message: FromAgent) {
        self.log.push(message);
    }

    /// Asks the operation to stop: between two steps, or in the middle of a step of the app.
    pub(crate) fn cancel(&self) {
        if self.to_the_end.load(Ordering::Relaxed) {
            return;
        }
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(unit) = self.unit().clone()
            && let Err(error) = systemd::stop_soon(&[&unit])
        {
            journal::say(&chain(&error));
        }
    }

    /// From here on it goes through, whoever asks it to stop: half of it is of use to nobody.
    pub(crate) fn go_to_the_end(&self) {
        self.to_the_end.store(true, Ordering::Relaxed);
    }

    /// Names the unit that a cancellation ends, while there is one.
    pub(crate) fn set_unit(&self, unit: Option<String>) {
        *self.unit() = unit;
    }

    /// Names the connection that it receives from, while it does.
    pub(crate) fn set_source(&self, source: Option<UnixStream>) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// Whoever began it came back on another connection, which has the lock from now on: nobody is to
    /// be in their own way. What it still waits for on the one before will never come.
    pub(crate) fn come_back(&self, who: &str, by: Claimant, locks: &Locks) {
        if who != self.who {
            return;
        }
        let before = Claimant(self.claimant.swap(by.0, Ordering::Relaxed));
        locks.hand_over(&self.app, before, by);
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = &*source {
            // One that has ended needs no ending.
            let _ended = stream.shutdown(Shutdown::Both);
        }
    }

    fn unit(&self) -> MutexGuard<'_, Option<String>> {
        self.unit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Does the work, and ends with what came of it; also where the agent itself is at fault.
    pub(crate) fn run(&self, share: Share, work: impl FnOnce() -> Result<Reply, Trouble>) {
        let result = self.guarded(work);
        self.end(share, result);
    }

    /// Does work that is to end with a result also where the agent itself is at fault.
    pub(crate) fn guarded<T>(
        &self,
        work: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Trouble::failed(
                "the agent met a fault of its own; its journal tells more",
                "see `longshore status` for what serves, restart longshore-agent, and report this",
            ))
        })
    }

    /// Writes down how it ended, gives up the lock, and tells, in this order: whoever is told may
    /// come back at once.
    pub(crate) fn end(&self, share: Share, result: Result<Reply, Trouble>) {
        let (outcome, message) = match &result {
            Ok(reply) if is_unchanged(reply) => (Outcome::Unchanged, None),
            Ok(Reply::Settings(_) | Reply::Left { .. }) if self.done().is_none() => {
                (Outcome::Unchanged, None)
            }
            Ok(_) => (Outcome::Done, self.done().take()),
            Err(trouble @ Trouble::Refused(_)) => (Outcome::Refused, Some(trouble.message())),
            // What came is kept, and nothing else was changed.
            Err(trouble) if trouble.broke_off() && !trouble.is_cancelled() => {
                (Outcome::TakenBack, Some(trouble.message()))
            }
            Err(trouble @ Trouble::Failed(_)) => (Outcome::Failed, Some(trouble.message())),
        };
        if let Err(error) = self.ledger.end(self.id, outcome, message.as_deref()) {
            // What was done stands as the reply says; the next operation mends the history.
            journal::say(&format!("operation {}: {}", self.id, chain(&error)));
        }
        drop(share);
        let reply = result.unwrap_or_else(reply_to);
        self.log.end(FromAgent::Reply(Box::new(reply)));
    }

    fn tell(&self, step: &str, state: StepState, detail: Option<String>) {
        self.log.push(FromAgent::Event(Event {
            step: step.to_owned(),
            state,
            detail,
        }));
    }
}

/// A trouble as the answer to an order.
pub(crate) fn reply_to(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Refused(problems) => Reply::Refused { problems },
        Trouble::Failed(failed) => Reply::Failed(*failed),
    }
}

fn is_unchanged(reply: &Reply) -> bool {
    match reply {
        Reply::Staged { unchanged, .. }
        | Reply::Migrated { unchanged, .. }
        | Reply::PreviewMade { unchanged }
        | Reply::PreviewDropped { unchanged } => *unchanged,
        Reply::Switched(switched) => switched.unchanged,
        _ => false,
    }
}

/// The operations at hand.
#[derive(Debug, Default)]
pub(crate) struct Operations(Mutex<BTreeMap<u64, Arc<Operation>>>);

impl Operations {
    /// Writes a new operation down.
    pub(crate) fn begin(
        &self,
        ledger: &Arc<Ledger>,
        new: &NewOperation,
        by: Claimant,
    ) -> Result<Arc<Operation>, LedgerError> {
        let operation = Arc::new(Operation {
            id: ledger.begin(new)?,
            app: new.app.clone(),
            claimant: AtomicU64::new(by.0),
            who: new.who.clone(),
            ledger: Arc::clone(ledger),
            log: EventLog::default(),
            cancelled: AtomicBool::new(false),
            to_the_end: AtomicBool::new(false),
            unit: Mutex::default(),
            done: Mutex::default(),
            source: Mutex::default(),
        });
        operation.say(FromAgent::Begun {
            operation: operation.id,
        });
        let mut all = self.lock();
        let ended: Vec<u64> = all
            .values()
            .filter(|known| known.log.has_ended())
            .map(|known| known.id)
            .collect();
        for id in ended.iter().take(ended.len().saturating_sub(MOST_ENDED)) {
            all.remove(id);
        }
        all.insert(operation.id, Arc::clone(&operation));
        Ok(operation)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Operation>> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Operation>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
