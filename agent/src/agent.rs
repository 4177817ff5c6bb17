//! All that the threads of the agent share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::activate::cooldown::Cooldowns;
use crate::ledger::Ledger;
use crate::locks::{Claimant, Locks};
use crate::operation::Operations;
use crate::preview::watch::Previews;

/// The agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) locks: Locks,
    pub(crate) operations: Operations,
    pub(crate) cooldowns: Cooldowns,
    pub(crate) previews: Previews,
    claimants: AtomicU64,
}

impl Agent {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self {
            ledger: Arc::new(ledger),
            locks: Locks::default(),
            operations: Operations::default(),
            cooldowns: Cooldowns::default(),
            previews: Previews::default(),
            claimants: AtomicU64::new(1),
        }
    }

    /// Somebody who can hold locks and is nobody else.
    pub(crate) fn claimant(&self) -> Claimant {
        Claimant(self.claimants.fetch_add(1, Ordering::Relaxed))
    }
}
