//! The account of a load: what was sent, what failed and how, and how long nothing good came.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Every failure is counted; this many are kept in full for each target.
const KEPT_FAILURES: usize = 50;
const KEPT_BYTES: usize = 200;
/// More different bodies than this are no versions.
const KEPT_VERSIONS: usize = 50;

/// What went wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No connection.
    Connect,
    /// The connection ended before the first byte of an answer.
    NoAnswer,
    /// The connection ended within the answer.
    CutShort,
    /// No whole answer in time.
    TooSlow,
    /// Not HTTP.
    Malformed,
    /// A whole answer that says no.
    Status(u16),
}

/// One failed request.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Since the load began.
    pub at: Duration,
    /// Which site.
    pub target: SocketAddr,
    /// What went wrong.
    pub kind: Kind,
    /// The first bytes that came.
    pub first_bytes: String,
}

/// What came of a load.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Requests that ended, well or not.
    pub sent: u64,
    /// Those that failed.
    pub failed: u64,
    /// The first failures of each target.
    pub failures: Vec<Failure>,
    /// The longest time, on any one target, between two good answers, or between the last one and
    /// the end. What came before the first good answer is not counted.
    pub longest_gap: Duration,
    /// Bodies of good answers, and how often each came.
    pub versions: BTreeMap<String, u64>,
    /// How long it ran.
    pub took: Duration,
}

impl Outcome {
    pub(super) fn of(ledgers: &[Ledger], took: Duration) -> Self {
        let mut outcome = Self {
            sent: 0,
            failed: 0,
            failures: Vec::new(),
            longest_gap: Duration::ZERO,
            versions: BTreeMap::new(),
            took,
        };
        for ledger in ledgers {
            let pages = ledger.pages();
            outcome.sent += pages.good + pages.failed;
            outcome.failed += pages.failed;
            outcome.failures.extend(pages.failures.iter().cloned());
            let since_last = pages
                .last_good
                .map_or(Duration::ZERO, |last| last.elapsed());
            outcome.longest_gap = outcome.longest_gap.max(pages.longest_gap).max(since_last);
            for (version, count) in &pages.versions {
                *outcome.versions.entry(version.clone()).or_default() += count;
            }
        }
        outcome
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests sent, {} failed, in {:.1} s; longest gap {:.0} ms",
            self.sent,
            self.failed,
            self.took.as_secs_f64(),
            self.longest_gap.as_secs_f64() * 1000.0
        )?;
        for (version, count) in &self.versions {
            write!(f, "\n  {count:>8} answers from {version}")?;
        }
        for failure in self.failures.iter().take(10) {
            write!(
                f,
                "\n  failed after {:.3} s on {}: {:?} {:?}",
                failure.at.as_secs_f64(),
                failure.target,
                failure.kind,
                failure.first_bytes
            )?;
        }
        Ok(())
    }
}

/// One target's part of the account.
pub(super) struct Ledger {
    target: SocketAddr,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    good: u64,
    failed: u64,
    failures: Vec<Failure>,
    last_good: Option<Instant>,
    longest_gap: Duration,
    versions: BTreeMap<String, u64>,
}

impl Ledger {
    pub(super) fn new(target: SocketAddr) -> Self {
        Self {
            target,
            pages: Mutex::default(),
        }
    }

    pub(super) fn good(&self, body: &[u8]) {
        let version = text(body);
        let mut pages = self.pages();
        let now = Instant::now();
        if let Some(last) = pages.last_good.replace(now) {
            pages.longest_gap = pages.longest_gap.max(now.saturating_duration_since(last));
        }
        pages.good += 1;
        if pages.versions.contains_key(&version) || pages.versions.len() < KEPT_VERSIONS {
            *pages.versions.entry(version).or_default() += 1;
        }
    }

    pub(super) fn failed(&self, begun: Instant, kind: Kind, bytes: &[u8]) {
        let at = begun.elapsed();
        let mut pages = self.pages();
        pages.failed += 1;
        if pages.failures.len() < KEPT_FAILURES {
            let failure = Failure {
                at,
                target: self.target,
                kind,
                first_bytes: text(bytes),
            };
            pages.failures.push(failure);
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(KEPT_BYTES)])
        .trim()
        .to_owned()
}
