//! `longshore exec ENV -- COMMAND`: one command on all hosts, as whoever you log in as.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use longshore_shared::name::HostName;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code::Exit;
use crate::fleet;
use crate::inventory::Host;
use crate::report::{ByHost, failures, milliseconds, result_line};
use crate::rollout::HostFailure;
use crate::ssh::{Keyring, Session, Surroundings, Target};
use crate::ui::Ui;

/// A line that is longer comes in parts.
const LONGEST_LINE: u64 = 1 << 20;

/// Run a command on all hosts and see what each says
///
/// Logs in as you, as `longshore ssh` does, and runs the command on all hosts at once. What they print
/// comes line by line, each with its host. Several words are one command with these words; a single
/// one is a line for the shell. Ends with the exit code of the worst.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore exec production -- uptime
  longshore exec production --on @web -- 'df -h / | tail -1'")]
pub(crate) struct ExecArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,

    /// What to run
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// What became of one host.
struct Ended {
    host: HostName,
    status: Result<u32, HostFailure>,
    is_left_out: bool,
}

pub(crate) async fn run(args: &ExecArgs, context: &Context) -> Result<Exit, CommandError> {
    let begun = Instant::now();
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let chosen = args.hosts.selection().choose(environment, |_| true)?;
    let hosts: Vec<Host> = chosen.into_iter().cloned().collect();
    let names: Vec<String> = hosts.iter().map(|host| host.name.to_string()).collect();
    let run = Arc::new(Run {
        around: Surroundings::of_this_process(),
        keyring: Keyring::new(context.ui.clone()),
        command: in_a_shell(&args.command),
        lines: ByHost::new(
            hosts.iter().map(|host| host.name.clone()).collect(),
            &context.ui,
        ),
        ui: Arc::clone(&context.ui),
    });
    let all = fleet::on_all(hosts, |host| {
        let run = Arc::clone(&run);
        async move { run.on(host).await }
    });
    let ended = tokio::select! {
        ended = all => ended,
        _ = tokio::signal::ctrl_c() => return Err(CommandError::new(
            ErrorKind::Interrupted,
            format!("interrupted; what was begun may go on on {}", names.join(", ")),
        )
        .hint(format!("See to it: longshore exec {} -- 'ps -ef'", args.environment))),
    };
    let exit = worst(&ended, args.hosts.skip_offline);
    for one in &ended {
        if let Ok(status @ 1..) = one.status {
            context.ui.note(&format!("{}: exit {status}", one.host));
        }
    }
    let failed = ended
        .iter()
        .filter_map(|one| Some((&one.host, one.status.as_ref().err()?)));
    for line in failures(failed) {
        context.ui.note(&line);
    }
    let rest = Rest {
        seconds: milliseconds(begun.elapsed().as_secs_f64()),
        hosts: ended.iter().map(Line::of).collect(),
    };
    context.ui.machine(&result_line("exec", exit, rest));
    Ok(exit)
}

struct Run {
    around: Surroundings,
    keyring: Keyring,
    command: String,
    lines: ByHost,
    ui: Arc<Ui>,
}

impl Run {
    async fn on(&self, host: Host) -> Ended {
        let name = host.name.clone();
        let failed = |failure, is_left_out| Ended {
            host: name.clone(),
            status: Err(failure),
            is_left_out,
        };
        let target = match Target::of_host(&host, &self.around) {
            Ok(target) => target,
            Err(error) => return failed(HostFailure::of_error(&error), false),
        };
        let session = match Session::connect(&target, &self.keyring).await {
            Ok(session) => session,
            Err(error) => {
                let mut failure = HostFailure::of_error(&error);
                failure.hints = error.hints();
                return failed(failure, !error.is_refusal());
            }
        };
        let status = self.in_session(&session, &name).await;
        session.close().await;
        match status {
            Ok(status) => Ended {
                host: name,
                status: Ok(status),
                is_left_out: false,
            },
            Err(failure) => failed(failure, false),
        }
    }

    async fn in_session(&self, session: &Session, host: &HostName) -> Result<u32, HostFailure> {
        let stream = session.run(&self.command).await;
        let stream = stream.map_err(|error| HostFailure::of_error(&error))?;
        let ending = stream.ending();
        self.show(stream, host).await;
        let end = ending.command_end().await;
        match end.status {
            Some(status) => Ok(status),
            None => Err(HostFailure {
                what: match end.by_signal {
                    true => "a signal ended the command".to_owned(),
                    false => "the connection was lost before the command had ended".to_owned(),
                },
                ..HostFailure::default()
            }),
        }
    }

    async fn show(&self, from: impl AsyncRead + Unpin, host: &HostName) {
        let mut from = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            match (&mut from)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
                .await
            {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if self.ui.is_json() {
                self.ui.machine(&output_line(host, line));
            } else {
                self.ui.answer(&self.lines.line(host, line));
            }
        }
    }
}

/// For any login shell the same: one command for `/bin/sh`, whose complaints are output too.
fn in_a_shell(words: &[String]) -> String {
    let line = match words {
        [line] => line.clone(),
        words => words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" "),
    };
    format!("exec /bin/sh -c {} 2>&1", quoted(&line))
}

pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn worst(ended: &[Ended], skip_offline: bool) -> Exit {
    let code = |one: &Ended| match &one.status {
        Ok(status) => u8::try_from(*status).unwrap_or(u8::MAX),
        Err(_) if skip_offline && one.is_left_out => 0,
        Err(_) => 1,
    };
    Exit::Command(ended.iter().map(code).max().unwrap_or(0))
}

fn output_line(host: &HostName, text: &str) -> String {
    serde_json::json!({"event": "output", "host": host, "text": text}).to_string()
}

#[derive(Serialize)]
struct Rest<'a> {
    seconds: f64,
    hosts: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    host: &'a HostName,
    reachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Line<'a> {
    fn of(ended: &'a Ended) -> Self {
        Line {
            host: &ended.host,
            reachable: ended.status.is_ok(),
            status: ended.status.as_ref().ok().copied(),
            error: ended.status.as_ref().err().map(HostFailure::in_one_line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words_and_a_line_is_the_shells() {
        let words = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            in_a_shell(&words)
        };
        assert_eq!(
            words(&["df -h | tail"]),
            "exec /bin/sh -c 'df -h | tail' 2>&1"
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &words(&["printf", "%s.", "a b", "it's", "$HOME"])])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a b.it's.$HOME.");
    }
}
