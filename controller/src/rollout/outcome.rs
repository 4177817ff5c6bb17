//! How a rollout ended, host by host, and what that means for the whole. Pure.

use std::error::Error;

use longshore_shared::name::HostName;
use longshore_shared::wire::latest::{Failed, Problem};
use semver::Version;
use serde::Serialize;

use crate::exit_code::Exit;

/// The word for what became of a host, as scripts read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Switched,
    Unchanged,
    Staged,
    Reverted,
    Failed,
    Unreachable,
    Skipped,
    Refused,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Switched => "switched",
            Outcome::Unchanged => "unchanged",
            Outcome::Staged => "staged",
            Outcome::Reverted => "reverted",
            Outcome::Failed => "failed",
            Outcome::Unreachable => "unreachable",
            Outcome::Skipped => "skipped",
            Outcome::Refused => "refused",
        }
    }
}

/// What a host serves, as far as it could be learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    Version(Version),
    Nothing,
    NotKnown,
}

impl Serving {
    pub fn version(&self) -> Option<&Version> {
        match self {
            Serving::Version(version) => Some(version),
            Serving::Nothing | Serving::NotKnown => None,
        }
    }
}

impl From<Option<Version>> for Serving {
    /// What a host says that it serves.
    fn from(said: Option<Version>) -> Self {
        said.map_or(Serving::Nothing, Serving::Version)
    }
}

/// What became of one host.
#[derive(Debug, Clone)]
pub struct HostResult {
    pub host: HostName,
    pub outcome: Outcome,
    pub serves: Serving,
    /// What it served before this run.
    pub before: Serving,
    pub seconds: f64,
    pub failure: Option<HostFailure>,
    /// The connection was lost while traffic was being moved, so nobody can say what serves.
    pub uncertain: bool,
    /// Refused for a revoked key, which a person may overrule.
    pub revoked: bool,
    /// Refused for migrations that stay in the database, which a person may accept.
    pub past_migrations: bool,
    pub remarks: Vec<String>,
}

impl HostResult {
    /// Whether the host serves, or may serve, something else than before.
    fn has_moved(&self) -> bool {
        let known = self.serves != Serving::NotKnown && self.before != Serving::NotKnown;
        let switched = self.outcome == Outcome::Switched && !(known && self.serves == self.before);
        self.uncertain || switched || (known && self.serves != self.before)
    }

    /// Left out because it could not be reached, which `--skip-offline` allows.
    pub fn is_left_out(&self) -> bool {
        self.outcome == Outcome::Skipped && self.failure.is_some()
    }
}

/// Why a host did not do what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFailure {
    pub what: String,
    pub causes: Vec<String>,
    pub hints: Vec<String>,
    pub log: Vec<String>,
    pub probe: Option<String>,
    pub kind: FailureKind,
}

/// What kind of failure it is, where that decides what the whole comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FailureKind {
    #[default]
    Failed,
    /// There was nobody to ask.
    Unreachable,
    /// Asked, the host says no.
    Refused,
}

impl HostFailure {
    /// An error with all that caused it.
    pub fn of_error(error: &dyn Error) -> Self {
        let mut causes = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        HostFailure {
            what: error.to_string(),
            causes,
            ..HostFailure::default()
        }
    }

    pub fn of_failed(failed: Failed) -> Self {
        let next = Some(failed.next).filter(|next| !next.is_empty());
        HostFailure {
            what: failed.what,
            causes: Vec::new(),
            hints: next.into_iter().collect(),
            log: failed.log,
            probe: failed.probe,
            kind: FailureKind::Failed,
        }
    }

    pub fn of_problems(problems: &[Problem]) -> Self {
        let mut whats = problems.iter().map(|problem| problem.what.clone());
        let nexts = problems.iter().map(|problem| &problem.next);
        HostFailure {
            what: whats
                .next()
                .unwrap_or_else(|| "the host refused".to_owned()),
            causes: whats.collect(),
            hints: nexts.filter(|next| !next.is_empty()).cloned().collect(),
            kind: FailureKind::Refused,
            ..HostFailure::default()
        }
    }

    /// What happened and why, for machines.
    pub fn in_one_line(&self) -> String {
        let words = std::iter::once(&self.what).chain(&self.causes);
        words.map(String::as_str).collect::<Vec<_>>().join(": ")
    }
}

