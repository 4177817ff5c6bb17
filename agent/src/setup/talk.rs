//! The lines between the controller and `setup`.

use std::io::{self, BufRead, BufReader, Read as _, Write};

use longshore_shared::setup::{FromSetup, LONGEST_LINE, SetupFailure, ToSetup};

/// Both ends of the conversation.
pub(crate) struct Talk {
    input: Box<dyn BufRead>,
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
        Self {
            input: Box::new(BufReader::new(io::stdin())),
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
    pub(super) fn hear(&mut self) -> Result<ToSetup, SetupFailure> {
        let mut line = Vec::new();
        let read = (&mut self.input)
            .take(LONGEST_LINE as u64)
            .read_until(b'\n', &mut line);
        match read {
            Ok(0) => Err(lost("nothing more came")),
            Ok(_) => serde_json::from_slice(&line).map_err(|error| lost(&error.to_string())),
            Err(error) => Err(lost(&error.to_string())),
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
