//! What happens during a run: the only thing that the reports see.

use longshore_shared::instance::Instance;
use longshore_shared::name::{EnvironmentName, HostName};
use longshore_shared::wire::latest::{LogLine, PreviewState, Problem, StepState};
use semver::Version;
use serde::Serialize;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum RunEvent {
    Started {
        verb: &'static str,
        app: Instance,
        environment: EnvironmentName,
        version: Option<Version>,
        hosts: Vec<HostName>,
    },
    /// What is going to change, where every host has said what it serves.
    Plan(Vec<Change>),
    /// All hosts take the next part of the work.
    Phase(Phase),
    Host {
        host: HostName,
        what: HostEvent,
    },
    /// There is to be this preview, and until when.
    Preview {
        app: Instance,
        preview: PreviewState,
    },
    /// Something that concerns the whole run.
    Note(String),
    /// The person asked to stop.
    Interrupted,
}

/// One host's way from what it serves to what it is to serve.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    pub host: HostName,
    pub from: Option<Version>,
    pub to: Version,
}

/// The parts of a rollout, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Connect,
    Lock,
    Preflight,
    Stage,
    Migrate,
    Settings,
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
    /// What is said there about an app.
    Log(Vec<LogLine>),
    /// The release is on its way.
    Sending(Sending),
    /// The host has the whole release: what was sent for it, and what did not have to be.
    Sent {
        sent: u64,
        saved: u64,
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

/// How far the sending of a release to one host is, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sending {
    /// Of the release, unpacked.
    pub release: u64,
    /// Of it, what the host lacks.
    pub lacking: u64,
    /// Of that, what is told by now.
    pub covered: u64,
    /// What was sent to tell it.
    pub sent: u64,
}

impl Sending {
    /// What is on the host by now and did not have to be sent.
    pub fn saved(&self) -> u64 {
        let there = self.release.saturating_sub(self.lacking);
        there.saturating_add(self.covered).saturating_sub(self.sent)
    }
}

/// Whoever wants to know what happens. It is told, and never asked.
pub trait Report: Send + Sync {
    fn event(&self, event: RunEvent);
}
