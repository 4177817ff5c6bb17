//! SSH to hosts: one session per host, the host proven before the person is.

mod agent_stream;
mod auth;
mod config_file;
mod config_line;
mod connect_error;
mod deadline;
mod dial;
mod gatekeeper;
mod host_key;
mod keyring;
mod known_hosts;
mod session;
mod target;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
mod traffic;

pub use agent_stream::{AgentGone, AgentStream, CommandEnd, Ending, OpenError};
pub use config_file::ConfigError;
pub use connect_error::ConnectError;
pub use gatekeeper::HandshakeError;
pub use host_key::{HostKeyError, fingerprint, key_line};
pub use keyring::{AskPassphrase, Keyring, Loaded, NobodyToAsk};
pub use known_hosts::{KnownHostsError, Place};
pub use session::Session;
pub use target::{HostTrust, Identities, Surroundings, Target, TargetError};
pub use traffic::Traffic;
