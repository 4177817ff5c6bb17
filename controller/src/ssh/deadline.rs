//! The time that connecting to a host may take, counted only while the host is waited for: not
//! while a person types a passphrase.

use std::time::{Duration, Instant};

use super::connect_error::ConnectError;

#[derive(Debug)]
pub(super) struct Deadline {
    all: Duration,
    left: Duration,
    address: String,
}

impl Deadline {
    pub(super) fn new(all: Duration, address: String) -> Self {
        Deadline {
            all,
            left: all,
            address,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.left
    }

    pub(super) async fn run<F: Future>(
        &mut self,
        phase: &'static str,
        work: F,
    ) -> Result<F::Output, ConnectError> {
        let begun = Instant::now();
        let result = tokio::time::timeout(self.left, work).await;
        self.left = self.left.saturating_sub(begun.elapsed());
        result.map_err(|_| ConnectError::TimedOut {
            address: self.address.clone(),
            after: self.all,
            phase,
        })
    }
}
