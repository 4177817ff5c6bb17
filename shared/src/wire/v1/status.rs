//! What a host says of its apps.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::instance::Instance;
use crate::name::ProcessName;
use crate::settings::SettingName;

use super::preview::PreviewState;

/// An app on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    pub app: Instance,
    /// What serves.
    pub version: Option<Version>,
    /// What `rollback` would go to.
    pub previous: Option<Version>,
    pub slot: Option<Slot>,
    /// What the live slot's own socket answers now; nothing where nothing serves.
    pub healthy: Option<bool>,
    pub releases: Vec<ReleaseStatus>,
    /// Since when `version` serves.
    pub since: Option<Timestamp>,
    /// The branch or tag that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// Who brought it here last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The names of the settings that are set here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<SettingName>,
    /// Nothing where it is the app itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<PreviewState>,
    /// Nothing where the site is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceState>,
    /// What runs beside the web on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessStatus>,
    /// The newest operation.
    pub last: Option<OperationStatus>,
    /// Who holds the lock, in words.
    pub locked_by: Option<String>,
}

/// A site that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceState {
    pub since: Option<Timestamp>,
    pub by: String,
}

/// A process of the live release, or a timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    pub name: ProcessName,
    pub state: ProcessState,
    /// In words: how it ended last, where that was not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// How often it was started again by itself.
    pub restarts: u32,
    /// Since when it is as it is.
    pub since: Option<Timestamp>,
    /// When a timer runs next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// How a process or a timer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    Running,
    /// It has ended, and is about to be started again.
    Restarting,
    /// A timer, between two runs; or one that is to be alone, while the one before ends.
    Waiting,
    /// Of the release before: it finishes what it has in hand.
    Ending,
    /// It does not run, though it should; or a timer's last run failed.
    Failed,
    #[serde(other)]
    Unknown,
}

/// One of the two places where a release runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    Blue,
    Green,
}

/// A release on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStatus {
    pub version: Version,
    pub commit: String,
    pub signer: String,
    pub bytes: u64,
    pub staged: Timestamp,
    pub state: ReleaseState,
}

/// How a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// It serves.
    Live,
    /// It served until just now and still runs.
    Warm,
    /// It served and was found good.
    Good,
    /// It did not become healthy, or was rolled back from.
    Bad,
    /// It is ready and has not served.
    Staged,
    #[serde(other)]
    Unknown,
}

/// An operation, as the host's history has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStatus {
    pub id: u64,
    pub verb: String,
    pub version: Option<Version>,
    pub who: String,
    pub begun: Timestamp,
    pub ended: Option<Timestamp>,
    pub outcome: Outcome,
    /// In words, where there is more to say.
    pub message: Option<String>,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Running,
    Done,
    Unchanged,
    Refused,
    Failed,
    /// The agent was stopped in the middle; at its next start it took the operation back.
    TakenBack,
    #[serde(other)]
    Unknown,
}
