//! `longshore preview renew|down ENV NAME`: later, or now.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use longshore_shared::instance::Instance;
use longshore_shared::name::AppName;
use longshore_shared::span::Span;
use longshore_shared::wire::latest::{AppStatus, Order, PreviewWish, Problem, Reply};
use serde::Serialize;

use super::span;
use crate::commands::asking::{exit_of, unknown_answer};
use crate::commands::fleet_run;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::inventory::HostSelection;
use crate::plan::Plan;
use crate::report::{RunReport, failures, milliseconds, result_line};
use crate::rollout::{FailureKind, HostFailure, HostLink, Interrupts, Outcome, Reach};

pub(super) const RENEW: &str = "preview renew";
pub(super) const DOWN: &str = "preview down";

/// Let a preview stay for longer
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore preview renew dev my-branch
  longshore preview renew dev my-branch --for 14d")]
pub(crate) struct RenewArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// The preview, or its branch
    #[arg(value_name = "NAME")]
    name: String,

    /// For how long from now; else as long as the inventory says
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    lasting: Option<Span>,
}

/// Take a preview off, with all that was made for it
///
/// It stops, [preview] `destroy` of its release runs, and then its site, its user, its settings and its
/// files are gone. What was done and by whom stays in the host's history.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore preview down dev my-branch")]
pub(crate) struct DownArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// The preview, or its branch
    #[arg(value_name = "NAME")]
    name: String,

    /// Do not run `destroy`: what `create` made stays, and is yours to take away
    #[arg(long)]
    without_hook: bool,
}

pub(super) async fn renew(args: &RenewArgs, context: &Context) -> Result<Exit, CommandError> {
    let seconds = args.lasting.map(|span| span.duration().as_secs());
    let order = move |app| Order::KeepPreview {
        app,
        wish: PreviewWish {
            git_ref: None,
            seconds,
        },
    };
    let ask = Ask {
        verb: RENEW,
        environment: &args.environment,
        name: &args.name,
    };
    ask.run(order, context).await
}

pub(super) async fn down(args: &DownArgs, context: &Context) -> Result<Exit, CommandError> {
    let without_hook = args.without_hook;
    let order = move |app| Order::DropPreview { app, without_hook };
    let ask = Ask {
        verb: DOWN,
        environment: &args.environment,
        name: &args.name,
    };
    ask.run(order, context).await
}

/// One order about one preview, to the host that has it.
struct Ask<'a> {
    verb: &'static str,
    environment: &'a str,
    name: &'a str,
}

/// What the host said, and of which preview.
struct Told {
    app: Option<Instance>,
    reply: Result<Reply, HostFailure>,
}

