//! The bytes between us and a command on a host, which nearly always is `longshore-agent connect`.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use thiserror::Error;
use tokio::io::{
    AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, SimplexStream, WriteHalf,
};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::terminal_text::last_lines;

/// How much of what the host's shell complains about is kept.
const LONGEST_COMPLAINT: usize = 16 * 1024;
/// Unread answers held for us before the host has to wait.
const READ_AHEAD: usize = 256 * 1024;
/// The exit status follows the end of the output at once, or not at all.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);
/// How many lines of a complaint are shown.
const SHOWN_LINES: usize = 5;

/// Reads what the agent says, writes what it is told.
pub struct AgentStream {
    reader: ReadHalf<SimplexStream>,
    writer: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    ending: Ending,
    /// Closes the channel when it is dropped.
    _in_use: oneshot::Sender<()>,
}

/// The channel could not be opened at all.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("the host opens no channel")]
    Channel(#[source] russh::Error),
    #[error("the host does not run commands for this key")]
    Command(#[source] russh::Error),
    #[error("the host refused to run longshore-agent")]
    Denied,
}

/// Why a stream ended that should have gone on.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum AgentGone {
    #[error("there is no longshore-agent on this host")]
    NoAgent,
    #[error("this user may not talk to the agent")]
    SocketDenied { said: String },
    #[error("the agent is not running: {said}")]
    NotRunning { said: String },
    #[error("longshore-agent ended{}: {said}", status.map(|s| format!(" with status {s}")).unwrap_or_default())]
    Ended { status: Option<u32>, said: String },
    #[error("the connection was lost")]
    Lost,
}

impl AgentGone {
    /// Whether calling again may help: the line was lost, or the agent is being started anew.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            AgentGone::NotRunning { .. } | AgentGone::Ended { .. } | AgentGone::Lost => true,
            AgentGone::NoAgent | AgentGone::SocketDenied { .. } => false,
        }
    }

    pub fn hints(&self) -> Vec<String> {
        match self {
            AgentGone::NoAgent => {
                vec!["Install the agent on it, or correct the address in the inventory.".to_owned()]
            }
            AgentGone::SocketDenied { .. } => vec![
                "Put the user into the group `longshore` on the host: usermod -aG longshore USER"
                    .to_owned(),
            ],
            AgentGone::NotRunning { .. } => {
                vec!["On the host: systemctl status longshore-agent".to_owned()]
            }
            AgentGone::Ended { .. } | AgentGone::Lost => Vec::new(),
        }
    }
}

/// Tells, once the stream has ended, how.
#[derive(Debug, Clone)]
pub struct Ending {
    kept: Arc<Mutex<Kept>>,
    over: watch::Receiver<bool>,
}

/// How a command ended, whatever it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandEnd {
    /// Nothing where a signal ended it, or the connection was lost.
    pub status: Option<u32>,
    pub by_signal: bool,
    /// What it complained about.
    pub complaint: String,
}

#[derive(Debug, Default)]
struct Kept {
    complaint: Vec<u8>,
    status: Option<u32>,
    signal: bool,
}

impl AgentStream {
    pub(super) async fn start(channel: Channel<Msg>, command: &str) -> Result<Self, OpenError> {
        channel
            .exec(true, command)
            .await
            .map_err(OpenError::Command)?;
        let (mut read, write) = channel.split();
        loop {
            match read.wait().await {
                Some(ChannelMsg::Success) => break,
                Some(ChannelMsg::Failure) => return Err(OpenError::Denied),
                Some(ChannelMsg::Close) | None => {
                    return Err(OpenError::Command(russh::Error::Disconnect));
                }
                // The window may be adjusted before the answer comes.
                Some(_) => {}
            }
        }
        let (reader, sink) = tokio::io::simplex(READ_AHEAD);
        let (over_tx, over) = watch::channel(false);
        let kept = Arc::new(Mutex::new(Kept::default()));
        let writer = Box::new(write.make_writer());
        let (in_use, dropped) = oneshot::channel();
        tokio::spawn(pump(Pump {
            read,
            write,
            sink,
            kept: Arc::clone(&kept),
            dropped,
            over: over_tx,
        }));
        Ok(AgentStream {
            reader,
            writer,
            ending: Ending { kept, over },
            _in_use: in_use,
        })
    }

    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }
}

/// What carries the host's words to us until the channel ends or nobody listens any more.
struct Pump {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    sink: WriteHalf<SimplexStream>,
    kept: Arc<Mutex<Kept>>,
    dropped: oneshot::Receiver<()>,
    over: watch::Sender<bool>,
}

