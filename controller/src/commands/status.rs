//! `longshore status ENV`: what serves where.

use clap::Args;

use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;

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
    let _app = context.app_if_named(environment)?;
    Err(CommandError::failed("not yet"))
}
