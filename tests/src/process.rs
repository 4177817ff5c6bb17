//! Runs other programs and keeps what they said, because a bare exit code explains nothing.

use std::io::{self, Seek, Write};
use std::process::{Command, ExitStatus, Output, Stdio};

use thiserror::Error;

/// How many of a failed program's last lines are worth showing.
const TAIL_LINES: usize = 25;

/// Why another program did not do what it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// It could not be started at all.
    #[error("could not start `{command}`")]
    Start {
        /// The command line.
        command: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It ran and failed, and has said why on the terminal.
    #[error("`{command}` ended with {status}; it said why above")]
    Shown {
        /// The command line.
        command: String,
        /// The exit status in words.
        status: String,
    },
    /// It ran and failed.
    #[error("`{command}` ended with {status}; its last lines:\n{tail}")]
    Failed {
        /// The command line.
        command: String,
        /// The exit status in words.
        status: String,
        /// The end of its output.
        tail: String,
    },
}

/// Runs to the end and returns standard output.
pub fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output();
    finished(command, output)
}

fn finished(command: &Command, output: io::Result<Output>) -> Result<String, Error> {
    let output = output.map_err(|source| Error::Start {
        command: words(command),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        command: words(command),
        status: output.status.to_string(),
        tail: tail(&output),
    })
}

/// Runs to the end with this text as standard input.
pub fn feed(command: &mut Command, input: &str) -> Result<String, Error> {
    let started = |source| Error::Start {
        command: words(command),
        source,
    };
    let mut file = tempfile::tempfile().map_err(started)?;
    file.write_all(input.as_bytes())
        .and_then(|()| file.rewind())
        .map_err(started)?;
    let output = command.stdin(file).output();
    finished(command, output)
}

/// Runs to the end and returns everything, whatever the exit code was.
pub fn output(command: &mut Command) -> Result<Output, Error> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start {
            command: words(command),
            source,
        })
}

/// Runs to the end and returns standard output, while standard error goes to the terminal.
pub fn listen(command: &mut Command) -> Result<String, Error> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = output.map_err(|source| Error::Start {
        command: words(command),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(shown(command, output.status))
}

/// Runs with the terminal shared, for programs whose progress people want to see.
pub fn show(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|source| Error::Start {
        command: words(command),
        source,
    })?;
    if status.success() {
        return Ok(());
    }
    Err(shown(command, status))
}

fn shown(command: &Command, status: ExitStatus) -> Error {
    Error::Shown {
        command: words(command),
        status: status.to_string(),
    }
}

/// Whether the program could be run and succeeded.
pub fn passes(command: &mut Command) -> bool {
    output(command).is_ok_and(|output| output.status.success())
}

/// The command line, for messages.
pub fn words(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for word in command.get_args() {
        text.push(' ');
        text.push_str(&word.to_string_lossy());
    }
    text
}

fn tail(output: &Output) -> String {
    let mut all = String::from_utf8_lossy(&output.stdout).into_owned();
    all.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = all.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
