//! `longshore signers push ENV`: tell hosts whom to trust, signed by somebody whom they trust for
//! that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand};
use longshore_shared::name::HostName;
use longshore_shared::signature::SIGNERS_NAMESPACE;
use longshore_shared::wire::latest::{Order, Reply, SignedTrust};
use serde::Serialize;

use super::asking::Quiet;
use super::host_args::HostArgs;
use crate::build::Repository;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code::Exit;
use crate::fleet;
use crate::inventory::Host;
use crate::report::{failures, milliseconds, result_line};
use crate::rollout::{HostFailure, HostLink, Interrupts, Reach};
use crate::signing::SigningKey;
use crate::terminal_text::one_line;
use crate::trust::{self, PushPlan, Standing};

/// Change whom hosts trust to release
#[derive(Debug, Args)]
pub(crate) struct SignersArgs {
    #[command(subcommand)]
    pub(crate) what: SignersVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SignersVerb {
    Push(PushArgs),
}

/// Give an environment's hosts the signers, rules and revoked keys of the inventory
///
/// Puts together [fleet] signers and revoked, the signing_keys of [people], and the environment's
/// release_by and forward_only; shows what changes on each host; signs it, and sends it to all. A
/// host accepts it only if the key may sign for longshore-signers by what that host trusts now, and
/// only with a higher number than the last one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore signers push production
  longshore signers push production --plan     show what would change, and stop")]
pub(crate) struct PushArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// Sign with this SSH key; else the one that `longshore build` would take
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// Only show what would change
    #[arg(long)]
    pub(crate) plan: bool,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

/// A host, and what became of it.
struct Asked {
    host: HostName,
    told: Result<(HostLink, Standing), HostFailure>,
}

#[derive(Serialize)]
struct Line {
    host: HostName,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) async fn run(args: &SignersArgs, context: &Context) -> Result<Exit, CommandError> {
    let SignersVerb::Push(args) = &args.what;
    let begun = Instant::now();
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let rules = trust::compose(&inventory, environment)?;
    let chosen = args.hosts.selection().choose(environment, |_| true)?;
    let hosts: Vec<Host> = chosen.into_iter().cloned().collect();
    let reach = context.reach(environment, Arc::new(Quiet));
    let asked = fleet::on_all(hosts, |host| {
        let reach = reach.clone();
        async move {
            let told = ask(&reach, &host).await;
            Asked {
                host: host.name,
                told,
            }
        }
    })
    .await;

    let standings: Vec<Standing> = asked
        .iter()
        .filter_map(|asked| Some(asked.told.as_ref().ok()?.1.clone()))
        .collect();
    for asked in &asked {
        if let Ok((_, standing)) = &asked.told {
            for line in trust::differences(standing, &rules) {
                context
                    .ui
                    .answer(&one_line(&format!("{}: {line}", asked.host)));
            }
        }
    }
    let unreachable = asked.iter().any(|asked| asked.told.is_err());
    let plan = PushPlan::new(&environment.name, &rules, &standings);
    let (lines, serial, exit) = match plan {
        _ if standings.is_empty() || (unreachable && !args.hosts.skip_offline) || args.plan => {
            let exit = if unreachable && !args.hosts.skip_offline {
                Exit::Failed
            } else {
                Exit::Done
            };
            (close_all(asked, context).await, None, exit)
        }
        PushPlan::Nothing { serial } => (close_all(asked, context).await, Some(serial), Exit::Done),
        PushPlan::Push(file) => {
            let text = file.to_text().map_err(|error| {
                CommandError::configuration("the signers are too many for one file")
                    .caused_by(error)
            })?;
            let repository = Repository::find(&context.folder()?).ok();
            let key = SigningKey::find(
                args.key.as_deref(),
                repository.as_ref(),
                context.ui.as_ref(),
            )?;
            let signature = key.sign(SIGNERS_NAMESPACE, text.as_bytes())?;
            let signed = SignedTrust { text, signature };
            let lines = push(asked, &signed, context).await;
            let exit = exit_of(&lines, args.hosts.skip_offline);
            (lines, Some(file.serial), exit)
        }
    };
    say(&lines, serial, exit, context);
    let rest = Rest {
        environment: environment.name.as_str(),
        serial,
        seconds: milliseconds(begun.elapsed().as_secs_f64()),
        hosts: lines,
    };
    context.ui.machine(&result_line("signers", exit, rest));
    Ok(exit)
}

#[derive(Serialize)]
struct Rest<'a> {
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<u64>,
    seconds: f64,
    hosts: Vec<Line>,
}

