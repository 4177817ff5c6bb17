//! One host in a rollout: its line, and what has become of it so far.

use std::time::Instant;

use longshore_shared::name::HostName;
use longshore_shared::wire::v1::{Failed, Problem, Reply};
use semver::Version;

use super::link::{HostLink, LinkError};
use super::outcome::{HostFailure, HostResult, Outcome};
use crate::inventory::Host;

pub(super) struct Member {
    pub(super) host: Host,
    pub(super) link: Option<HostLink>,
    /// What served before the rollout.
    pub(super) live: Option<Version>,
    /// Where a rollback of this host goes.
    pub(super) back_to: Option<Version>,
    begun: Instant,
    ended: Option<HostResult>,
    pub(super) progress: Progress,
}

/// How far a host has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    Nothing,
    Staged,
    Switched {
        version: Version,
        previous: Option<Version>,
        unchanged: bool,
        remarks: Vec<String>,
    },
    Returned {
        version: Version,
    },
}

impl Member {
    pub(super) fn new(host: Host) -> Self {
        Member {
            host,
            link: None,
            live: None,
            back_to: None,
            begun: Instant::now(),
            ended: None,
            progress: Progress::Nothing,
        }
    }

    pub(super) fn name(&self) -> &HostName {
        &self.host.name
    }

    /// Takes part in what comes next.
    pub(super) fn is_active(&self) -> bool {
        self.ended.is_none() && self.link.is_some()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.ended.as_ref().map(|ended| ended.outcome)
    }

    pub(super) fn was_switched(&self) -> bool {
        matches!(
            self.progress,
            Progress::Switched {
                unchanged: false,
                ..
            }
        )
    }

    fn end(&mut self, outcome: Outcome, failure: Option<HostFailure>) {
        let (version, previous, remarks) = match &self.progress {
            Progress::Nothing | Progress::Staged => (self.live.clone(), None, Vec::new()),
            Progress::Switched {
                version,
                previous,
                remarks,
                ..
            } => (Some(version.clone()), previous.clone(), remarks.clone()),
            Progress::Returned { version } => (Some(version.clone()), None, Vec::new()),
        };
        self.ended = Some(HostResult {
            host: self.host.name.clone(),
            outcome,
            version,
            previous,
            seconds: self.begun.elapsed().as_secs_f64(),
            failure,
            uncertain: false,
            remarks,
        });
    }

    pub(super) fn unreachable(&mut self, error: &LinkError) {
        let outcome = if error.is_refusal() {
            Outcome::Refused
        } else {
            Outcome::Unreachable
        };
        self.end(outcome, Some(error.failure()));
    }

    /// The line broke in the middle; `moving` when traffic may have moved meanwhile.
    pub(super) fn lost(&mut self, error: &LinkError, moving: bool) {
        self.end(Outcome::Failed, Some(error.failure()));
        if let Some(ended) = self.ended.as_mut()
            && moving
        {
            ended.uncertain = true;
            ended.version = None;
        }
    }

    /// Could not be sent back: it keeps what it was switched to, and says why.
    pub(super) fn stuck(&mut self, failure: HostFailure) {
        self.end(Outcome::Switched, Some(failure));
    }

    pub(super) fn refused(&mut self, problems: &[Problem]) {
        self.end(Outcome::Refused, Some(of_problems(problems)));
    }

    /// A reply that ends this host's part, because it is not the one that was hoped for.
    pub(super) fn ended_by(&mut self, reply: Reply) {
        match reply {
            Reply::Refused { problems } => self.refused(&problems),
            Reply::Failed(failed) => {
                self.live = failed.live.clone().or(self.live.take());
                let failure = of_failed(failed);
                self.end(Outcome::Failed, Some(failure));
            }
            other => {
                let failure = HostFailure {
                    what: "the agent gave an answer that does not fit the order".to_owned(),
                    causes: vec![name_of(&other).to_owned()],
                    ..HostFailure::default()
                };
                self.end(Outcome::Failed, Some(failure));
            }
        }
    }

    /// The result at the end of the run; a host that was stopped on its way says how far it came.
    pub(super) fn into_result(mut self) -> (HostResult, Option<HostLink>) {
        if self.ended.is_none() {
            let outcome = match &self.progress {
                Progress::Nothing => Outcome::Skipped,
                Progress::Staged => Outcome::Staged,
                Progress::Switched {
                    unchanged: true, ..
                } => Outcome::Unchanged,
                Progress::Switched { .. } => Outcome::Switched,
                Progress::Returned { .. } => Outcome::Reverted,
            };
            self.end(outcome, None);
        }
        let link = self.link.take();
        let result = match self.ended {
            Some(ended) => ended,
            // Ended just above.
            None => HostResult {
                host: self.host.name,
                outcome: Outcome::Skipped,
                version: None,
                previous: None,
                seconds: 0.0,
                failure: None,
                uncertain: false,
                remarks: Vec::new(),
            },
        };
        (result, link)
    }
}

pub(super) fn of_failed(failed: Failed) -> HostFailure {
    HostFailure {
        what: failed.what,
        causes: Vec::new(),
        hints: vec![failed.next]
            .into_iter()
            .filter(|next| !next.is_empty())
            .collect(),
        log: failed.log,
        probe: failed.probe,
    }
}

fn of_problems(problems: &[Problem]) -> HostFailure {
    let mut problems = problems.iter();
    let first = problems.next();
    let mut failure = HostFailure {
        what: first.map_or_else(|| "the host refused".to_owned(), |p| p.what.clone()),
        hints: first.map(|p| p.next.clone()).into_iter().collect(),
        ..HostFailure::default()
    };
    for problem in problems {
        failure.causes.push(problem.what.clone());
        failure.hints.push(problem.next.clone());
    }
    failure.hints.retain(|hint| !hint.is_empty());
    failure
}

fn name_of(reply: &Reply) -> &'static str {
    match reply {
        Reply::Status { .. } => "status",
        Reply::Locked => "locked",
        Reply::Unlocked => "unlocked",
        Reply::Preflight { .. } => "preflight",
        Reply::Staged { .. } => "staged",
        Reply::Migrated { .. } => "migrated",
        Reply::Switched(_) => "switched",
        Reply::Refused { .. } => "refused",
        Reply::Failed(_) => "failed",
        Reply::Unknown => "unknown",
    }
}
