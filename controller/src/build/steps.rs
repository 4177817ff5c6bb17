//! The `[build] run` steps, in the export and in an environment that says the same everywhere.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use longshore_shared::app_file::Command as Line;
use thiserror::Error;

use super::BuildEvent;

const LONGEST_LINE: u64 = 16 * 1024;
const LAST_LINES: usize = 20;
const TICK: Duration = Duration::from_millis(100);
/// A log that says nothing for longer looks dead.
const LONGEST_SILENCE: Duration = Duration::from_secs(25);
/// A step that leaves something running behind keeps its output open; it is not waited for.
const GRACE_TICKS: u32 = 10;

/// Why the steps did not all succeed.
#[derive(Debug, Error)]
pub enum StepError {
    #[error("cannot start `{line}`")]
    Start {
        line: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot tell how `{line}` ended")]
    Wait {
        line: String,
        #[source]
        source: io::Error,
    },
    #[error("the build step `{line}` failed ({status})")]
    Failed {
        line: String,
        status: ExitStatus,
        /// The last lines that it printed.
        output: Vec<String>,
    },
}

/// What steps are told about the release that they make.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) folder: &'a Path,
    pub(super) app: &'a str,
    pub(super) version: &'a str,
    pub(super) commit: &'a str,
    /// Seconds since 1970.
    pub(super) time: i64,
}

pub(super) fn run(
    lines: &[Line],
    about: &About<'_>,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<(), StepError> {
    for line in lines {
        on_event(BuildEvent::Step(line.to_string()));
        run_one(line.as_str(), about, on_event)?;
    }
    Ok(())
}

fn run_one(
    line: &str,
    about: &About<'_>,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<(), StepError> {
    let mut child = command(line, about)
        .spawn()
        .map_err(|source| StepError::Start {
            line: line.to_owned(),
            source,
        })?;
    let mut last: Vec<String> = Vec::new();
    let status = follow(&mut child, |news| {
        if let News::Line(text) = &news {
            if last.len() == LAST_LINES {
                last.remove(0);
            }
            last.push(text.clone());
        }
        on_event(match news {
            News::Line(text) => BuildEvent::Output(text),
            News::Silence(seconds) => BuildEvent::StillRunning { seconds },
        });
    })
    .map_err(|source| StepError::Wait {
        line: line.to_owned(),
        source,
    })?;
    if status.success() {
        return Ok(());
    }
    Err(StepError::Failed {
        line: line.to_owned(),
        status,
        output: last,
    })
}

fn command(line: &str, about: &About<'_>) -> Command {
    let mut shell = Command::new("/bin/sh");
    // The umask is the shell's to set: setting it here would change this whole process.
    shell
        .args(["-c", "umask 022 && exec /bin/sh -c \"$1\"", "sh", line])
        .current_dir(about.folder)
        .env("SOURCE_DATE_EPOCH", about.time.to_string())
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("PWD", about.folder)
        .env("LONGSHORE_APP", about.app)
        .env("LONGSHORE_VERSION", about.version)
        .env("LONGSHORE_COMMIT", about.commit)
        .env_remove("LONGSHORE_SIGNING_KEY")
        .env_remove("LANGUAGE")
        .env_remove("OLDPWD")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            shell.env_remove(name);
        }
    }
    shell
}

enum News {
    Line(String),
    /// The step has run for so many seconds, and not a word lately.
    Silence(u64),
}

fn follow(child: &mut Child, mut tell: impl FnMut(News)) -> io::Result<ExitStatus> {
    let begun = Instant::now();
    let mut told = begun;
    let (lines, received) = mpsc::sync_channel(256);
    if let Some(output) = child.stdout.take() {
        read_lines(output, lines.clone());
    }
    if let Some(errors) = child.stderr.take() {
        read_lines(errors, lines.clone());
    }
    drop(lines);
    let mut quiet = 0;
    loop {
        match received.recv_timeout(TICK) {
            Ok(line) => {
                told = Instant::now();
                tell(News::Line(line));
            }
            Err(RecvTimeoutError::Disconnected) => return child.wait(),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait()? {
                    quiet += 1;
                    if quiet >= GRACE_TICKS {
                        return Ok(status);
                    }
                } else if told.elapsed() >= LONGEST_SILENCE {
                    told = Instant::now();
                    tell(News::Silence(begun.elapsed().as_secs()));
                }
            }
        }
    }
}

fn read_lines(stream: impl Read + Send + 'static, lines: SyncSender<String>) {
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match (&mut stream)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
            {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            if lines.send(text.trim_end().to_owned()).is_err() {
                return;
            }
        }
    });
}
