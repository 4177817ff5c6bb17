//! What became of one host.

use longshore_shared::name::HostName;
use longshore_shared::setup::SetupFailure;

use crate::rollout::HostFailure;

/// In a word, as scripts read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Unchanged,
    Changed,
    /// It differs, and was left as it is.
    Differs,
    Failed,
    Unreachable,
    Refused,
}

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Differs => "differs",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) host: HostName,
    pub(crate) outcome: Outcome,
    /// So many changes were made.
    pub(crate) made: usize,
    /// What was planned.
    pub(crate) changes: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// What is not as the inventory wants it, and not for bootstrap to change.
    pub(crate) lacks: Vec<String>,
    /// What could not be done although all else was.
    pub(crate) missed: Vec<SetupFailure>,
    pub(crate) failure: Option<HostFailure>,
    pub(crate) seconds: f64,
}

/// Why a host was not brought to its end.
#[derive(Debug, Clone)]
pub(super) struct Stopped {
    pub(super) outcome: Outcome,
    pub(super) failure: Box<HostFailure>,
}

impl Stopped {
    pub(super) fn new(outcome: Outcome, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            outcome,
            failure: Box::new(HostFailure {
                what: what.into(),
                hints: vec![hint.into()],
                ..HostFailure::default()
            }),
        }
    }
}
