//! `[preview]`: what an instance of its own needs beside its release, such as a database.

use serde::{Deserialize, Serialize};

use super::{Command, InnerPath};
use crate::digest::Sha256Digest;
use crate::span::Span;

/// `[preview]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// What of the app's `shared/` it gets a copy of, before `create`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<InnerPath>,
    /// Once, before the first migration. Lines `NAME=value` of what it prints become settings of the
    /// preview alone.
    #[serde(default)]
    pub create: Vec<Command>,
    /// At the end of it. It may be run again, and where `create` did not come to its end.
    #[serde(default)]
    pub destroy: Vec<Command>,
    /// How long each of these commands may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout"
    )]
    pub timeout: Span,
}

/// In seconds. Others wait while one ends.
const LONGEST: u64 = 3600;
const TIMEOUT: Span = Span::seconds(600);

const fn default_timeout() -> Span {
    TIMEOUT
}

fn is_default_timeout(span: &Span) -> bool {
    *span == TIMEOUT
}

impl Default for Preview {
    fn default() -> Self {
        Self {
            copy: Vec::new(),
            create: Vec::new(),
            destroy: Vec::new(),
            timeout: TIMEOUT,
        }
    }
}

impl Preview {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// By what it is made. One that was made by another is not what a release needs.
    pub fn recipe(&self) -> Sha256Digest {
        let mut text = String::new();
        for path in &self.copy {
            text.push_str(&format!("copy {path}\n"));
        }
        for command in &self.create {
            text.push_str(&format!("create {command}\n"));
        }
        Sha256Digest::of(text.as_bytes())
    }

    /// Whether there is anything to be done before it can be used.
    pub fn makes_something(&self) -> bool {
        !self.copy.is_empty() || !self.create.is_empty()
    }

    pub(super) fn has_sound_timeout(&self) -> bool {
        (1..=LONGEST).contains(&self.timeout.duration().as_secs())
    }

    /// What is made has to be taken away again by somebody.
    pub(super) fn is_one_sided(&self) -> bool {
        !self.create.is_empty() && self.destroy.is_empty()
    }
}
