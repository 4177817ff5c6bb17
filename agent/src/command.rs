//! Programs of the host that the agent calls, with what they said kept within bounds.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};

use thiserror::Error;

/// How much of a program's output is kept.
const LONGEST_OUTPUT: usize = 64 * 1024;
/// The longest line that is passed on.
const LONGEST_LINE: usize = 1000;

/// Why a program of the host did not do its work.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("`{program}` cannot be started")]
    Start {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{command}` failed ({status}): {said}")]
    Failed {
        command: String,
        status: String,
        said: String,
    },
}

/// Runs a program to its end and gives back what it said on both outputs.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String, CommandError> {
    let (succeeded, status, said) = attempt(program, arguments)?;
    if succeeded {
        return Ok(said);
    }
    let words: Vec<_> = arguments
        .iter()
        .map(|word| word.as_ref().to_string_lossy())
        .collect();
    let command = format!("{program} {}", words.join(" "));
    Err(CommandError::Failed {
        command,
        status,
        said: said.trim().to_owned(),
    })
}

/// Runs a program whose failure is an answer too: whether it succeeded, and what it said.
pub(crate) fn ask<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
) -> Result<(bool, String), CommandError> {
    attempt(program, arguments).map(|(succeeded, _, said)| (succeeded, said))
}

fn attempt<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
) -> Result<(bool, String, String), CommandError> {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("SYSTEMD_COLORS", "0")
        // It is the agent that systemd waits to hear from.
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CommandError::Start {
            program: program.to_owned(),
            source,
        })?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    // What matters is said last.
    let surplus = said.len().saturating_sub(LONGEST_OUTPUT);
    said.drain(..said.ceil_char_boundary(surplus));
    Ok((output.status.success(), output.status.to_string(), said))
}

/// Runs a program and hands on each line that it says while it runs. Whether it succeeded.
pub(crate) fn follow(
    program: &str,
    arguments: &[String],
    mut line: impl FnMut(&str),
) -> Result<bool, CommandError> {
    let failed = |source| CommandError::Start {
        program: program.to_owned(),
        source,
    };
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let mut child = {
        let both = writer.try_clone().map_err(failed)?;
        Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(both)
            .spawn()
            .map_err(failed)?
    };
    let mut reader = BufReader::new(reader);
    let mut raw = Vec::new();
    loop {
        raw.clear();
        let limit = LONGEST_LINE as u64;
        match reader.by_ref().take(limit).read_until(b'\n', &mut raw) {
            Ok(0) | Err(_) => break,
            Ok(_) => line(&printable(&String::from_utf8_lossy(&raw))),
        }
    }
    Ok(child.wait().map_err(failed)?.success())
}

/// Takes out what could steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    let text = text.trim_end();
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_called_and_what_it_said() {
        let error = run("sh", &["-c", "echo why >&2; exit 3"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sh -c") && error.contains("exit status: 3") && error.contains("why")
        );
        assert!(matches!(
            run("no-such-program", &[""]),
            Err(CommandError::Start { .. })
        ));
    }

    #[test]
    fn lines_come_from_both_outputs_and_steer_no_terminal() {
        let mut lines = Vec::new();
        let script = "printf 'a\\033[2J\\n'; echo b >&2".to_owned();
        let done = follow("sh", &["-c".to_owned(), script], |line| {
            lines.push(line.to_owned())
        });
        assert!(done.unwrap());
        assert_eq!(lines, ["a\u{fffd}[2J", "b"]);
    }
}