impl Ask<'_> {
    async fn run(
        &self,
        order: impl Fn(Instance) -> Order,
        context: &Context,
    ) -> Result<Exit, CommandError> {
        let begun = Instant::now();
        let inventory = context.inventory()?;
        let environment = inventory.environment(self.environment)?;
        let app = context.app_itself(environment)?;
        let mut plan = Plan::new(environment, &app, &HostSelection::new(&[], &[]))?;
        // Previews live on the app's first host.
        plan.hosts.retain(|host| host.name == plan.first);
        let report = RunReport::new(Arc::clone(&context.ui), context.global.verbose > 0);
        let reach = context.reach(environment, report.clone());
        let interrupts = Interrupts::listen();
        let beside = tokio::spawn(fleet_run::beside(report, interrupts.clone()));
        let told = tokio::select! {
            told = self.ask(&app.name, &plan, &reach, order, &interrupts) => told,
            () = interrupts.insisted() => {
                beside.abort();
                return Err(fleet_run::left_at_once(environment));
            }
        };
        beside.abort();
        if let Some(line) = self.line(&told) {
            context.ui.answer(&line);
        }
        let failed = plan.hosts.iter().zip(told.reply.as_ref().err());
        for line in failures(failed.map(|(host, failure)| (&host.name, failure))) {
            context.ui.answer(&line);
        }
        let exit = match exit_of(told.reply.as_ref().err().into_iter(), false) {
            Exit::Failed if interrupts.is_asked() => Exit::Interrupted,
            exit => exit,
        };
        let rest = Rest {
            app: told.app.as_ref().map(Instance::as_str),
            seconds: milliseconds(begun.elapsed().as_secs_f64()),
            hosts: plan
                .hosts
                .iter()
                .map(|host| Line::of(host.name.as_str(), &told.reply))
                .collect(),
        };
        context.ui.machine(&result_line(self.verb, exit, rest));
        Ok(exit)
    }

    fn line(&self, told: &Told) -> Option<String> {
        let app = told.app.as_ref().map_or(self.name, Instance::as_str);
        Some(match told.reply.as_ref().ok()? {
            Reply::Preview { preview, .. } => {
                let until = preview.until.strftime("%Y-%m-%d %H:%M UTC");
                format!("{app} stays until {until}.")
            }
            Reply::PreviewDropped { unchanged: false } => format!("{app} is gone."),
            _ => format!(
                "There was no preview {}. See which there are: longshore preview list {}",
                self.name, self.environment
            ),
        })
    }

    async fn ask(
        &self,
        app: &AppName,
        plan: &Plan,
        reach: &Reach,
        order: impl Fn(Instance) -> Order,
        interrupts: &Interrupts,
    ) -> Told {
        let nothing = |failure| Told {
            app: None,
            reply: Err(failure),
        };
        let Some(host) = plan.hosts.first() else {
            return nothing(unknown_answer());
        };
        let mut link = match HostLink::open(reach, host).await {
            Ok(link) => link,
            Err(error) => return nothing(error.failure()),
        };
        let told = match self.find(app, &mut link, interrupts).await {
            Err(failure) => nothing(failure),
            Ok(None) if self.verb == DOWN => Told {
                app: None,
                reply: Ok(Reply::PreviewDropped { unchanged: true }),
            },
            Ok(None) => nothing(self.missing(app)),
            Ok(Some(app)) => {
                let reply = self.order(plan, order(app.clone()), &app, &mut link, interrupts);
                Told {
                    reply: reply.await,
                    app: Some(app),
                }
            }
        };
        link.close().await;
        told
    }

    /// What is meant: a preview by its name, or the one of a branch.
    async fn find(
        &self,
        app: &AppName,
        link: &mut HostLink,
        interrupts: &Interrupts,
    ) -> Result<Option<Instance>, HostFailure> {
        let status = Order::Status {
            app: None,
            previews: true,
        };
        let Reply::Status { apps } = give(link, status, interrupts).await? else {
            return Err(unknown_answer());
        };
        let is_meant = |status: &&AppStatus| {
            let preview = status.preview.as_ref().filter(|_| status.app.app() == app);
            preview.is_some_and(|preview| {
                let slug = status.app.preview().map(|slug| slug.as_str());
                let names = [slug, Some(status.app.as_str()), Some(&preview.git_ref)];
                names.contains(&Some(self.name))
            })
        };
        let in_full = |status: &&AppStatus| status.app.as_str() == self.name;
        let mut meant: Vec<&AppStatus> = apps.iter().filter(is_meant).collect();
        if let Some(one) = meant.iter().copied().find(in_full) {
            meant = vec![one];
        }
        match meant.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.app.clone())),
            several => Err(self.ambiguous(several)),
        }
    }

    /// One person's branch may be called as another one's preview.
    fn ambiguous(&self, several: &[&AppStatus]) -> HostFailure {
        let each = several.iter().filter_map(|status| {
            let preview = status.preview.as_ref()?;
            Some(format!(
                "{} (of {}, by {})",
                status.app, preview.git_ref, preview.who
            ))
        });
        let each: Vec<String> = each.collect();
        HostFailure::of_problems(&[Problem {
            what: format!("{} may be each of these: {}", self.name, each.join(", ")),
            next: "name it in full, as it stands first".to_owned(),
        }])
    }

    fn missing(&self, app: &AppName) -> HostFailure {
        HostFailure::of_problems(&[Problem {
            what: format!("{app} has no preview {} here", self.name),
            next: format!(
                "see which there are: longshore preview list {}",
                self.environment
            ),
        }])
    }

    /// Under the preview's lock.
    async fn order(
        &self,
        plan: &Plan,
        order: Order,
        app: &Instance,
        link: &mut HostLink,
        interrupts: &Interrupts,
    ) -> Result<Reply, HostFailure> {
        let lock = Order::Lock {
            environment: plan.environment.clone(),
            app: app.clone(),
            verb: self.verb.to_owned(),
            release: None,
        };
        give(link, lock, interrupts).await?;
        give(link, order, interrupts).await
    }
}

/// A reply that is what was hoped for.
async fn give(
    link: &mut HostLink,
    order: Order,
    interrupts: &Interrupts,
) -> Result<Reply, HostFailure> {
    let reply = link.order(order, None, interrupts).await;
    match reply.map_err(|error| error.failure())? {
        Reply::Refused { problems } => Err(HostFailure::of_problems(&problems)),
        Reply::Failed(failed) => Err(HostFailure::of_failed(failed)),
        reply @ (Reply::Status { .. }
        | Reply::Locked
        | Reply::Preview { .. }
        | Reply::PreviewDropped { .. }) => Ok(reply),
        _ => Err(unknown_answer()),
    }
}

#[derive(Serialize)]
struct Rest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    seconds: f64,
    hosts: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    host: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Line<'a> {
    fn of(host: &'a str, reply: &Result<Reply, HostFailure>) -> Self {
        let outcome = match reply {
            Ok(Reply::PreviewDropped { unchanged: true }) => Outcome::Unchanged,
            Ok(_) => Outcome::Switched,
            Err(failure) => match failure.kind {
                FailureKind::Failed => Outcome::Failed,
                FailureKind::Unreachable => Outcome::Unreachable,
                FailureKind::Refused => Outcome::Refused,
            },
        };
        Line {
            host,
            outcome,
            until: match reply {
                Ok(Reply::Preview { preview, .. }) => Some(preview.until.to_string()),
                _ => None,
            },
            error: reply.as_ref().err().map(HostFailure::in_one_line),
        }
    }
}
