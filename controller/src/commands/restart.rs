//! `longshore restart ENV`: start what serves anew, without losing a request.

use clap::Args;

use super::fleet_run;
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::plan::Plan;
use crate::rollout::Goal;

/// Start what serves anew, without losing a request
///
/// Starts the release that serves a second time, in the idle slot, waits until that is healthy, and
/// moves traffic to it: as a deployment does, of the very release that is live. Where it does not
/// become healthy, what served goes on serving.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore restart production
  longshore restart production --on cortico-2")]
pub(crate) struct RestartArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &RestartArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let skip_offline = args.hosts.skip_offline;
    fleet_run::run(
        "restart",
        environment,
        plan,
        Goal::Restart,
        skip_offline,
        context,
    )
    .await
}