async fn pump(mut pump: Pump) {
    let mut reading = true;
    let mut in_use = true;
    // A host that has ended its output is about to tell how its command ended, and would not tell
    // it into a channel that we had closed.
    let mut host_ended = false;
    let mut closed = false;
    let close_at = tokio::time::sleep(Duration::MAX);
    tokio::pin!(close_at);
    loop {
        let message = tokio::select! {
            message = pump.read.wait() => message,
            _ = &mut pump.dropped, if in_use => {
                in_use = false;
                let patience = if host_ended { STATUS_PATIENCE } else { Duration::ZERO };
                close_at.as_mut().reset(Instant::now() + patience);
                continue;
            }
            // The library closes no channel by itself; a closed session closes all anyway.
            () = &mut close_at, if !in_use && !closed => {
                closed = true;
                drop(pump.write.close().await);
                continue;
            }
        };
        match message {
            Some(ChannelMsg::Data { data }) if reading => {
                // When nobody reads any more the rest is only drained, so that the status can come.
                reading = pump.sink.write_all(&data).await.is_ok();
            }
            Some(ChannelMsg::Eof) => {
                reading = false;
                host_ended = true;
                drop(pump.sink.shutdown().await);
            }
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                let mut kept = lock(&pump.kept);
                let room = LONGEST_COMPLAINT.saturating_sub(kept.complaint.len());
                kept.complaint.extend(data.iter().take(room));
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                lock(&pump.kept).status = Some(exit_status);
            }
            Some(ChannelMsg::ExitSignal { .. }) => lock(&pump.kept).signal = true,
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
    }
    drop(pump.sink.shutdown().await);
    pump.over.send_replace(true);
}

/// A panic while the lock was held leaves nothing half written here.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ending {
    /// Waits a moment for the exit status and says what it means of `longshore-agent connect`.
    pub async fn explain(&self) -> AgentGone {
        let end = self.command_end().await;
        meaning(end.status, end.by_signal, &end.complaint)
    }

    /// Waits a moment for the exit status; what it means, the caller knows.
    pub async fn command_end(&self) -> CommandEnd {
        let mut over = self.over.clone();
        let ended = over.wait_for(|over| *over);
        // Both a timeout and a pump that is gone leave what is known so far.
        drop(tokio::time::timeout(STATUS_PATIENCE, ended).await);
        let kept = lock(&self.kept);
        CommandEnd {
            status: kept.status,
            by_signal: kept.signal,
            complaint: String::from_utf8_lossy(&kept.complaint).into_owned(),
        }
    }
}

fn meaning(status: Option<u32>, signal: bool, complaint: &str) -> AgentGone {
    let said = last_lines(complaint.trim(), SHOWN_LINES).join(" | ");
    let has = |words: &str| complaint.contains(words);
    match status {
        Some(126 | 127) => AgentGone::NoAgent,
        Some(_)
            if has("longshore-agent: not found") || has("longshore-agent: command not found") =>
        {
            AgentGone::NoAgent
        }
        Some(_) if has("may not talk to the agent") || has("ermission denied") => {
            AgentGone::SocketDenied { said }
        }
        Some(_) if has("the agent does not run") => AgentGone::NotRunning { said },
        Some(status) if status != 0 && (has("No such file") || has("onnection refused")) => {
            AgentGone::NotRunning { said }
        }
        Some(status) => AgentGone::Ended {
            status: Some(status),
            said: or_nothing(said),
        },
        None if signal => AgentGone::Ended {
            status: None,
            said: or_nothing(said),
        },
        None => AgentGone::Lost,
    }
}

fn or_nothing(said: String) -> String {
    if said.is_empty() {
        "it gave no reason".to_owned()
    } else {
        said
    }
}

impl AsyncRead for AgentStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for AgentStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // The channel takes an empty write for an error.
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

impl fmt::Debug for AgentStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentStream")
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shell_says_is_understood() {
        assert_eq!(
            meaning(Some(127), false, "sh: 1: longshore-agent: not found"),
            AgentGone::NoAgent
        );
        assert!(matches!(
            meaning(
                Some(1),
                false,
                "error: cannot connect to /run/longshore/agent.sock\nCaused by: Permission denied (os error 13)"
            ),
            AgentGone::SocketDenied { .. }
        ));
        assert!(matches!(
            meaning(
                Some(1),
                false,
                "Caused by: No such file or directory (os error 2)"
            ),
            AgentGone::NotRunning { .. }
        ));
        assert_eq!(meaning(None, false, ""), AgentGone::Lost);
        let AgentGone::Ended { said, .. } = meaning(Some(1), false, "\u{1b}[31mno") else {
            panic!()
        };
        assert!(!said.contains('\u{1b}'));
    }
}
