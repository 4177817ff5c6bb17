//! `longshore-agent`: its verbs, what they print, and how they exit.

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, Parser, ValueExt as _};
use longshore_shared::instance::Instance;
use longshore_shared::setup::SetupFailure;
use semver::Version;
use thiserror::Error;

use crate::activate::boot;
use crate::journal;
use crate::local::{self, LocalError};
use crate::operation::chain;
use crate::preview::{SnapshotError, snapshot};
use crate::server::{self, ConnectError, ServeError, agent_version};
use crate::setup;

const HELP: &str = "\
The agent of Longshore on this host.

Usage: longshore-agent VERB

On the host itself, as root:
  status                  what serves here, and what it could go back to
  rollback APP [VERSION]  go back to the newest good release before the live one, or to VERSION;
                          with --even-revoked also to one whose signing key was revoked
  logs APP                the last lines of the live slot
  history                 what was done here, the newest first
  run APP -- COMMAND      a command in the environment of what serves, as the app's user
  version                 the agent's version

Run by systemd and by sshd:
  serve                   the resident agent (longshore-agent.service)
  boot                    start what was live before a reboot (longshore-boot.service)
  connect                 join standard input and output to the agent's socket
  setup                   make the host what `longshore bootstrap` says on standard input
  snapshot FROM TO PATH.. copy databases of SQLite for a preview, each whole (as the app's user)

Exit codes: 0 done; 1 failed, and what served before serves; 2 wrong usage; 4 refused.
";

/// What the controller waits for over its new connection.
const CONFIRMED: &str = "confirmed\n";

enum Verb {
    Serve,
    Connect,
    Boot,
    Setup,
    Confirm(String),
    TakeBack,
    Version,
    Help,
    Status,
    History,
    Logs(Instance),
    Run(Instance, Vec<String>),
    Snapshot {
        from: PathBuf,
        to: PathBuf,
        paths: Vec<PathBuf>,
    },
    Rollback {
        app: Instance,
        version: Option<Version>,
        even_revoked: bool,
    },
}

#[derive(Debug, Error)]
enum CliError {
    #[error("{0}\nSee `longshore-agent --help`.")]
    Usage(String),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("{what}\n{next}")]
    Setup { what: String, next: String },
    /// It was said already, to whoever listened.
    #[error("this host is not set up")]
    NotSetUp,
    #[error("not every app came back; the journal of longshore-boot tells which")]
    Boot,
}

impl From<SetupFailure> for CliError {
    fn from(failure: SetupFailure) -> Self {
        let SetupFailure { what, next } = failure;
        Self::Setup { what, next }
    }
}

impl CliError {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Local(LocalError::Refused { .. } | LocalError::NothingEarlier { .. })
            | Self::Connect(ConnectError::NotAllowed) => 4,
            Self::Serve(_) | Self::Connect(_) | Self::Local(_) | Self::Boot => 1,
            Self::Setup { .. } | Self::NotSetUp | Self::Snapshot(_) => 1,
        }
    }
}

