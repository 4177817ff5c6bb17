//! `longshore deploy ENV`: bring a release onto hosts and move traffic to it.

use std::path::PathBuf;

use clap::Args;

use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;

/// Deploy a release to an environment without dropping a request
///
/// Locks the app on every host, checks everything first, brings the release to all hosts at once,
/// migrates on the first one, then switches traffic. The old release serves until the new one has
/// proven healthy; if that fails anywhere, hosts that switched go back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore deploy staging                    the newest commit of the environment's branch
  longshore deploy staging --release dist/cortico-1.4.0.tar.gz
  longshore deploy production --version 1.4.0 --on '@canary'
  longshore deploy production --ref main --skip-offline")]
pub(crate) struct DeployArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// A release that was built: its .tar.gz or .json, the others beside it
    #[arg(long, value_name = "FILE", group = "what")]
    pub(crate) release: Option<PathBuf>,

    /// A commit, branch or tag; built and signed first unless that was done
    #[arg(long = "ref", value_name = "REF", group = "what")]
    pub(crate) git_ref: Option<String>,

    /// A version that is in dist/ or that every host still keeps
    #[arg(long, value_name = "VERSION", group = "what")]
    pub(crate) version: Option<semver::Version>,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &DeployArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let _hosts = crate::context::hosts_of_app(environment, app, &args.hosts.selection())?;
    Err(CommandError::failed("not yet"))
}
