//! What an operation says while it runs, kept so that several connections can follow it and one
//! that comes later misses nothing of weight.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use longshore_shared::wire::latest::FromAgent;

/// More is forgotten from the front: a step may print without end.
const MOST_MESSAGES: usize = 2000;

/// The messages of one operation.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<FromAgent>,
    /// How many were forgotten.
    forgotten: usize,
    ended: bool,
}

/// How far a follower has read.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Cursor(usize);

impl EventLog {
    pub(crate) fn push(&self, message: FromAgent) {
        let mut state = self.lock();
        if state.messages.len() == MOST_MESSAGES {
            state.messages.pop_front();
            state.forgotten += 1;
        }
        state.messages.push_back(message);
        drop(state);
        self.news.notify_all();
    }

    /// Says that nothing more will come.
    pub(crate) fn end(&self, last: FromAgent) {
        self.push(last);
        self.lock().ended = true;
        self.news.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// What was said since `cursor`, without waiting for more.
    pub(crate) fn since(&self, cursor: &mut Cursor) -> Vec<FromAgent> {
        take(&self.lock(), cursor)
    }

    /// Waits until there is something new. Nothing new means that the operation has ended.
    pub(crate) fn wait(&self, cursor: &mut Cursor) -> Vec<FromAgent> {
        let quiet =
            |state: &mut State| state.forgotten + state.messages.len() <= cursor.0 && !state.ended;
        let waited = self.news.wait_while(self.lock(), quiet);
        take(&waited.unwrap_or_else(PoisonError::into_inner), cursor)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(state: &State, cursor: &mut Cursor) -> Vec<FromAgent> {
    let from = cursor.0.saturating_sub(state.forgotten);
    cursor.0 = state.forgotten + state.messages.len();
    state.messages.iter().skip(from).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(operation: u64) -> FromAgent {
        FromAgent::Begun { operation }
    }

    #[test]
    fn every_follower_sees_all_from_its_own_place() {
        let log = EventLog::default();
        let (mut early, mut late) = (Cursor::default(), Cursor::default());
        log.push(begun(1));
        assert_eq!(log.wait(&mut early), [begun(1)]);
        log.push(begun(2));
        assert_eq!(log.since(&mut early), [begun(2)]);
        assert_eq!(log.since(&mut late), [begun(1), begun(2)]);
        log.end(begun(3));
        assert_eq!(log.wait(&mut late), [begun(3)]);
        assert!(log.wait(&mut late).is_empty());
    }

    #[test]
    fn a_flood_is_bounded() {
        let log = EventLog::default();
        let mut cursor = Cursor::default();
        (0..3 * MOST_MESSAGES as u64).for_each(|at| log.push(begun(at)));
        let seen = log.since(&mut cursor);
        assert_eq!(seen.len(), MOST_MESSAGES);
        assert_eq!(seen.last(), Some(&begun(3 * MOST_MESSAGES as u64 - 1)));
    }
}
