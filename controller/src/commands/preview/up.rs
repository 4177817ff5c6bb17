//! `longshore preview up ENV`: bring a preview its branch, and make it first where there is none.

use std::path::PathBuf;

use clap::Args;
use longshore_shared::instance::Slug;
use longshore_shared::span::Span;
use longshore_shared::wire::latest::PreviewWish;

use super::span;
use crate::build::Repository;
use crate::commands::deploy::{self, WhatArgs};
use crate::commands::fleet_run;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::inventory::{Environment, EnvironmentApp, HostSelection};
use crate::plan::Plan;
use crate::rollout::{Goal, Shipment};
use crate::sealed;

pub(super) const VERB: &str = "preview up";

/// Put a branch beside the others, or bring its preview the newest of it
///
/// Each run renews the time that it stays. Where a new one fails, nothing of it is left.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore preview up dev                          the branch that is checked out
  longshore preview up dev --ref my-branch --for 3d
  longshore preview up dev --ref feature/login --name login
  longshore logs dev --app cortico--login -f        what it says; so with run, settings, restart")]
pub(crate) struct UpArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// The branch, as it is here, or as origin/BRANCH; else the one that is checked out
    #[arg(long = "ref", value_name = "BRANCH")]
    git_ref: Option<String>,

    /// What the preview is called; else after its branch
    #[arg(long, value_name = "NAME")]
    name: Option<Slug>,

    /// How long it stays, such as 3d; else as long as the inventory says
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    lasting: Option<Span>,

    /// Sign with this SSH key if the release has to be built first
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) async fn run(args: &UpArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app_itself(environment)?;
    environment.allows_previews(&app)?;
    let (branch, git_ref) = branch(args.git_ref.as_deref(), context)?;
    refuse_own_branch(&branch, environment, &app)?;
    let slug = args.name.clone();
    let slug = slug.unwrap_or_else(|| Slug::of_branch(&branch));
    let preview = app.preview_called(&slug);
    let mut plan = Plan::new(environment, &preview, &HostSelection::new(&[], &[]))?;
    plan.preview = Some(PreviewWish {
        git_ref: Some(branch.clone()),
        seconds: args.lasting.map(|span| span.duration().as_secs()),
    });
    let what = WhatArgs {
        release: None,
        git_ref: Some(git_ref),
        version: None,
        key: args.key.clone(),
    };
    let goal = deploy::goal(&what, &app, context).await?;
    if let Goal::Ship(shipment) = &goal
        && let Some(note) = sealed(shipment, environment, &plan)
    {
        context.ui.note(&note);
    }
    fleet_run::run(VERB, environment, plan, goal, false, context).await
}

/// The app's sealed settings are the app's: over a preview's own they would undo what was made for it.
fn sealed(shipment: &Shipment, environment: &Environment, plan: &Plan) -> Option<String> {
    let name = &environment.name;
    let manifest = shipment.signed().manifest();
    let file = sealed::file_name(name);
    manifest.sealed.contains(name).then(|| {
        format!(
            "{file} of the commit is not opened: {app} has the settings that the host has of {}, and its own. What the branch needs more: longshore settings set {name} --app {app} NAME",
            manifest.app,
            app = plan.app,
        )
    })
}

/// A branch is the same one by its short and its long name, here and at its remote.
fn short(name: &str) -> &str {
    let name = name.strip_prefix("refs/").unwrap_or(name);
    match name.strip_prefix("heads/") {
        Some(name) => name,
        None => at_remote(name).unwrap_or(name),
    }
}

fn is_of_remote(name: &str) -> bool {
    at_remote(name.strip_prefix("refs/").unwrap_or(name)).is_some()
}

fn at_remote(name: &str) -> Option<&str> {
    let name = name.strip_prefix("remotes/").unwrap_or(name);
    name.strip_prefix("origin/")
}

/// The one that is named, else the one that is checked out. Two people may mean others by HEAD, and by a
/// branch they do not. Also what git calls it without doubt.
fn branch(name: Option<&str>, context: &Context) -> Result<(String, String), CommandError> {
    let unknown =
        |error| CommandError::configuration("cannot tell which branches are here").caused_by(error);
    let here = Repository::find(&context.folder()?).map_err(unknown)?;
    let checked_out = || {
        here.branch().map_err(unknown)?.ok_or_else(|| {
            CommandError::usage("no branch is checked out here").hint("Name one: --ref my-branch")
        })
    };
    let name = name.map_or_else(checked_out, |name| Ok(name.to_owned()))?;
    let branch = short(&name);
    let places: &[&str] = match is_of_remote(&name) {
        true => &["remotes/origin"],
        false => &["heads", "remotes/origin"],
    };
    match here.branch_called(branch, places).map_err(unknown)? {
        Some(called) => Ok((branch.to_owned(), called)),
        None => Err(
            CommandError::usage(format!("{name} is no branch, and a preview is of one"))
                .hint("See which there are: git branch --all")
                .hint("Make one of it: git branch my-branch COMMIT"),
        ),
    }
}

/// It is there already, and under the name that everybody knows.
fn refuse_own_branch(
    branch: &str,
    environment: &Environment,
    app: &EnvironmentApp,
) -> Result<(), CommandError> {
    if app.branch.as_deref() != Some(branch) {
        return Ok(());
    }
    let (env, app) = (&environment.name, &app.name);
    Err(CommandError::usage(format!(
        "{branch} is the branch that {env} has of {app} anyway"
    ))
    .hint(format!("See it there: longshore open {env}"))
    .hint(format!("Where it is not there now: longshore return {env}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_one_by_all_its_names() {
        for name in [
            "login",
            "origin/login",
            "refs/heads/login",
            "refs/remotes/origin/login",
            "remotes/origin/login",
            "heads/login",
        ] {
            assert_eq!(short(name), "login");
        }
        assert_eq!(short("feature/login"), "feature/login");
        assert!(is_of_remote("origin/login") && !is_of_remote("heads/origin-login"));
    }
}
