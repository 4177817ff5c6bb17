//! The socket: who comes in, and one thread for each connection.

mod attach;
mod bridge;
mod gate;
mod lock;
mod logs;
mod maintenance;
mod notify;
mod orders;
mod previews;
mod refusals;
mod run;
mod session;
mod settings;
mod signers;

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longshore_shared::wire::latest::FromAgent;
use thiserror::Error;

use crate::agent::Agent;
use crate::journal;
use crate::layout::{LEDGER, RUN, SOCKET, STATE};
use crate::ledger::{Ledger, LedgerError};
use crate::locks::Claimant;
use crate::names;
use crate::operation::{Trouble, reply_to};
use crate::peer::Writer;
use crate::recovery;

pub(crate) use bridge::{ConnectError, connect, open};
pub(crate) use orders::agent_version;

/// As many connections are served at once; the next one is turned away.
const MOST_CONNECTIONS: usize = 64;
/// So many more are kept free for root.
const FOR_ROOT: usize = 8;
const WHILE_SHORT: Duration = Duration::from_millis(200);
const GROUP: &str = "longshore";

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
    let agent = Arc::new(Agent::new(Ledger::open(Path::new(LEDGER))?));
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
    // Without write permission for the group nobody can connect before the group is set.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
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
            Err(error) if is_passing(&error) => {
                std::thread::sleep(WHILE_SHORT);
                continue;
            }
            Err(error) => return Err(ServeError::Accept(error)),
        };
        let most = if is_root(&stream) {
            MOST_CONNECTIONS + FOR_ROOT
        } else {
            MOST_CONNECTIONS
        };
        let place = Place::take(&open);
        if open.load(Ordering::SeqCst) > most {
            turn_away(stream);
            continue;
        }
        let agent = Arc::clone(agent);
        let connection = move || {
            converse(&agent, stream);
            drop(place);
        };
        let spawned = std::thread::Builder::new()
            .name("connection".to_owned())
            .spawn(connection);
        if let Err(error) = spawned {
            journal::say(&format!("a connection was not served: {error}"));
        }
    }
}

/// Running short of something for a moment must not end the agent, and with it what it is at.
fn is_passing(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [
        Errno::INTR,
        Errno::CONNABORTED,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
    ];
    Errno::from_io_error(error).is_some_and(|errno| passing.contains(&errno))
}

fn is_root(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid.is_root())
}

fn turn_away(stream: UnixStream) {
    let trouble = Trouble::refused(
        format!("{MOST_CONNECTIONS} connections to this agent are open already"),
        "wait until some have ended, or look with `longshore-agent status` as root who holds them",
    );
    let mut writer = Writer::new(stream);
    // Whoever does not want to hear it is turned away all the same.
    let _unheard = writer
        .greet()
        .and_then(|()| writer.send(&[FromAgent::Reply(Box::new(reply_to(trouble)))]));
}

/// One of the connections that are open, counted until it is dropped, however it ends.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a connection holds is given up however it ends.
struct Held<'a>(&'a Agent, Claimant);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.locks.release(self.1, None);
    }
}

/// One connection from its first to its last byte. What goes wrong with it ends it, and nothing
/// else; whoever is at the other end is told where that is still possible.
fn converse(agent: &Arc<Agent>, stream: UnixStream) {
    let claimant = agent.claimant();
    let _held = Held(agent, claimant);
    let conversation = || session::Session::greet(agent, claimant, stream)?.converse();
    if let Err(error) = conversation() {
        journal::say(&format!(
            "a connection ended: {}",
            crate::operation::chain(&error)
        ));
    }
}
