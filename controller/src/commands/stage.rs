//! `longshore stage ENV`: bring a release onto hosts, and leave traffic alone.

use clap::Args;

use super::deploy::{self, WhatArgs};
use super::fleet_run;
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::plan::Plan;
use crate::rollout::Goal;

/// Bring a release to an environment without switching to it
///
/// Does what `deploy` does before it touches traffic: checks, brings the release to all hosts,
/// verifies, unpacks and prepares it there. What serves goes on serving. A later
/// `longshore deploy` of the same release sends nothing more, and only migrates and switches.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore stage production --version 1.4.0      before the maintenance window
  longshore deploy production --version 1.4.0     in it")]
pub(crate) struct StageArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) what: WhatArgs,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &StageArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app_itself(environment)?;
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let goal = match deploy::goal(&args.what, &app, context).await? {
        Goal::Ship(shipment) => Goal::Stage(shipment),
        // The hosts hold it already, where they do.
        _ => {
            return Err(CommandError::usage("there is no such release here to bring along")
                .hint("Name one with --release FILE, or --ref to build it; `longshore releases` lists what hosts keep."));
        }
    };
    let skip_offline = args.hosts.skip_offline;
    fleet_run::run("stage", environment, plan, goal, skip_offline, context).await
}
