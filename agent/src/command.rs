//! Programs of the host that the agent calls, with what they said kept within bounds.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use thiserror::Error;

/// How much of a program's output is kept.
const LONGEST_OUTPUT: usize = 64 * 1024;
/// The longest line that is passed on.
const LONGEST_LINE: usize = 1000;
/// How many lines may wait to be passed on.
const MOST_WAITING: usize = 64;
/// How often it is looked whether a program that says nothing has ended.
const GLANCE: Duration = Duration::from_millis(100);
/// How long after its end it is listened on: until all is quiet, and no longer than that.
const QUIET: Duration = Duration::from_millis(300);
const LAST_WORDS: Duration = Duration::from_secs(5);

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

/// A line that a program says, or a piece of a long one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    /// The same line goes on with the next piece.
    pub(crate) goes_on: bool,
    pub(crate) output: Output,
}

/// Where a program says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Standard,
    Error,
}

/// Runs a program and hands on each line that it says while it runs, and no longer: what it leaves
/// behind is not waited for. Whether it succeeded.
pub(crate) fn follow(
    program: &str,
    arguments: &[String],
    mut line: impl FnMut(&str),
) -> Result<bool, CommandError> {
    follow_pieces(program, arguments, Outputs::Together, |said| {
        line(&said.text);
    })
}

/// How the two outputs of a program are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// As they come, all as if from standard output.
    Together,
    /// What is said in one is no part of a line in the other; which came first is not quite certain.
    Apart,
}

/// The same for whoever has to know what is one line, or where it was said.
pub(crate) fn follow_pieces(
    program: &str,
    arguments: &[String],
    outputs: Outputs,
    mut line: impl FnMut(&Said),
) -> Result<bool, CommandError> {
    let failed = |source| CommandError::Start {
        program: program.to_owned(),
        source,
    };
    let (sender, lines) = mpsc::sync_channel(MOST_WAITING);
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let errors = match outputs {
        Outputs::Together => writer.try_clone().map_err(failed)?,
        Outputs::Apart => {
            let (reader, errors) = std::io::pipe().map_err(failed)?;
            read_lines(reader, Output::Error, sender.clone());
            errors
        }
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors)
        .spawn()
        .map_err(failed)?;
    read_lines(reader, Output::Standard, sender);
    let mut ended = None;
    loop {
        if ended.is_none() && child.try_wait().map_err(failed)?.is_some() {
            ended = Some(Instant::now());
        }
        let patience = if ended.is_some() { QUIET } else { GLANCE };
        match lines.recv_timeout(patience) {
            Ok(said) => line(&said),
            Err(RecvTimeoutError::Timeout) if ended.is_none() => {}
            Err(_) => break,
        }
        // What it left behind may hold its output open, and talk, for as long as it likes.
        if ended.is_some_and(|moment| moment.elapsed() > LAST_WORDS) {
            break;
        }
    }
    Ok(child.wait().map_err(failed)?.success())
}

/// In a thread of their own, which ends with the last that can write.
fn read_lines(reader: impl Read + Send + 'static, output: Output, sender: SyncSender<Said>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut raw = Vec::new();
        loop {
            raw.clear();
            let limit = LONGEST_LINE as u64;
            match reader.by_ref().take(limit).read_until(b'\n', &mut raw) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = printable(&String::from_utf8_lossy(&raw));
                    // A last line may well end without one.
                    let goes_on = raw.len() == LONGEST_LINE && raw.last() != Some(&b'\n');
                    let said = Said {
                        text,
                        goes_on,
                        output,
                    };
                    if sender.send(said).is_err() {
                        return;
                    }
                }
            }
        }
    });
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
    #[test]
    fn pieces_of_one_line_are_told_from_lines() {
        let mut pieces = Vec::new();
        let script = "printf '%01200d\\nshort\\nlast' 7".to_owned();
        let words = ["-c".to_owned(), script];
        let done = follow_pieces("sh", &words, Outputs::Together, |said| {
            pieces.push((said.text.len(), said.goes_on));
        });
        assert!(done.unwrap());
        // The end of what is said ends a line, too.
        let expected = [(LONGEST_LINE, true), (200, false), (5, false), (4, false)];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn a_line_of_one_output_is_no_part_of_one_of_the_other() {
        let mut lines = Vec::new();
        let script = "printf 'copying ... ' >&2; echo A=1; echo done >&2".to_owned();
        let words = ["-c".to_owned(), script];
        let done = follow_pieces("sh", &words, Outputs::Apart, |said| {
            lines.push((said.output, said.text.clone()));
        });
        assert!(done.unwrap());
        assert!(lines.contains(&(Output::Standard, "A=1".to_owned())));
        assert!(lines.contains(&(Output::Error, "copying ... done".to_owned())));
    }

    #[test]
    fn what_a_program_leaves_behind_is_not_waited_for() {
        let begun = Instant::now();
        let mut lines = Vec::new();
        let script = "sleep 30 & echo first; echo last".to_owned();
        let done = follow("sh", &["-c".to_owned(), script], |line| {
            lines.push(line.to_owned())
        });
        assert!(done.unwrap());
        assert_eq!(lines, ["first", "last"]);
        assert!(begun.elapsed() < Duration::from_secs(10));
        // What it still had to say when it ended is heard, however slow the listener.
        let mut count = 0;
        let script = "seq 2000".to_owned();
        let done = follow("sh", &["-c".to_owned(), script], |_| {
            count += 1;
            std::thread::sleep(Duration::from_micros(100));
        });
        assert!(done.unwrap());
        assert_eq!(count, 2000);
    }
}
