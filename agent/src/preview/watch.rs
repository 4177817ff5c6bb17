//! What the thread that ends previews and those who make them tell each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Wakes the thread that waits, where there is one.
#[derive(Debug, Default)]
pub(crate) struct Previews {
    changed: Mutex<Watch>,
    pub(super) news: Condvar,
}

/// Whether a thread waits, and whether it has to look again.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) runs: bool,
    pub(super) stale: bool,
}

impl Previews {
    pub(super) fn lock(&self) -> MutexGuard<'_, Watch> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is another end to wait for.
    pub(crate) fn tell(&self) {
        self.lock().stale = true;
        self.news.notify_all();
    }
}
