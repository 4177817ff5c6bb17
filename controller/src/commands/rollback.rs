//! `longshore rollback ENV [VERSION]`: back to a release that has served before.

use clap::Args;

use super::fleet_run;
use super::host_args::HostArgs;
use super::version_arg;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::plan::Plan;
use crate::rollout::Goal;

/// Go back to the release that served before
///
/// Takes the newest good release that served before the live one, or VERSION if given, with the
/// same health check as a deployment. A slot that is still warm takes over at once. The release
/// that was left is marked on the hosts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore rollback production
  longshore rollback production 1.3.9
  longshore rollback production --on cortico-2")]
pub(crate) struct RollbackArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// The release to go back to; it must still be on the hosts
    #[arg(value_name = "VERSION", value_parser = version_arg::parse)]
    pub(crate) version: Option<semver::Version>,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &RollbackArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let plan = Plan::new(environment, app, &args.hosts.selection())?;
    let goal = Goal::Back(args.version.clone());
    fleet_run::run(
        "rollback",
        environment,
        plan,
        goal,
        args.hosts.skip_offline,
        context,
    )
    .await
}
