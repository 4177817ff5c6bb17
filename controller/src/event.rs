//! What happens during a run: the only thing that the reports see.

use longshore_shared::name::{AppName, EnvironmentName, HostName};
use longshore_shared::wire::v1::{Problem, StepState};
use semver::Version;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum RunEvent {
    Started {
        verb: &'static str,
        app: AppName,
        environment: EnvironmentName,
        version: Option<Version>,
        hosts: Vec<HostName>,
    },
    /// All hosts take the next part of the work.
    Phase(Phase),
    Host {
        host: HostName,
        what: HostEvent,
    },
    /// Something that concerns the whole run.
    Note(String),
    /// The person asked to stop.
    Interrupted,
}

/// The parts of a rollout, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Connect,
    Lock,
    Preflight,
    Stage,
    Migrate,
    Switch,
    Return,
}

/// What happened with one host.
#[derive(Debug, Clone)]
pub enum HostEvent {
    Connected {
        agent: Version,
        user: String,
    },
    /// The connection was lost in the middle, and is being made again.
    Reconnecting,
    /// A step on the host itself.
    Step {
        step: String,
        state: StepState,
        detail: Option<String>,
    },
    /// So many bytes of so many that the host lacks, before compression counts.
    Sending {
        sent: u64,
    },
    Problem(Problem),
    /// The host has done its part of the phase.
    PhaseDone {
        phase: Phase,
    },
    Traffic {
        sent: u64,
        received: u64,
    },
}

impl Phase {
    pub fn word(self) -> &'static str {
        match self {
            Phase::Connect => "connect",
            Phase::Lock => "lock",
            Phase::Preflight => "preflight",
            Phase::Stage => "stage",
            Phase::Migrate => "migrate",
            Phase::Switch => "switch",
            Phase::Return => "return",
        }
    }
}

/// Whoever wants to know what happens. It is told, and never asked.
pub trait Report: Send + Sync {
    fn event(&self, event: RunEvent);
}