async fn ask(reach: &Reach, host: &Host) -> Result<(HostLink, Standing), HostFailure> {
    let (link, installed) = trust::ask(reach, host).await?;
    let standing =
        trust::standing(installed.as_ref()).map_err(|error| HostFailure::of_error(&error))?;
    Ok((link, standing))
}

/// A host that was lost on the way has the signers, or has what it had: never half of them.
fn or_not(mut failure: HostFailure) -> HostFailure {
    failure.hints.push(
        "It trusts the new signers or those of before, whole: push again to see which.".to_owned(),
    );
    failure
}

/// Nothing is sent: says good-bye.
async fn close_all(asked: Vec<Asked>, context: &Context) -> Vec<Line> {
    let lines = fleet::on_all(asked, |asked| async move {
        match asked.told {
            Ok((link, _)) => {
                link.close().await;
                (asked.host, Ok("unchanged"))
            }
            Err(failure) => (asked.host, Err(("unreachable", failure))),
        }
    })
    .await;
    lines_of(lines, context)
}

async fn push(asked: Vec<Asked>, signed: &SignedTrust, context: &Context) -> Vec<Line> {
    let lines = fleet::on_all(asked, |asked| {
        let trust = signed.clone();
        async move {
            let (mut link, _) = match asked.told {
                Ok(told) => told,
                Err(failure) => return (asked.host, Err(("unreachable", failure))),
            };
            let order = Order::SetTrust { trust };
            let reply = link.order(order, None, &Interrupts::never()).await;
            link.close().await;
            let outcome = match reply {
                Ok(Reply::Trusted {
                    unchanged: false, ..
                }) => Ok("changed"),
                Ok(Reply::Trusted { .. }) => Ok("unchanged"),
                Ok(Reply::Refused { problems }) => {
                    Err(("refused", HostFailure::of_problems(&problems)))
                }
                Ok(Reply::Failed(failed)) => Err(("failed", HostFailure::of_failed(failed))),
                Ok(_) => Err(("failed", or_not(trust::unfitting()))),
                Err(error) => Err(("failed", or_not(error.failure()))),
            };
            (asked.host, outcome)
        }
    })
    .await;
    lines_of(lines, context)
}

type Outcome = Result<&'static str, (&'static str, HostFailure)>;

fn lines_of(outcomes: Vec<(HostName, Outcome)>, context: &Context) -> Vec<Line> {
    let failed = outcomes
        .iter()
        .filter_map(|(host, outcome)| Some((host, &outcome.as_ref().err()?.1)));
    for line in failures(failed) {
        context.ui.answer(&line);
    }
    outcomes
        .into_iter()
        .map(|(host, outcome)| match outcome {
            Ok(outcome) => Line {
                host,
                outcome,
                error: None,
            },
            Err((outcome, failure)) => Line {
                host,
                outcome,
                error: Some(failure.in_one_line()),
            },
        })
        .collect()
}

fn exit_of(lines: &[Line], skip_offline: bool) -> Exit {
    let any = |outcome: &str| lines.iter().any(|line| line.outcome == outcome);
    let failed = any("failed") || (any("unreachable") && !skip_offline);
    match (any("changed"), any("refused"), failed) {
        (_, false, false) => Exit::Done,
        (true, _, _) => Exit::Mixed,
        (false, true, _) => Exit::Refused,
        (false, false, true) => Exit::Failed,
    }
}

fn say(lines: &[Line], serial: Option<u64>, exit: Exit, context: &Context) {
    let number = serial.map_or_else(String::new, |serial| format!(" number {serial}"));
    for line in lines.iter().filter(|line| line.error.is_none()) {
        let what = match line.outcome {
            "changed" => format!("trusts the signers{number} now"),
            _ if serial.is_some() => format!("trusts the signers{number} already"),
            _ => "nothing was changed".to_owned(),
        };
        context.ui.answer(&format!("{}: {what}", line.host));
    }
    if exit == Exit::Mixed {
        context.ui.note(
            "The hosts do not all trust the same signers: mend what is said above and push again.",
        );
    }
}

impl From<trust::ComposeError> for CommandError {
    fn from(error: trust::ComposeError) -> Self {
        let hints = error.hints();
        CommandError::new(
            ErrorKind::Configuration,
            "the inventory does not tell whom to trust",
        )
        .caused_by(error)
        .hints(hints)
    }
}
