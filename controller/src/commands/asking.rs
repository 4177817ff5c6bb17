//! Asks many hosts the same question and keeps every answer, also that there is none.

use std::sync::Arc;
use std::time::Instant;

use longshore_shared::instance::Instance;
use longshore_shared::name::HostName;
use longshore_shared::wire::latest::{AppStatus, Order, Reply};
use semver::Version;
use serde::Serialize;

use crate::agent_client::ClientError;
use crate::context::Context;
use crate::error::CommandError;
use crate::event::{Report, RunEvent};
use crate::exit_code::Exit;
use crate::fleet;
use crate::inventory::{Environment, Host};
use crate::report::{failures, milliseconds, result_line};
use crate::rollout::{FailureKind, HostFailure, HostLink, Interrupts, LinkError, Reach};

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
    app: Option<Instance>,
    pub(super) hosts: Vec<Answer>,
    pub(super) exit: Exit,
    pub(super) seconds: f64,
}

/// A question is short; nothing of it is worth telling.
pub(super) struct Quiet;

impl Report for Quiet {
    fn event(&self, _event: RunEvent) {}
}

/// The status of all chosen hosts: of all apps, or of the named one, and of their previews.
pub(super) async fn ask(
    environment: &Environment,
    args: &HostArgs,
    context: &Context,
) -> Result<Answers, CommandError> {
    let begun = Instant::now();
    let app = context.app_if_named(environment)?;
    let chosen = args.selection().choose(environment, |host| {
        app.as_ref()
            .is_none_or(|app| app.hosts.contains(&host.name))
    })?;
    let reach = context.reach(environment, Arc::new(Quiet));
    let app = app.map(|app| app.instance.clone());
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
    let failed = hosts.iter().filter_map(|answer| answer.said.as_ref().err());
    let exit = exit_of(failed, args.skip_offline);
    Ok(Answers {
        app,
        hosts,
        exit,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

async fn status(reach: &Reach, host: &Host, app: Option<Instance>) -> Result<Said, HostFailure> {
    match answer_of(
        reach,
        host,
        Order::Status {
            app,
            previews: true,
        },
    )
    .await?
    {
        (agent, Reply::Status { apps }) => Ok(Said { agent, apps }),
        _ => Err(unknown_answer()),
    }
}

/// What the failures of some hosts come to: whoever cannot be reached may be passed over, and nobody
/// else.
pub(super) fn exit_of<'a>(
    failures: impl Iterator<Item = &'a HostFailure>,
    skip_offline: bool,
) -> Exit {
    let kinds: Vec<FailureKind> = failures
        .map(|failure| failure.kind)
        .filter(|kind| !(skip_offline && *kind == FailureKind::Unreachable))
        .collect();
    match kinds.as_slice() {
        [] => Exit::Done,
        kinds if kinds.iter().all(|kind| *kind == FailureKind::Refused) => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// Asks one host one question. Also the version of its agent; never a refusal.
pub(super) async fn answer_of(
    reach: &Reach,
    host: &Host,
    order: Order,
) -> Result<(Version, Reply), HostFailure> {
    let mut link = HostLink::open(reach, host)
        .await
        .map_err(|error| error.failure())?;
    let agent = link.hello().agent.clone();
    let reply = link.order(order, None, &Interrupts::never()).await;
    link.close().await;
    match reply.map_err(|error| error.failure())? {
        Reply::Refused { problems } => Err(HostFailure::of_problems(&problems)),
        Reply::Failed(failed) => Err(HostFailure::of_failed(failed)),
        answer => Ok((agent, answer)),
    }
}

pub(super) fn unknown_answer() -> HostFailure {
    LinkError::from(ClientError::UnknownAnswer).failure()
}

impl Answers {
    /// The last machine line: every host as it answered.
    pub(super) fn result_line(&self, verb: &str) -> String {
        #[derive(Serialize)]
        struct Rest<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            app: Option<&'a Instance>,
            seconds: f64,
            hosts: Vec<AnswerLine<'a>>,
        }
        let rest = Rest {
            app: self.app.as_ref(),
            seconds: milliseconds(self.seconds),
            hosts: self.hosts.iter().map(AnswerLine::new).collect(),
        };
        result_line(verb, self.exit, rest)
    }

    /// What went wrong with hosts that gave no answer, and what to do.
    pub(super) fn say_failures(&self, context: &Context) {
        let failed = self
            .hosts
            .iter()
            .filter_map(|answer| Some((&answer.host, answer.said.as_ref().err()?)));
        for line in failures(failed) {
            context.ui.answer(&line);
        }
    }
}

#[derive(Serialize)]
struct AnswerLine<'a> {
    host: &'a HostName,
    reachable: bool,
    agent: Option<&'a Version>,
    apps: &'a [AppStatus],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hints: &'a [String],
}

impl<'a> AnswerLine<'a> {
    fn new(answer: &'a Answer) -> Self {
        let said = answer.said.as_ref();
        let failure = said.err();
        AnswerLine {
            host: &answer.host,
            reachable: failure.is_none_or(|failure| failure.kind != FailureKind::Unreachable),
            agent: said.ok().map(|said| &said.agent),
            apps: said.map_or(&[], |said| &said.apps),
            error: failure.map(HostFailure::in_one_line),
            hints: failure.map_or(&[], |failure| &failure.hints),
        }
    }
}
