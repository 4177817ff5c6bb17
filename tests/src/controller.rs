//! Runs the real `longshore` binary as a person would, in a clean environment.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use thiserror::Error;

use crate::lab::Lab;
use crate::process;

/// Longer than any run takes, on the slowest machine.
const MOST_SECONDS: u32 = 900;

/// Why the controller could not be run.
#[derive(Debug, Error)]
pub enum Error {
    /// It could not be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// It could not be waited for.
    #[error("could not wait for the controller")]
    Wait(#[source] io::Error),
}

/// The controller with the files of one operator.
#[derive(Debug, Clone)]
pub struct Controller {
    binary: PathBuf,
    home: PathBuf,
    inventory: PathBuf,
    folder: PathBuf,
    app: Option<String>,
    user: Option<String>,
}

/// How one run ended.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output, one object a line with `--json`.
    pub events: Vec<Value>,
    /// Standard output as it is.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// The last line of `--json`.
    pub fn result(&self) -> Option<&Value> {
        self.events
            .last()
            .filter(|event| event["event"] == "result")
    }

    /// Everything, for the message of a failed assertion.
    pub fn all(&self) -> String {
        format!(
            "exit {:?}\nstdout:\n{}\nstderr:\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

impl Controller {
    /// The lab's operator with the lab's inventory.
    pub fn of(lab: &Lab, binary: &Path) -> Self {
        Self {
            binary: binary.to_path_buf(),
            home: lab.home(),
            inventory: lab.place().inventory(),
            folder: lab.place().folder(),
            app: None,
            user: None,
        }
    }

    /// The same with another inventory.
    #[must_use]
    pub fn with_inventory(mut self, inventory: &Path) -> Self {
        self.inventory = inventory.to_path_buf();
        self
    }

    /// The same for this app.
    #[must_use]
    pub fn for_app(mut self, app: &str) -> Self {
        self.app = Some(app.to_owned());
        self
    }

    /// The same, logging in as this user.
    #[must_use]
    pub fn as_user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// The same in this folder.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = folder.to_path_buf();
        self
    }

    /// The same with another home folder.
    #[must_use]
    pub fn with_home(mut self, home: &Path) -> Self {
        self.home = home.to_path_buf();
        self
    }

    /// A command that is not started yet, with nothing of this process's environment but what
    /// registries and the network need.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("LONGSHORE_INVENTORY", &self.inventory);
        command.env("LANG", "C.UTF-8").current_dir(&self.folder);
        for (key, value) in env::vars_os() {
            if key.to_str().is_some_and(passes) {
                command.env(key, value);
            }
        }
        if let Some(user) = &self.user {
            command.env("LONGSHORE_USER", user);
        }
        if let Some(app) = &self.app {
            command.args(["--app", app]);
        }
        command.args(words);
        command
    }

    /// Runs with `--json` and reads what it said.
    pub fn run(&self, words: &[&str]) -> Result<Answer, Error> {
        let mut command = self.command(words);
        command.args(["--json", "--yes"]);
        Ok(answer(&process::output(&mut bounded(&command))?))
    }

    /// Runs as it is and reads what it said.
    pub fn plain(&self, words: &[&str]) -> Result<Answer, Error> {
        Ok(answer(&process::output(&mut self.command(words))?))
    }

    /// Runs on this terminal and returns the exit code.
    pub fn show(&self, words: &[&str]) -> Result<Option<i32>, Error> {
        let status = self
            .command(words)
            .stdin(Stdio::null())
            .status()
            .map_err(Error::Wait)?;
        Ok(status.code())
    }
}

fn passes(key: &str) -> bool {
    let exact = [
        "PATH",
        "TERM",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
    ];
    let proxy = key.to_ascii_lowercase().ends_with("_proxy");
    exact.contains(&key) || proxy || key.starts_with("PIP_") || key.starts_with("PYENV_")
}

/// The same, ended after a while: a run that hangs must not take all others with it.
fn bounded(command: &Command) -> Command {
    let mut bounded = Command::new("timeout");
    bounded
        .args(["--kill-after=5", &MOST_SECONDS.to_string()])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            bounded.env(key, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        bounded.current_dir(folder);
    }
    bounded
}

/// What a finished run said.
pub fn answer(output: &std::process::Output) -> Answer {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Answer {
        code: output.status.code(),
        events: stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        stdout,
    }
}
