//! How a rollout ended, host by host, and what that means for the whole. Pure.

use longshore_shared::name::HostName;
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

/// What became of one host.
#[derive(Debug, Clone)]
pub struct HostResult {
    pub host: HostName,
    pub outcome: Outcome,
    /// What serves now, where it is known.
    pub version: Option<Version>,
    pub previous: Option<Version>,
    pub seconds: f64,
    pub failure: Option<HostFailure>,
    /// Nobody can say what serves: the connection was lost while traffic was being moved.
    pub uncertain: bool,
    pub remarks: Vec<String>,
}

/// Why a host did not do what was asked.
#[derive(Debug, Clone, Default)]
pub struct HostFailure {
    pub what: String,
    pub causes: Vec<String>,
    pub hints: Vec<String>,
    pub log: Vec<String>,
    pub probe: Option<String>,
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

/// What is known about a run besides its hosts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances {
    pub interrupted: bool,
    pub skip_offline: bool,
}

/// The exit code that a rollout's hosts add up to.
pub fn exit_of(hosts: &[HostResult], around: Circumstances) -> Exit {
    let any = |outcome: Outcome| hosts.iter().any(|host| host.outcome == outcome);
    // A Ctrl-C that came after the last switch has interrupted nothing.
    let complete = hosts.iter().all(|host| {
        matches!(
            host.outcome,
            Outcome::Switched | Outcome::Unchanged | Outcome::Unreachable
        )
    });
    if around.interrupted && !complete {
        return Exit::Interrupted;
    }
    let moved = any(Outcome::Switched);
    let uncertain = hosts.iter().any(|host| host.uncertain);
    if any(Outcome::Failed) || any(Outcome::Reverted) || uncertain {
        return if moved || uncertain {
            Exit::Mixed
        } else {
            Exit::Failed
        };
    }
    if any(Outcome::Refused) {
        return if moved { Exit::Mixed } else { Exit::Refused };
    }
    if any(Outcome::Unreachable) && !around.skip_offline {
        return if moved { Exit::Mixed } else { Exit::Failed };
    }
    let done = moved || any(Outcome::Unchanged);
    if done { Exit::Done } else { Exit::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::*;

    fn host(outcome: Outcome) -> HostResult {
        HostResult {
            host: HostName::new("web-1").unwrap(),
            outcome,
            version: None,
            previous: None,
            seconds: 0.0,
            failure: None,
            uncertain: false,
            remarks: vec![],
        }
    }

    #[test]
    fn the_table_of_the_contract() {
        let skip = Circumstances {
            skip_offline: true,
            ..Default::default()
        };
        let plain = Circumstances::default();
        let cases: &[(&[Outcome], Circumstances, Exit)] = &[
            (&[Switched, Unchanged], plain, Exit::Done),
            (&[Unchanged], plain, Exit::Done),
            (&[Skipped, Unreachable], plain, Exit::Failed),
            (&[Switched, Unreachable], skip, Exit::Done),
            (&[Unreachable], skip, Exit::Failed),
            (&[Reverted, Failed], plain, Exit::Failed),
            (&[Switched, Failed], plain, Exit::Mixed),
            (&[Staged, Failed], plain, Exit::Failed),
            (&[Skipped, Refused], plain, Exit::Refused),
            (&[Unreachable, Refused], plain, Exit::Refused),
        ];
        for (outcomes, around, exit) in cases {
            let hosts: Vec<_> = outcomes.iter().copied().map(host).collect();
            assert_eq!(exit_of(&hosts, *around), *exit, "{outcomes:?}");
        }
    }

    #[test]
    fn a_host_that_nobody_can_speak_for_makes_the_fleet_mixed() {
        let lost = HostResult {
            uncertain: true,
            ..host(Failed)
        };
        assert_eq!(
            exit_of(&[lost, host(Reverted)], Circumstances::default()),
            Exit::Mixed
        );
        let around = Circumstances {
            interrupted: true,
            ..Default::default()
        };
        assert_eq!(
            exit_of(&[host(Switched), host(Skipped)], around),
            Exit::Interrupted
        );
        assert_eq!(exit_of(&[host(Switched)], around), Exit::Done);
    }
}
