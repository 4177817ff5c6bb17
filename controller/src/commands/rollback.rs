//! `longshore rollback ENV [VERSION]`: back to a release that has served before.

use clap::Args;

use super::asking;
use super::fleet_run;
use super::host_args::HostArgs;
use super::version_arg;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code::Exit;
use crate::inventory::{Environment, EnvironmentApp};
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
  longshore rollback production --commit 1a2b3c4
  longshore rollback production --with-settings
  longshore rollback production --on cortico-2")]
pub(crate) struct RollbackArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// The release to go back to; it must still be on the hosts
    #[arg(value_name = "VERSION", value_parser = version_arg::parse)]
    pub(crate) version: Option<semver::Version>,

    /// The same by the release's commit, or the beginning of it
    #[arg(long, value_name = "COMMIT", conflicts_with = "version", value_parser = commit)]
    pub(crate) commit: Option<String>,

    /// Also to a release whose signing key was revoked; at a terminal you are asked
    #[arg(long)]
    pub(crate) even_revoked: bool,

    /// Also back to the settings that it served with last; else they stay, and what differs is told
    #[arg(long)]
    pub(crate) with_settings: bool,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

fn commit(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex && (4..=64).contains(&text.len()) {
        Ok(text)
    } else {
        Err("a commit is 4 to 64 hexadecimal digits".to_owned())
    }
}

/// The one release that the hosts keep of a commit.
async fn version_of(
    commit: &str,
    args: &RollbackArgs,
    environment: &Environment,
    app: &EnvironmentApp,
    context: &Context,
) -> Result<semver::Version, CommandError> {
    let answers = asking::ask(environment, &args.hosts, context).await?;
    let apps = answers.hosts.iter().flat_map(|answer| &answer.said);
    let apps = apps.flat_map(|said| &said.apps);
    let mut versions: Vec<&semver::Version> = apps
        .filter(|status| status.app == app.instance)
        .flat_map(|status| &status.releases)
        .filter(|release| release.commit.starts_with(commit))
        .map(|release| &release.version)
        .collect();
    versions.sort();
    versions.dedup();
    match versions.as_slice() {
        [version] => Ok((*version).clone()),
        [] => {
            answers.say_failures(context);
            Err(CommandError::new(
                ErrorKind::Refused,
                format!(
                    "no host keeps a release of {} from commit {commit}",
                    app.instance
                ),
            )
            .hint(format!(
                "See what the hosts keep: longshore releases {}",
                environment.name
            )))
        }
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(CommandError::usage(format!(
                "commit {commit} is in more than one release: name a version ({})",
                names.join(", ")
            )))
        }
    }
}

pub(crate) async fn run(args: &RollbackArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let to = match &args.commit {
        Some(commit) => Some(version_of(commit, args, environment, &app, context).await?),
        None => args.version.clone(),
    };
    let goal = Goal::Back {
        to,
        even_revoked: args.even_revoked,
        with_settings: args.with_settings,
    };
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
