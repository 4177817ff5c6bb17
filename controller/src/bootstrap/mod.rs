//! `longshore bootstrap`: from a host with sshd and a login to one that takes deployments.
//!
//! inventory → desired host → contact → the agent's own `setup`, run there as root → what it says.

mod become_root;
mod carry;
mod contact;
mod conversation;
mod desired;
mod host_keys;
mod one_command;
mod one_host;
mod outcome;
mod password;
mod patience;
mod setup_gone;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use longshore_shared::name::HostName;
use longshore_shared::setup::{Desired, Plan};

use crate::inventory::Host;
use crate::ssh::{Keyring, Surroundings};

pub(crate) use carry::{Carried, CarryError};
pub(crate) use desired::{CertificateError, desired};
pub(crate) use host_keys::{AskHostKey, AssignError, HostKeys, assign};
pub(crate) use one_host::bootstrap;
pub(crate) use outcome::{Ended, Outcome};
pub(crate) use password::Passwords;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To the end.
    Change,
    /// As far as the plan.
    Plan,
}

/// What is the same for all hosts.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) agents: Arc<Carried>,
    pub(crate) host_keys: Arc<HostKeys>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) tell: Arc<dyn Tell>,
    /// The login that was asked for; nobody else is tried then.
    pub(crate) login: Option<String>,
    /// The inventory's; for as long as nobody else can log in.
    pub(crate) first_login: Option<String>,
    pub(crate) mode: Mode,
}

/// One host of it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) host: Host,
    pub(crate) desired: Desired,
}

/// Whoever shows how it goes, and answers for the person.
pub(crate) trait Tell: Send + Sync {
    /// What differs on a host.
    fn plan(&self, host: &HostName, plan: &Plan);
    /// A line about one host.
    fn say(&self, host: &HostName, line: &str);
    /// A line that a program of the host said: for whoever wants to see everything.
    fn detail(&self, host: &HostName, line: &str);
    /// The password with which somebody becomes root, if a person is there to type it.
    fn password(&self, user: &str, host: &HostName) -> Option<String>;
}
