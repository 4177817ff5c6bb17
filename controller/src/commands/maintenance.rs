//! `longshore maintenance on|off ENV`: close a site for visitors, and open it again.

use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use longshore_shared::name::HostName;
use longshore_shared::wire::latest::{Order, Reply};
use serde::Serialize;

use super::asking::{Quiet, answer_of, exit_of, unknown_answer};
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::fleet;
use crate::plan::Plan;
use crate::report::{failures, milliseconds, result_line};
use crate::rollout::HostFailure;

/// Close a site for maintenance, or open it again
///
/// Visitors get a page that says so (503; `[site] maintenance` of the app file, or a plain one), at
/// once and without a reload. Static files are served on, deployments go on, and health checks are
/// answered by the app: what closes a site is this verb, and what opens it, too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore maintenance on production
  longshore maintenance off production")]
pub(crate) struct MaintenanceArgs {
    /// Whether the site is to be closed
    #[arg(value_name = "on|off")]
    pub(crate) state: State,

    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Visitors get a page that says so
    On,
    /// Visitors get the app
    Off,
}

impl State {
    fn of_site(self) -> &'static str {
        match self {
            State::On => "closed",
            State::Off => "open",
        }
    }
}

pub(crate) async fn run(args: &MaintenanceArgs, context: &Context) -> Result<Exit, CommandError> {
    let begun = Instant::now();
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let reach = context.reach(environment, Arc::new(Quiet));
    let order = Order::Maintenance {
        app: plan.app.clone(),
        on: args.state == State::On,
    };
    // It takes a moment on each host, and what was begun is done: there is nothing to interrupt.
    let told = fleet::on_all(plan.hosts, |host| {
        let (reach, order) = (reach.clone(), order.clone());
        async move {
            let told = match answer_of(&reach, &host, order).await {
                Ok((_, Reply::Maintenance { unchanged })) => Ok(unchanged),
                Ok(_) => Err(unknown_answer()),
                Err(failure) => Err(failure),
            };
            (host.name, told)
        }
    })
    .await;
    let state = args.state.of_site();
    for (host, told) in &told {
        match told {
            Ok(true) => context.ui.answer(&format!("{host}  was {state} already")),
            Ok(false) => context.ui.answer(&format!("{host}  is {state}")),
            Err(_) => {}
        }
    }
    let failed = told.iter();
    for line in failures(failed.filter_map(|(host, told)| Some((host, told.as_ref().err()?)))) {
        context.ui.answer(&line);
    }
    let exit = exit_of_all(&told, args.hosts.skip_offline);
    let rest = Rest {
        app: plan.app.as_str(),
        seconds: milliseconds(begun.elapsed().as_secs_f64()),
        hosts: told.iter().map(|told| Line::of(told, state)).collect(),
    };
    context.ui.machine(&result_line("maintenance", exit, rest));
    Ok(exit)
}

/// Where one host is closed and another open, visitors see either.
fn exit_of_all(told: &[(HostName, Result<bool, HostFailure>)], skip_offline: bool) -> Exit {
    let failures = told.iter().filter_map(|(_, told)| told.as_ref().err());
    match exit_of(failures, skip_offline) {
        Exit::Done => Exit::Done,
        _ if told.iter().any(|(_, told)| told.is_ok()) => Exit::Mixed,
        exit => exit,
    }
}

#[derive(Serialize)]
struct Rest<'a> {
    app: &'a str,
    seconds: f64,
    hosts: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    host: &'a HostName,
    /// Nothing where it is not known.
    site: Option<&'a str>,
    unchanged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Line<'a> {
    fn of((host, told): &'a (HostName, Result<bool, HostFailure>), state: &'a str) -> Self {
        Line {
            host,
            site: told.is_ok().then_some(state),
            unchanged: told.as_ref().is_ok_and(|unchanged| *unchanged),
            error: told.as_ref().err().map(HostFailure::in_one_line),
        }
    }
}
