//! A steady load on the hosts' sites, and an exact account of what came back.
//!
//! A failed request is any that a person would have noticed: no connection, no answer, a broken
//! answer, a status that is not 2xx, or a kept connection that the server closed without having
//! said so.

mod connection;
mod outcome;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use connection::Connection;
use outcome::Ledger;
pub use outcome::{Failure, Kind, Outcome};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A server that refuses at once must not be asked a million times a second.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(5);

/// Whether a connection is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// As browsers do.
    Kept,
    /// A new one for each request.
    Fresh,
}

/// What to send, where, and when to stop.
#[derive(Debug, Clone)]
pub struct Load {
    /// The sites; each gets the whole load below.
    pub targets: Vec<SocketAddr>,
    /// The `Host` header.
    pub domain: String,
    /// The path. Bodies are counted as versions, so it should be one that tells it.
    pub path: String,
    /// How many requests are under way at once on each target.
    pub workers: usize,
    /// Kept or fresh connections.
    pub connections: Connections,
    /// Requests a second on each target; none is as many as it takes.
    pub rate: Option<f64>,
    /// Stop after so many requests in all.
    pub most_requests: Option<u64>,
    /// Stop after this time.
    pub longest: Option<Duration>,
}

impl Load {
    /// A load on these sites that runs until it is stopped.
    pub fn on(targets: Vec<SocketAddr>, domain: &str) -> Self {
        Self {
            targets,
            domain: domain.to_owned(),
            path: String::from("/version"),
            workers: 4,
            connections: Connections::Kept,
            rate: None,
            most_requests: None,
            longest: None,
        }
    }

    /// Begins, in threads of its own.
    pub fn start(self) -> Running {
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            ledgers: self
                .targets
                .iter()
                .map(|target| Ledger::new(*target))
                .collect(),
        });
        let load = Arc::new(self);
        let mut threads = Vec::new();
        for target in 0..load.targets.len() {
            for worker in 0..load.workers {
                let (load, shared) = (Arc::clone(&load), Arc::clone(&shared));
                threads.push(thread::spawn(move || load.work(target, worker, &shared)));
            }
        }
        Running { shared, threads }
    }

    /// Runs to its bound and returns what came of it. Without a bound it would never return, so
    /// then it stops at once.
    pub fn run(self) -> Outcome {
        let bounded = self.most_requests.is_some() || self.longest.is_some();
        let running = self.start();
        if bounded {
            running.wait()
        } else {
            running.stop()
        }
    }

    fn work(&self, target: usize, worker: usize, shared: &Shared) {
        let (Some(address), Some(ledger)) = (self.targets.get(target), shared.ledgers.get(target))
        else {
            return;
        };
        let request = self.request();
        let mut connection = Connection::new(*address, PATIENCE);
        let interval = self
            .rate
            .map(|rate| Duration::from_secs_f64(self.workers as f64 / rate));
        // Workers share the second evenly instead of sending in volleys.
        let offset = interval
            .unwrap_or_default()
            .mul_f64(worker as f64 / self.workers as f64);
        let mut next = shared.begun + offset;
        while shared.goes_on(self) {
            if let Some(interval) = interval {
                thread::sleep(next.saturating_duration_since(Instant::now()));
                next += interval;
                if shared.stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            if !shared.take_one(self) {
                break;
            }
            let failed = match connection.ask(&request) {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    ledger.good(&answer.body);
                    false
                }
                Ok(answer) => {
                    ledger.failed(shared.begun, Kind::Status(answer.status), &answer.body);
                    true
                }
                Err((kind, first_bytes)) => {
                    ledger.failed(shared.begun, kind, &first_bytes);
                    true
                }
            };
            if self.connections == Connections::Fresh {
                connection.close();
            }
            if failed {
                thread::sleep(PAUSE_AFTER_FAILURE);
            }
        }
    }

    fn request(&self) -> Vec<u8> {
        let connection = match self.connections {
            Connections::Kept => "keep-alive",
            Connections::Fresh => "close",
        };
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\n\r\n",
            self.path, self.domain
        )
        .into_bytes()
    }
}

struct Shared {
    begun: Instant,
    stop: AtomicBool,
    sent: AtomicU64,
    ledgers: Vec<Ledger>,
}

impl Shared {
    fn goes_on(&self, load: &Load) -> bool {
        let late = load
            .longest
            .is_some_and(|longest| self.begun.elapsed() >= longest);
        !late && !self.stop.load(Ordering::Relaxed)
    }

    /// Counts one request, unless all have been sent.
    fn take_one(&self, load: &Load) -> bool {
        let most = load.most_requests.unwrap_or(u64::MAX);
        self.sent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sent| {
                (sent < most).then_some(sent + 1)
            })
            .is_ok()
    }
}

/// A load that is under way. Dropping it stops it.
pub struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({} sent)", self.sent())
    }
}

impl Running {
    /// How many requests were sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// What came back so far.
    pub fn so_far(&self) -> Outcome {
        Outcome::of(&self.shared.ledgers, self.shared.begun.elapsed())
    }

    /// Stops, waits for what is under way, and returns the account.
    pub fn stop(self) -> Outcome {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wait()
    }

    /// Waits until a bound is reached.
    pub fn wait(mut self) -> Outcome {
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        self.so_far()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