/// The end of a run.
#[derive(Debug)]
pub struct RunEnd {
    pub verb: &'static str,
    pub app: String,
    pub environment: String,
    pub version: Option<Version>,
    pub hosts: Vec<HostResult>,
    pub seconds: f64,
    pub exit: Exit,
}

/// The exit code that a rollout's hosts add up to.
pub fn exit_of(hosts: &[HostResult], interrupted: bool) -> Exit {
    let any = |outcome: Outcome| hosts.iter().any(|host| host.outcome == outcome);
    // A Ctrl-C that came after the last switch has interrupted nothing.
    let complete = hosts.iter().all(|host| {
        matches!(host.outcome, Outcome::Switched | Outcome::Unchanged) || host.is_left_out()
    });
    if interrupted && !complete {
        return Exit::Interrupted;
    }
    let failed = any(Outcome::Failed) || any(Outcome::Reverted) || any(Outcome::Unreachable);
    if failed || any(Outcome::Refused) {
        return if hosts.iter().any(HostResult::has_moved) {
            Exit::Mixed
        } else if any(Outcome::Refused) && !any(Outcome::Failed) && !any(Outcome::Reverted) {
            Exit::Refused
        } else {
            Exit::Failed
        };
    }
    // Nothing but `stage` ends with what was only staged, unless something failed.
    let done = any(Outcome::Switched) || any(Outcome::Unchanged) || any(Outcome::Staged);
    if done { Exit::Done } else { Exit::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::*;

    fn version(minor: u64) -> Serving {
        Serving::Version(Version::new(1, minor, 0))
    }

    fn host(outcome: Outcome) -> HostResult {
        let serves = version(u64::from(outcome == Switched));
        HostResult {
            host: HostName::new("web-1").unwrap(),
            outcome,
            serves,
            before: version(0),
            seconds: 0.0,
            failure: None,
            uncertain: false,
            revoked: false,
            past_migrations: false,
            remarks: vec![],
        }
    }

    fn left_out() -> HostResult {
        HostResult {
            serves: Serving::NotKnown,
            before: Serving::NotKnown,
            failure: Some(HostFailure::default()),
            ..host(Skipped)
        }
    }

    #[test]
    fn the_table_of_the_contract() {
        let cases: &[(&[Outcome], Exit)] = &[
            (&[Switched, Unchanged], Exit::Done),
            (&[Unchanged], Exit::Done),
            (&[Staged], Exit::Done),
            (&[Skipped, Unreachable], Exit::Failed),
            (&[Reverted, Failed], Exit::Failed),
            (&[Switched, Failed], Exit::Mixed),
            (&[Switched, Refused], Exit::Mixed),
            (&[Staged, Failed], Exit::Failed),
            (&[Skipped, Refused], Exit::Refused),
            (&[Unreachable, Refused], Exit::Refused),
        ];
        for (outcomes, exit) in cases {
            let hosts: Vec<_> = outcomes.iter().copied().map(host).collect();
            assert_eq!(exit_of(&hosts, false), *exit, "{outcomes:?}");
        }
        assert_eq!(exit_of(&[host(Switched), left_out()], false), Exit::Done);
        assert_eq!(exit_of(&[left_out()], false), Exit::Failed);
    }

    #[test]
    fn a_host_that_nobody_can_speak_for_or_that_moved_and_failed_makes_the_fleet_mixed() {
        let lost = HostResult {
            uncertain: true,
            serves: Serving::NotKnown,
            ..host(Failed)
        };
        assert_eq!(exit_of(&[lost, host(Reverted)], false), Exit::Mixed);
        let moved = HostResult {
            serves: version(1),
            ..host(Failed)
        };
        assert_eq!(exit_of(&[moved], false), Exit::Mixed);
        // Lost before anything was switched.
        let lost_early = HostResult {
            serves: Serving::NotKnown,
            before: Serving::NotKnown,
            ..host(Failed)
        };
        assert_eq!(exit_of(&[lost_early], false), Exit::Failed);
    }

    #[test]
    fn an_interrupt_that_came_too_late_interrupted_nothing() {
        assert_eq!(
            exit_of(&[host(Switched), host(Skipped)], true),
            Exit::Interrupted
        );
        assert_eq!(exit_of(&[host(Switched), left_out()], true), Exit::Done);
    }
}
