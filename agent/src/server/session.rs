//! Whom the agent talks with.

use std::sync::Arc;

use crate::agent::Agent;
use crate::locks::Claimant;
use crate::peer::Peer;

/// A connection whose other end is known.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) agent: &'a Arc<Agent>,
    pub(super) claimant: Claimant,
    pub(super) peer: Peer,
}
