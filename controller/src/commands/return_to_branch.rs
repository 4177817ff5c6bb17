//! `longshore return ENV`: the environment's own branch again, after somebody's feature branch.

use std::path::PathBuf;

use clap::Args;

use super::deploy::{self, WhatArgs};
use super::fleet_run;
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::plan::Plan;

/// Put an environment's own branch back, after somebody's feature branch
///
/// Deploys the newest commit of the environment's branch, as origin has it. Where the inventory says
/// on_leave = "undo", the migrations that only the feature branch has are undone by its own release
/// first; elsewhere you are told which stay in the database.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore deploy dev --ref my-branch
  longshore return dev")]
pub(crate) struct ReturnArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// Sign with this SSH key if the release has to be built first
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// Open the commit's sealed settings (settings.ENV.age) with this SSH key
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,

    /// Leave the hosts' settings as they are, whatever the commit has sealed
    #[arg(long, conflicts_with = "identity")]
    pub(crate) keep_settings: bool,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &ReturnArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app_itself(environment)?;
    if app.branch.is_none() {
        let name = &environment.name;
        return Err(CommandError::usage(format!(
            "the inventory names no branch of {} in {name}, so there is none to return to",
            app.name
        ))
        .hint(format!(
            "Write it down: branch = \"develop\" under [environments.{name}.apps.{}]",
            app.name
        )));
    }
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let what = WhatArgs {
        release: None,
        git_ref: None,
        version: None,
        key: args.key.clone(),
    };
    let goal = deploy::goal(&what, &app, context).await?;
    let how = deploy::Sealed {
        identity: args.identity.as_deref(),
        keep: args.keep_settings,
    };
    let goal = deploy::with_settings(goal, &how, environment, context).await?;
    let skip_offline = args.hosts.skip_offline;
    fleet_run::run("return", environment, plan, goal, skip_offline, context).await
}
