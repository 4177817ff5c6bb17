//! The socket: who comes in, and one thread for each connection.

mod bridge;
mod notify;
mod orders;
pub(crate) mod peer;

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use thiserror::Error;

use crate::activate::cooldown::Cooldowns;
use crate::layout::{LEDGER, RUN, SOCKET, STATE};
use crate::ledger::{Ledger, LedgerError};
use crate::locks::{Claimant, Locks};
use crate::names;
use crate::operation::Operations;
use crate::recovery;

pub(crate) use bridge::{ConnectError, connect, open};
pub(crate) use orders::agent_version;

/// As many connections are served at once; the next one is turned away.
const MOST_CONNECTIONS: usize = 64;
const GROUP: &str = "longshore";

/// All that the threads of the agent share.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) locks: Locks,
    pub(crate) operations: Operations,
    pub(crate) cooldowns: Cooldowns,
    claimants: AtomicU64,
}

impl Agent {
    /// Somebody who can hold locks and is nobody else.
    pub(crate) fn claimant(&self) -> Claimant {
        Claimant(self.claimants.fetch_add(1, Ordering::Relaxed))
    }
}

/// Why the agent does not serve.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error("{path} cannot be made ready")]
    Prepare {
        path: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("there is no group {GROUP} on this host: make it with `groupadd --system {GROUP}`")]
    NoGroup,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("connections cannot be accepted")]
    Accept(#[source] std::io::Error),
}

/// Recovers what was interrupted, then serves until the process is ended.
pub(crate) fn serve() -> Result<(), ServeError> {
    let listener = prepare()?;
    let agent = Arc::new(Agent {
        ledger: Arc::new(Ledger::open(Path::new(LEDGER))?),
        locks: Locks::default(),
        operations: Operations::default(),
        cooldowns: Cooldowns::default(),
        claimants: AtomicU64::new(1),
    });
    recovery::recover(&agent);
    notify::ready();
    accept(&listener, &agent)
}

fn prepare() -> Result<UnixListener, ServeError> {
    let failed = |path| move |source| ServeError::Prepare { path, source };
    fs_err::create_dir_all(STATE).map_err(failed(STATE))?;
    let private = std::fs::Permissions::from_mode(0o700);
    fs_err::set_permissions(STATE, private).map_err(failed(STATE))?;
    fs_err::create_dir_all(RUN).map_err(failed(RUN))?;
    let group = names::group(GROUP).ok_or(ServeError::NoGroup)?;
    match fs_err::remove_file(SOCKET) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(SOCKET)(error));
        }
        _ => {}
    }
    // Under the agent's umask of 0077 nobody can connect before the group is set.
    let listener = UnixListener::bind(SOCKET).map_err(failed(SOCKET))?;
    chown(SOCKET, Some(0), Some(group)).map_err(failed(SOCKET))?;
    fs_err::set_permissions(SOCKET, std::fs::Permissions::from_mode(0o660))
        .map_err(failed(SOCKET))?;
    Ok(listener)
}

fn accept(listener: &UnixListener, agent: &Arc<Agent>) -> Result<(), ServeError> {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ServeError::Accept(error)),
        };
        if open.fetch_add(1, Ordering::SeqCst) >= MOST_CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (agent, open) = (Arc::clone(agent), Arc::clone(&open));
        let connection = move || {
            converse(&agent, stream);
            open.fetch_sub(1, Ordering::SeqCst);
        };
        let spawned = std::thread::Builder::new()
            .name("connection".to_owned())
            .spawn(connection);
        if let Err(error) = spawned {
            return Err(ServeError::Accept(error));
        }
    }
}

/// One connection from its first to its last byte. What goes wrong with it ends it, and nothing
/// else; whoever is at the other end is told where that is still possible.
fn converse(agent: &Arc<Agent>, stream: UnixStream) {
    let claimant = agent.claimant();
    let conversation = || orders::Session::greet(agent, claimant, stream)?.converse();
    if let Err(error) = conversation() {
        eprint_line(&format!(
            "a connection ended: {}",
            crate::operation::chain(&error)
        ));
    }
    agent.locks.release(claimant, None);
}

/// The agent's own journal is its standard error.
#[expect(clippy::print_stderr, reason = "standard error is the agent's journal")]
pub(crate) fn eprint_line(line: &str) {
    eprintln!("{line}");
}
