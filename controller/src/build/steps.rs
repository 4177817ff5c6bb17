//! The `[build] run` steps, in the export and in an environment that says the same everywhere.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use longshore_shared::app_file::Build;
use longshore_shared::span::Span;
use thiserror::Error;

use super::BuildEvent;
use super::step_group::StepGroup;

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
    #[error(
        "the build step `{line}` was not done after {timeout}, and was stopped with all that it had started"
    )]
    TimedOut {
        line: String,
        timeout: Span,
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
    /// Who builds, where it is not to be the one who does.
    pub(super) user: Option<&'a str>,
}

pub(super) fn run(
    build: &Build,
    about: &About<'_>,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<(), StepError> {
    for line in &build.run {
        on_event(BuildEvent::Step(line.to_string()));
        run_one(line.as_str(), build.timeout, about, on_event)?;
    }
    Ok(())
}

fn run_one(
    line: &str,
    timeout: Span,
    about: &About<'_>,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<(), StepError> {
    let mut group =
        StepGroup::start(&mut command(line, about)).map_err(|source| StepError::Start {
            line: line.to_owned(),
            source,
        })?;
    let mut output: Vec<String> = Vec::new();
    let end = follow(&mut group, timeout, |news| {
        if let News::Line(text) = &news {
            if output.len() == LAST_LINES {
                output.remove(0);
            }
            output.push(text.clone());
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
    let line = line.to_owned();
    match end {
        End::Exit(status) if status.success() => Ok(()),
        End::Exit(status) => Err(StepError::Failed {
            line,
            status,
            output,
        }),
        End::TimedOut => Err(StepError::TimedOut {
            line,
            timeout,
            output,
        }),
    }
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
        .env_remove("LONGSHORE_IDENTITY")
        .env_remove("LANGUAGE")
        .env_remove("OLDPWD")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(user) = about.user {
        shell.env("USER", user).env("LOGNAME", user);
    }
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

enum End {
    Exit(ExitStatus),
    TimedOut,
}

fn follow(group: &mut StepGroup, timeout: Span, mut tell: impl FnMut(News)) -> io::Result<End> {
    let begun = Instant::now();
    let mut told = begun;
    let (lines, received) = mpsc::sync_channel(256);
    if let Some(output) = group.step.stdout.take() {
        read_lines(output, lines.clone());
    }
    if let Some(errors) = group.step.stderr.take() {
        read_lines(errors, lines.clone());
    }
    drop(lines);
    let mut quiet = 0;
    loop {
        let news = received.recv_timeout(TICK);
        if let Ok(line) = news {
            told = Instant::now();
            tell(News::Line(line));
        } else if let Some(status) = group.step.try_wait()? {
            quiet += 1;
            if quiet >= GRACE_TICKS || news == Err(RecvTimeoutError::Disconnected) {
                return Ok(End::Exit(status));
            }
            continue;
        } else if told.elapsed() >= LONGEST_SILENCE {
            told = Instant::now();
            tell(News::Silence(begun.elapsed().as_secs()));
        } else if news.is_err() {
            // Without its outputs there is nothing that would slow down the asking.
            std::thread::sleep(TICK / 10);
        }
        if begun.elapsed() >= timeout.duration() && group.step.try_wait()?.is_none() {
            group.end()?;
            return Ok(End::TimedOut);
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
