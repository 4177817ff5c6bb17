//! What a host keeps for an app beside its releases: settings, and what was said.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::settings::{SettingName, SettingValue, Settings};

/// Who says something about an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// Its slots.
    App,
    /// Its steps: of preparing and of migrating.
    Steps,
    /// What nginx could not do for it.
    Nginx,
    /// The host's agent.
    Agent,
    #[serde(other)]
    Unknown,
}

/// What was said, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub at: Timestamp,
    /// Such as `blue`, `step`, `nginx` or `agent`.
    pub of: String,
    pub text: String,
}

/// What is to become of an app's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum SettingsChange {
    /// All others stay as they are.
    Edit {
        set: Settings,
        unset: Vec<SettingName>,
    },
    /// They become what they were as this number.
    Restore { number: u64 },
}

/// An app's settings on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsState {
    pub now: SettingsNumber,
    /// Whether somebody has changed the file since, beside Longshore.
    pub by_hand: bool,
    /// Whether what serves was started with them; nothing where nothing serves.
    pub in_effect: Option<bool>,
    /// None where only the numbers are told.
    pub settings: Vec<SettingState>,
    /// What can be gone back to, the newest first.
    pub earlier: Vec<SettingsNumber>,
    /// With what each release served last, where that is known.
    #[serde(default)]
    pub served: Vec<ServedWith>,
}

/// A release, and the number of the settings that it was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedWith {
    pub version: Version,
    pub number: u64,
}

/// One version of the settings; 0 is before the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsNumber {
    pub number: u64,
    /// The number that it brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<u64>,
    pub who: String,
    pub at: Option<Timestamp>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingState {
    pub name: SettingName,
    pub digest: Sha256Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<SettingValue>,
}
