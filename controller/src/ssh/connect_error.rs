//! Why there is no session with a host, and what to do about it.

use std::io;
use std::time::Duration;

use russh::AlgorithmKind;
use thiserror::Error;

use super::gatekeeper::HandshakeError;
use super::host_key::HostKeyError;
use super::target::TargetError;

#[derive(Debug, Error)]
pub enum ConnectError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("the name `{host}` cannot be resolved")]
    Resolve {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{address} refuses connections")]
    Refused { address: String },
    #[error("cannot reach {address}")]
    Unreachable {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("{address} did not answer within {} s ({phase})", after.as_secs())]
    TimedOut {
        address: String,
        after: Duration,
        phase: &'static str,
    },
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    #[error("the SSH handshake with {address} failed")]
    Handshake {
        address: String,
        #[source]
        source: HandshakeError,
    },
    #[error("{user}@{address} was not let in")]
    Authentication {
        user: String,
        address: String,
        /// What was tried, one phrase each.
        tried: Vec<String>,
        /// What could have been tried and was not, and why.
        notes: Vec<String>,
    },
    #[error("the jump host `{jump}` could not be passed")]
    Jump {
        jump: String,
        #[source]
        source: Box<ConnectError>,
    },
    #[error("the jump host `{jump}` cannot reach {address}")]
    BeyondJump {
        jump: String,
        address: String,
        #[source]
        source: russh::Error,
    },
}

impl ConnectError {
    pub(super) fn of_handshake(address: &str, source: HandshakeError) -> Self {
        match source {
            HandshakeError::HostKey(error) => ConnectError::HostKey(error),
            HandshakeError::Ssh(russh::Error::NoCommonAlgo {
                kind: AlgorithmKind::Key,
                ours,
                theirs,
            }) => ConnectError::HostKey(HostKeyError::NoTrustedType {
                trusted: ours.join(", "),
                offered: theirs.join(", "),
            }),
            source => ConnectError::Handshake {
                address: address.to_owned(),
                source,
            },
        }
    }

    pub(super) fn of_tcp(address: &str, source: io::Error) -> Self {
        let address = address.to_owned();
        if source.kind() == io::ErrorKind::ConnectionRefused {
            ConnectError::Refused { address }
        } else {
            ConnectError::Unreachable { address, source }
        }
    }

    /// Whether somebody said no: the host to the person, or we to what the host shows.
    pub fn is_refusal(&self) -> bool {
        match self {
            ConnectError::Target(_)
            | ConnectError::HostKey(_)
            | ConnectError::Authentication { .. }
            | ConnectError::Handshake {
                source: HandshakeError::NotStrict,
                ..
            } => true,
            ConnectError::Jump { source, .. } => source.is_refusal(),
            ConnectError::Resolve { .. }
            | ConnectError::Refused { .. }
            | ConnectError::Unreachable { .. }
            | ConnectError::TimedOut { .. }
            | ConnectError::Handshake { .. }
            | ConnectError::BeyondJump { .. } => false,
        }
    }

    pub fn hints(&self) -> Vec<String> {
        match self {
            ConnectError::HostKey(error) => error.hints(),
            ConnectError::Jump { source, .. } => source.hints(),
            ConnectError::Target(TargetError::NoUser) => {
                vec!["Give `user` in the inventory, or set LONGSHORE_USER.".to_owned()]
            }
            ConnectError::Refused { .. } => {
                vec!["Is sshd running there, and is this its port?".to_owned()]
            }
            ConnectError::Authentication { tried, notes, .. } => {
                let mut hints = vec![match tried.as_slice() {
                    [] => "No key was tried.".to_owned(),
                    tried => format!("Tried: {}", tried.join("; ")),
                }];
                hints.extend(notes.iter().cloned());
                hints.push("An account comes with `longshore bootstrap`, for whoever is under [people] with one of these keys; LONGSHORE_USER logs in as another.".to_owned());
                hints
            }
            ConnectError::Resolve { .. }
            | ConnectError::Unreachable { .. }
            | ConnectError::TimedOut { .. }
            | ConnectError::BeyondJump { .. } => {
                vec!["Is the host up, and is its address in the inventory right?".to_owned()]
            }
            ConnectError::Target(_) | ConnectError::Handshake { .. } => Vec::new(),
        }
    }
}
