//! `longshore deploy ENV`: bring a release onto hosts and move traffic to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::fleet_run;
use super::host_args::HostArgs;
use super::version_arg;
use crate::build::{ForDeploy, ResolveError, Resolved, WhichRelease};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::inventory::{Environment, EnvironmentApp};
use crate::plan::Plan;
use crate::rollout::{Goal, Shipment};
use crate::sealed::{self, Identities};
use crate::terminal_text::one_line;

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
  longshore deploy production --ref main --skip-offline
  longshore deploy production --identity ~/.ssh/ci    opens settings.production.age of the commit")]
pub(crate) struct DeployArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) what: WhatArgs,

    /// Open the commit's sealed settings (settings.ENV.age) with this SSH key
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,

    /// Leave the hosts' settings as they are, whatever the commit has sealed
    #[arg(long, conflicts_with = "identity")]
    pub(crate) keep_settings: bool,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

/// Which release.
#[derive(Debug, Args)]
pub(crate) struct WhatArgs {
    /// A release that was built: its .tar.gz or .json, the others beside it
    #[arg(long, value_name = "FILE", group = "what")]
    pub(crate) release: Option<PathBuf>,

    /// A commit, branch or tag; built and signed first unless that was done
    #[arg(long = "ref", value_name = "REF", group = "what")]
    pub(crate) git_ref: Option<String>,

    /// A version that is in dist/ or that every host still keeps
    #[arg(long, value_name = "VERSION", group = "what", value_parser = version_arg::parse)]
    pub(crate) version: Option<semver::Version>,

    /// Sign with this SSH key if the release has to be built first
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

pub(crate) async fn run(args: &DeployArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app_itself(environment)?;
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let goal = goal(&args.what, &app, context).await?;
    let how = Sealed {
        identity: args.identity.as_deref(),
        keep: args.keep_settings,
    };
    let goal = with_settings(goal, &how, environment, context).await?;
    fleet_run::run(
        "deploy",
        environment,
        plan,
        goal,
        args.hosts.skip_offline,
        context,
    )
    .await
}

/// What is to become of a commit's sealed settings.
pub(super) struct Sealed<'a> {
    pub(super) identity: Option<&'a Path>,
    /// The hosts' own stay as they are.
    pub(super) keep: bool,
}

/// The goal with the settings that come with it.
pub(super) async fn with_settings(
    goal: Goal,
    how: &Sealed<'_>,
    environment: &Environment,
    context: &Context,
) -> Result<Goal, CommandError> {
    match goal {
        Goal::Ship(shipment) if !how.keep => Ok(Goal::Ship(
            unsealed(shipment, how, environment, context).await?,
        )),
        // A tarball that is not here cannot be read.
        Goal::Kept(version) if how.identity.is_some() => Err(CommandError::usage(format!(
            "{version} is on the hosts alone, so its sealed settings cannot be opened here"
        ))
        .hint(
            "Leave --identity out: the hosts keep their settings; or fetch the release into dist/.",
        )),
        goal => Ok(goal),
    }
}

/// The release with the settings that its commit holds for this environment, where it holds any.
async fn unsealed(
    shipment: Shipment,
    how: &Sealed<'_>,
    environment: &Environment,
    context: &Context,
) -> Result<Shipment, CommandError> {
    let manifest = shipment.signed().manifest();
    if !manifest.sealed.contains(&environment.name) {
        return Ok(shipment);
    }
    let file = sealed::file_name(&environment.name);
    let what = format!(
        "{file} of {} {} cannot be applied, and nothing was changed",
        manifest.app, manifest.version
    );
    let hint = format!(
        "Name a key that opens it with --identity FILE (or LONGSHORE_IDENTITY); have it sealed for you: longshore settings seal {}; or leave the hosts' settings as they are: --keep-settings",
        environment.name
    );
    let unusable = || CommandError::configuration(&what).hint(&hint);
    let identities = Identities::find(how.identity, &context.keyring())
        .await
        .map_err(|error| error.hint(format!("It is wanted for {file}.")).hint(&hint))?;
    // What is wrong with the tarball is told with all else that stops the deployment.
    let Ok(release) = shipment.release().await else {
        return Ok(shipment);
    };
    let content = release
        .content(&file, sealed::LARGEST)
        .map_err(|error| unusable().caused_by(error))?
        .unwrap_or_default();
    let settings =
        sealed::settings(&content, &identities).map_err(|error| unusable().caused_by(error))?;
    Ok(shipment.with_settings(settings))
}

/// The release that is meant, built first where there is none.
pub(super) async fn goal(
    args: &WhatArgs,
    app: &EnvironmentApp,
    context: &Context,
) -> Result<Goal, CommandError> {
    let which = match (&args.release, &args.git_ref, &args.version) {
        (Some(file), _, _) => WhichRelease::File(file.clone()),
        (_, Some(name), _) => WhichRelease::Ref(name.clone()),
        (_, _, Some(version)) => WhichRelease::Version(version.clone()),
        _ => WhichRelease::Branch(app.branch.clone()),
    };
    let resolved = resolve(which, app, args.key.clone(), context).await?;
    match (resolved, &args.version) {
        (Ok(resolved), _) => {
            announce(&resolved, context);
            Ok(Goal::Ship(Shipment::open(resolved.release)))
        }
        // What is not here may still be on the hosts; their preflight says when it is not.
        (Err(ResolveError::NoVersion { .. } | ResolveError::Git(_)), Some(version)) => {
            let what = format!(
                "{} {version} is not in dist/ here: taking what the hosts keep",
                app.name
            );
            context.ui.note(&what);
            Ok(Goal::Kept(version.clone()))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Finds the release, or builds it.
pub(super) async fn resolve(
    which: WhichRelease,
    app: &EnvironmentApp,
    key: Option<PathBuf>,
    context: &Context,
) -> Result<Result<Resolved, ResolveError>, CommandError> {
    let (name, folder, ui) = (app.name.clone(), context.folder()?, Arc::clone(&context.ui));
    // A build runs commands and reads whole tarballs, which would hold up everything else.
    let resolved = tokio::task::spawn_blocking(move || {
        ForDeploy {
            which,
            app: &name,
            folder: &folder,
            key: key.as_deref(),
            person: ui.as_ref(),
        }
        .resolve(&mut |event| ui.note(&event.line()))
    });
    resolved
        .await
        .map_err(|error| CommandError::failed("reading the release broke off").caused_by(error))
}

/// Which commit this is, before anything is changed.
fn announce(resolved: &Resolved, context: &Context) {
    let manifest = resolved.release.manifest();
    let mut line = format!(
        "{} {}: commit {}",
        manifest.app,
        manifest.version,
        manifest.commit.chars().take(12).collect::<String>()
    );
    if let Some(commit) = &resolved.commit {
        let age = commit.age(Timestamp::now());
        line.push_str(&format!(" by {}, {age}: {}", commit.author, commit.subject));
    }
    if !manifest.clean {
        line.push_str(" (built from a working tree that differed from the commit)");
    }
    context.ui.note(&one_line(&line));
}