/// The whole program.
pub fn main_impl() -> ExitCode {
    match parse(Parser::from_env()).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            journal::say(&format!("longshore-agent: {}", words(&error)));
            ExitCode::from(error.code())
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode, CliError> {
    match verb {
        Verb::Serve => server::serve()?,
        Verb::Connect => server::connect()?,
        Verb::Boot if boot::boot() => {}
        Verb::Boot => return Err(CliError::Boot),
        Verb::Setup if setup::setup() => {}
        Verb::Setup => return Err(CliError::NotSetUp),
        Verb::Confirm(token) => {
            setup::confirm(&token)?;
            print(CONFIRMED);
        }
        Verb::TakeBack => setup::take_back()?,
        Verb::Version => print(&format!("longshore-agent {}\n", agent_version())),
        Verb::Help => print(HELP),
        Verb::Status => print(&local::status()?),
        Verb::History => print(&local::history()?),
        Verb::Logs(app) => print(&local::logs(&app)?),
        Verb::Run(app, command) => return Ok(ExitCode::from(local::run(&app, command)?)),
        Verb::Snapshot { from, to, paths } => snapshot(&from, &to, paths)?,
        Verb::Rollback {
            app,
            version,
            even_revoked,
        } => {
            let told = |step: &str| print(&format!("{step}\n"));
            let switched = local::rollback(&app, version, even_revoked, told)?;
            let (version, took) = (switched.version, switched.milliseconds);
            print(&format!("{app} {version} serves ({took} ms)\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(mut parser: Parser) -> Result<Verb, CliError> {
    let usage = |error: lexopt::Error| CliError::Usage(error.to_string());
    let mut words: Vec<String> = Vec::new();
    let (mut even_revoked, mut take_back, mut confirm) = (false, false, None);
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Verb::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Verb::Version),
            Arg::Long("even-revoked") => even_revoked = true,
            Arg::Long("take-back") => take_back = true,
            Arg::Long("confirm") => {
                let token = parser.value().and_then(|token| token.string());
                confirm = Some(token.map_err(usage)?);
            }
            Arg::Value(word) => words.push(word.string().map_err(usage)?),
            other => return Err(usage(other.unexpected())),
        }
    }
    let app = |word: &str| {
        word.parse::<Instance>()
            .map_err(|error| CliError::Usage(error.to_string()))
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let rollback = |name, version| {
        Ok(Verb::Rollback {
            app: app(name)?,
            version,
            even_revoked,
        })
    };
    match words.as_slice() {
        ["rollback", name] => rollback(name, None),
        ["rollback", name, version] => {
            let version = Version::parse(version)
                .map_err(|error| CliError::Usage(format!("{version:?} is no version: {error}")))?;
            rollback(name, Some(version))
        }
        _ if even_revoked => Err(CliError::Usage(
            "`--even-revoked` is about `rollback` alone".to_owned(),
        )),
        ["setup"] => Ok(match confirm {
            Some(token) => Verb::Confirm(token),
            None if take_back => Verb::TakeBack,
            None => Verb::Setup,
        }),
        _ if take_back || confirm.is_some() => Err(CliError::Usage(
            "`--confirm` and `--take-back` are about `setup` alone".to_owned(),
        )),
        ["snapshot", from, to, paths @ ..] if !paths.is_empty() => Ok(Verb::Snapshot {
            from: PathBuf::from(from),
            to: PathBuf::from(to),
            paths: paths.iter().map(PathBuf::from).collect(),
        }),
        ["serve"] => Ok(Verb::Serve),
        ["connect"] => Ok(Verb::Connect),
        ["boot"] => Ok(Verb::Boot),
        ["version"] => Ok(Verb::Version),
        ["help"] => Ok(Verb::Help),
        ["status"] => Ok(Verb::Status),
        ["history"] => Ok(Verb::History),
        ["logs", name] => Ok(Verb::Logs(app(name)?)),
        ["run", name, command @ ..] if !command.is_empty() => {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            Ok(Verb::Run(app(name)?, command))
        }
        [] => Err(CliError::Usage("a verb is missing".to_owned())),
        [verb, ..] => Err(CliError::Usage(format!("`{verb}` is not used like that"))),
    }
}

/// Messages of local verbs span lines on purpose; the causes of others go into one.
fn words(error: &CliError) -> String {
    match error {
        CliError::Local(error @ (LocalError::Refused { .. } | LocalError::Failed { .. })) => {
            error.to_string()
        }
        CliError::Setup { .. } => error.to_string(),
        CliError::Usage(words) => format!("{words}\nSee `longshore-agent --help`."),
        error => chain(error),
    }
}

/// A reader that has seen enough and left is no failure.
fn print(text: &str) {
    let _reader_left = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Verb, CliError> {
        parse(Parser::from_args(words))
    }

    #[test]
    fn wrong_usage_is_told_apart() {
        assert!(matches!(
            parse_words(&["rollback", "cortico", "1.0.0"]),
            Ok(Verb::Rollback {
                version: Some(_),
                even_revoked: false,
                ..
            })
        ));
        for words in [
            &[][..],
            &["dance"],
            &["logs"],
            &["rollback", "../x"],
            &["--force"],
            &["rollback", "a", "x"],
            &["status", "--even-revoked"],
        ] {
            assert!(
                matches!(parse_words(words), Err(CliError::Usage(_))),
                "{words:?}"
            );
        }
    }
}
