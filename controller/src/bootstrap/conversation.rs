//! The lines between us and `longshore-agent setup` on one host.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longshore_shared::name::HostName;
use longshore_shared::setup::{FromSetup, LONGEST_LINE, ToSetup};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::Tell;
use super::carry::{self, Packed};
use super::contact::Contact;
use super::outcome::{Outcome, Stopped};
use super::patience::telling;
use super::setup_gone;
use crate::ssh::{AgentStream, Ending};

/// How long a host may take to clear up.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// As many lines that are no messages as a person reads.
const KEPT_LINES: usize = 5;
/// Sent in pieces of this size, so that it can be told how far it is.
const PIECE: usize = 256 * 1024;
const MB: usize = 1_000_000;

/// One run of `setup`.
pub(super) struct Conversation {
    stream: BufReader<AgentStream>,
    ending: Ending,
    user: String,
    /// What the host printed beside its messages.
    printed: Vec<String>,
}

impl Conversation {
    /// Starts the agent that is there, where it is the same as ours; else ours.
    pub(super) async fn begin(
        tell: &dyn Tell,
        host: &HostName,
        contact: &Contact,
        agent: &Packed,
    ) -> Result<Self, Stopped> {
        let there = contact.probed.agent == Some(agent.digest);
        let way = contact.probed.way;
        let command = if there {
            carry::installed(way, "setup")
        } else {
            agent.lay_down_and_run(way)
        };
        let stream = contact.session.run(&command).await;
        let stream = stream.map_err(|error| {
            Stopped::new(
                Outcome::Failed,
                error.to_string(),
                "log in there by hand to see why",
            )
        })?;
        let mut conversation = Self {
            ending: stream.ending(),
            stream: BufReader::new(stream),
            user: contact.target.user.clone(),
            printed: Vec::new(),
        };
        if !there {
            conversation.send(tell, host, &agent.gz).await?;
        }
        if let Some(password) = &contact.password {
            conversation
                .write(format!("{password}\n").as_bytes())
                .await?;
        }
        Ok(conversation)
    }

    /// The agent, on a line that may be thin.
    async fn send(&mut self, tell: &dyn Tell, host: &HostName, gz: &[u8]) -> Result<(), Stopped> {
        let sent = AtomicUsize::new(0);
        let what = || {
            let (done, all) = (sent.load(Ordering::Relaxed) / MB, gz.len().div_ceil(MB));
            format!("sending the agent ({done} of {all} MB)")
        };
        let work = async {
            for piece in gz.chunks(PIECE) {
                self.write(piece).await?;
                sent.fetch_add(piece.len(), Ordering::Relaxed);
            }
            Ok(())
        };
        telling(tell, host, what, work).await
    }

    pub(super) async fn say(&mut self, message: &ToSetup) -> Result<(), Stopped> {
        let mut line = serde_json::to_vec(message).map_err(|error| {
            Stopped::new(
                Outcome::Failed,
                error.to_string(),
                "this is a defect of Longshore",
            )
        })?;
        line.push(b'\n');
        self.write(&line).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        let mut written = self.stream.get_mut().write_all(bytes).await;
        if written.is_ok() {
            written = self.stream.get_mut().flush().await;
        }
        match written {
            Ok(()) => Ok(()),
            Err(_) => Err(self.gone().await),
        }
    }

    /// The next message. What is none was printed by a login script.
    pub(super) async fn hear(&mut self) -> Result<FromSetup, Stopped> {
        loop {
            let mut line = Vec::new();
            let most = LONGEST_LINE as u64;
            let read = (&mut self.stream)
                .take(most)
                .read_until(b'\n', &mut line)
                .await;
            if !matches!(read, Ok(1..)) {
                return Err(self.gone().await);
            }
            if let Ok(message) = serde_json::from_slice(&line) {
                return Ok(message);
            }
            self.printed
                .push(String::from_utf8_lossy(&line).trim().to_owned());
            if self.printed.len() > KEPT_LINES {
                self.printed.remove(0);
            }
        }
    }

    /// Has nothing more to say, and waits until the host has cleared up behind itself.
    pub(super) async fn end(mut self) {
        let over = async {
            self.stream.get_mut().shutdown().await?;
            tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await
        };
        // A host that does not end is left alone: all was said.
        drop(tokio::time::timeout(END_PATIENCE, over).await);
    }

    async fn gone(&self) -> Stopped {
        let end = self.ending.command_end().await;
        setup_gone::why(&end, &self.printed, &self.user)
    }
}
