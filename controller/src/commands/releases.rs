//! `longshore releases ENV`: which releases the hosts keep.

use clap::Args;

use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;

/// List the releases that hosts keep, and which one serves
///
/// Any good one of them can be gone back to with `longshore rollback ENV VERSION`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore releases production
  longshore releases production --app cortico --json")]
pub(crate) struct ReleasesArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &ReleasesArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let _app = context.app_if_named(environment)?;
    Err(CommandError::failed("not yet"))
}
