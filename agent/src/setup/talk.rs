//! The lines between the controller and `setup`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use longshore_shared::setup::{FromSetup, LONGEST_LINE, SetupFailure, ToSetup};

/// Both ends of the conversation.
pub(crate) struct Talk {
    /// Read in a thread of its own, so that a line that went dead without a word is waited for no
    /// longer than was said.
    input: Receiver<io::Result<Vec<u8>>>,
    output: Box<dyn Write>,
    /// Nobody listens any more: what was begun is still brought to its end.
    left: bool,
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Talk")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Talk {
    pub(super) fn on_standard_streams() -> Self {
        let (sender, input) = sync_channel(1);
        std::thread::spawn(move || {
            let mut stdin = BufReader::new(io::stdin());
            loop {
                let mut line = Vec::new();
                let read = (&mut stdin)
                    .take(LONGEST_LINE as u64)
                    .read_until(b'\n', &mut line);
                let ends = !matches!(read, Ok(1..));
                if sender.send(read.map(|_| line)).is_err() || ends {
                    return;
                }
            }
        });
        Self {
            input,
            output: Box::new(io::stdout()),
            left: false,
        }
    }

    /// Says something to whoever still listens.
    pub(super) fn say(&mut self, message: &FromSetup) {
        if self.left {
            return;
        }
        let said = serde_json::to_vec(message)
            .map_err(io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                self.output.write_all(&line)?;
                self.output.flush()
            });
        self.left = said.is_err();
    }

    /// Nothing new is begun once nobody listens any more; the next run goes on from there.
    pub(super) fn still_heard(&self) -> Result<(), SetupFailure> {
        if self.left {
            return Err(lost("it listens no more"));
        }
        Ok(())
    }

    pub(super) fn said(&mut self, line: &str) {
        if !line.trim().is_empty() {
            self.say(&FromSetup::Said(line.to_owned()));
        }
    }

    /// The next message; there is none when the connection was lost.
    pub(super) fn hear(&mut self, patience: Duration) -> Result<ToSetup, SetupFailure> {
        match self.input.recv_timeout(patience) {
            Ok(Ok(line)) if line.is_empty() => Err(lost("nothing more came")),
            Ok(Ok(line)) => serde_json::from_slice(&line).map_err(|error| lost(&error.to_string())),
            Ok(Err(error)) => Err(lost(&error.to_string())),
            Err(RecvTimeoutError::Timeout) => Err(lost("it was silent for too long")),
            Err(RecvTimeoutError::Disconnected) => Err(lost("nothing more came")),
        }
    }
}

fn lost(why: &str) -> SetupFailure {
    SetupFailure {
        what: format!("the controller left: {why}"),
        next: "bootstrap again: it goes on where it stopped".to_owned(),
    }
}

pub(super) fn out_of_turn() -> SetupFailure {
    SetupFailure {
        what: "the controller said something out of turn".to_owned(),
        next: "bootstrap again".to_owned(),
    }
}
