//! `longshore status ENV`: what serves where.

use clap::Args;
use jiff::Timestamp;
use longshore_shared::wire::latest::{AppStatus, Outcome, ProcessState, ProcessStatus, Slot};
use semver::Version;

use super::asking::{self, Answers};
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::report::columns;
use crate::terminal_text::one_line;

/// Show what every host of an environment serves
///
/// Asks all hosts at once. A host that cannot be reached is shown with the reason, beside the
/// answers of all others.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore status production
  longshore status production --on @web --json")]
pub(crate) struct StatusArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &StatusArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let answers = asking::ask(environment, &args.hosts, context).await?;
    let header = [
        "HOST", "APP", "VERSION", "FROM", "SLOT", "HEALTH", "SINCE", "BY", "PREVIOUS",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut remarks = Vec::new();
    for answer in &answers.hosts {
        let host = answer.host.to_string();
        match &answer.said {
            Ok(said) if said.apps.is_empty() => rows.push(vec![host, "no app yet".to_owned()]),
            Ok(said) => {
                for app in &said.apps {
                    rows.push(row(&host, app));
                    remarks.extend(remark(&host, app));
                }
            }
            Err(_) => rows.push(vec![host, "does not answer".to_owned()]),
        }
    }
    for line in columns(&rows).into_iter().chain(beside(&answers)) {
        context.ui.answer(&one_line(&line));
    }
    for remark in remarks {
        context.ui.answer(&one_line(&remark));
    }
    answers.say_failures(context);
    context.ui.machine(&answers.result_line("status"));
    Ok(answers.exit)
}

/// What runs beside the web, where anything does.
fn beside(answers: &Answers) -> Vec<String> {
    let header = ["HOST", "APP", "PROCESS", "STATE", "SINCE", "NEXT"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for answer in &answers.hosts {
        for app in answer.said.iter().flat_map(|said| &said.apps) {
            rows.extend(app.processes.iter().map(|process| {
                let mut row = vec![answer.host.to_string(), app.app.to_string()];
                row.extend(process_row(process));
                row
            }));
        }
    }
    if rows.len() == 1 {
        return Vec::new();
    }
    std::iter::once(String::new())
        .chain(columns(&rows))
        .collect()
}

fn process_row(process: &ProcessStatus) -> [String; 4] {
    let state = match process.state {
        ProcessState::Running => "running",
        ProcessState::Restarting => "RESTARTING",
        ProcessState::Waiting => "waiting",
        ProcessState::Ending => "ending",
        ProcessState::Failed => "FAILED",
        ProcessState::Unknown => "?",
    };
    let ended = process.ended.iter().map(|how| format!(" ({how})"));
    let again = match process.restarts {
        0 => String::new(),
        times => format!(", started again {times} times"),
    };
    let state = format!("{state}{again}{}", ended.collect::<String>());
    [
        process.name.to_string(),
        state,
        time(process.since),
        time(process.next),
    ]
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "-".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

fn row(host: &str, app: &AppStatus) -> Vec<String> {
    let or_dash = |version: &Option<Version>| {
        version
            .as_ref()
            .map_or_else(|| "-".to_owned(), ToString::to_string)
    };
    let slot = match app.slot {
        Some(Slot::Blue) => "blue",
        Some(Slot::Green) => "green",
        None => "-",
    };
    let health = match app.healthy {
        Some(true) => "healthy",
        Some(false) => "NOT HEALTHY",
        None => "-",
    };
    vec![
        host.to_owned(),
        app.app.to_string(),
        or_dash(&app.version),
        app.git_ref.clone().unwrap_or_else(|| "-".to_owned()),
        slot.to_owned(),
        health.to_owned(),
        time(app.since),
        app.by.clone().unwrap_or_else(|| "-".to_owned()),
        or_dash(&app.previous),
    ]
}

/// What a person should know beyond the row: work under way, and how the last work ended if badly.
pub(super) fn remark(host: &str, app: &AppStatus) -> Vec<String> {
    let name = &app.app;
    let mut remarks = Vec::new();
    if let Some(state) = &app.maintenance {
        let (since, by) = (time(state.since), &state.by);
        remarks.push(format!(
            "{host}: {name} is closed for maintenance since {since}, by {by}"
        ));
    }
    if let Some(holder) = &app.locked_by {
        remarks.push(format!("{host}: {name} is locked by {holder}"));
    }
    if let Some(last) = &app.last {
        let how = match last.outcome {
            Outcome::Running => "is running",
            Outcome::Refused => "was refused",
            Outcome::Failed => "failed",
            Outcome::TakenBack => "was taken back",
            Outcome::Unknown => "ended in a way that this longshore does not know",
            Outcome::Done | Outcome::Unchanged => return remarks,
        };
        let version = last
            .version
            .as_ref()
            .map(|v| format!(" {v}"))
            .unwrap_or_default();
        let why = last
            .message
            .as_ref()
            .map(|m| format!(": {m}"))
            .unwrap_or_default();
        let verb = &last.verb;
        remarks.push(format!(
            "{host}: the last {verb} of {name}{version} {how}{why}"
        ));
    }
    remarks
}
