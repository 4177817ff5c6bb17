//! Asks many hosts the same question and keeps every answer, also that there is none.

use std::sync::Arc;
use std::time::Instant;

use longshore_shared::name::{AppName, HostName};
use longshore_shared::wire::v1::{AppStatus, Order, Reply};
use semver::Version;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CommandError;
use crate::event::{Report, RunEvent};
use crate::exit_code::Exit;
use crate::fleet;
use crate::inventory::{Environment, Host};
use crate::rollout::{HostFailure, HostLink, Interrupts, LinkError, Reach};
use crate::terminal_text::one_line;

use super::host_args::HostArgs;

/// What one host said.
pub(super) struct Answer {
    pub(super) host: HostName,
    pub(super) said: Result<Said, HostFailure>,
}

pub(super) struct Said {
    pub(super) agent: Version,
    pub(super) apps: Vec<AppStatus>,
}

pub(super) struct Answers {
    pub(super) hosts: Vec<Answer>,
    pub(super) exit: Exit,
    pub(super) seconds: f64,
}

/// A question is short; nothing of it is worth telling.
struct Quiet;

impl Report for Quiet {
    fn event(&self, _event: RunEvent) {}
}

/// The status of all chosen hosts, those of the named app only if one is named.
pub(super) async fn ask(
    environment: &Environment,
    args: &HostArgs,
    context: &Context,
) -> Result<Answers, CommandError> {
    let begun = Instant::now();
    let app = context.app_if_named(environment)?;
    let chosen = args.selection().choose(environment, |host| {
        app.is_none_or(|app| app.hosts.contains(&host.name))
    })?;
    let reach = context.reach(environment, Arc::new(Quiet));
    let app = app.map(|app| app.name.clone());
    let hosts: Vec<Host> = chosen.into_iter().cloned().collect();
    let all = fleet::on_all(hosts, |host| {
        let (reach, app) = (reach.clone(), app.clone());
        async move {
            let said = status(&reach, &host, app).await;
            Answer {
                host: host.name,
                said,
            }
        }
    });
    let hosts = tokio::select! {
        hosts = all => hosts,
        // Nothing was begun, so there is nothing to finish.
        _ = tokio::signal::ctrl_c() => return Err(CommandError::new(
            crate::error::ErrorKind::Interrupted, "interrupted; nothing was changed",
        )),
    };
    let all_answered = hosts.iter().all(|answer| answer.said.is_ok());
    let exit = if all_answered || args.skip_offline {
        Exit::Done
    } else {
        Exit::Failed
    };
    Ok(Answers {
        hosts,
        exit,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

async fn status(reach: &Reach, host: &Host, app: Option<AppName>) -> Result<Said, HostFailure> {
    let mut link = HostLink::open(reach, host)
        .await
        .map_err(|error| error.failure())?;
    let agent = link.hello().agent.clone();
    let reply = link
        .order(Order::Status { app }, None, &Interrupts::never())
        .await;
    link.close().await;
    match reply {
        Ok(Reply::Status { apps }) => Ok(Said { agent, apps }),
        Ok(Reply::Refused { problems }) => Err(HostFailure {
            what: problems
                .iter()
                .map(|p| p.what.as_str())
                .collect::<Vec<_>>()
                .join("; "),
            hints: problems.into_iter().map(|p| p.next).collect(),
            ..HostFailure::default()
        }),
        Ok(Reply::Failed(failed)) => Err(HostFailure {
            what: failed.what,
            hints: vec![failed.next],
            ..HostFailure::default()
        }),
        Ok(_) => Err(LinkError::from(crate::agent_client::ClientError::UnknownAnswer).failure()),
        Err(error) => Err(error.failure()),
    }
}

impl Answers {
    /// Every host as the machine reads it.
    pub(super) fn to_json(&self) -> Vec<Value> {
        self.hosts.iter().map(Answer::to_json).collect()
    }

    /// What went wrong with hosts that gave no answer, and what to do.
    pub(super) fn say_failures(&self, context: &Context) {
        for answer in &self.hosts {
            let Err(failure) = &answer.said else { continue };
            context
                .ui
                .answer(&format!("\n{}: {}", answer.host, one_line(&failure.what)));
            for cause in &failure.causes {
                context.ui.answer(&format!("  {}", one_line(cause)));
            }
            for hint in &failure.hints {
                context.ui.answer(&format!("  → {}", one_line(hint)));
            }
        }
    }
}

impl Answer {
    fn to_json(&self) -> Value {
        match &self.said {
            Ok(said) => json!({
                "host": self.host, "reachable": true, "agent": said.agent, "apps": said.apps,
            }),
            Err(failure) => {
                let mut words = vec![failure.what.clone()];
                words.extend(failure.causes.iter().cloned());
                json!({
                    "host": self.host, "reachable": false, "agent": null, "apps": [],
                    "error": words.join(": "), "hints": failure.hints,
                })
            }
        }
    }
}
