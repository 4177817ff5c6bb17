//! Previews: instances of an app beside the others, each for a branch and for a while.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is wanted of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewWish {
    /// The branch that it shows; nothing where there has to be one already.
    pub git_ref: Option<String>,
    /// For how long from now; else as long as the host says.
    pub seconds: Option<u64>,
}

/// A preview on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewState {
    pub git_ref: String,
    /// Who asked for it first.
    pub who: String,
    pub created: Timestamp,
    /// It is taken away then.
    pub until: Timestamp,
    /// Where people see it.
    pub url: Option<String>,
}
