//! `longshore sync ENV`: bring hosts up to what their environment serves.

use clap::Args;
use longshore_shared::name::HostName;
use longshore_shared::settings::SettingName;
use longshore_shared::wire::latest::AppStatus;
use semver::Version;

use super::asking::{self, Answers};
use super::deploy;
use super::fleet_run;
use super::host_args::HostArgs;
use crate::build::WhichRelease;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code::Exit;
use crate::inventory::{Environment, EnvironmentApp};
use crate::plan::Plan;
use crate::rollout::{Goal, Shipment};

/// Bring a rebuilt or lagging host up to what its environment serves
///
/// Asks all hosts of the app what they serve. Where all that serve anything agree, the chosen hosts
/// get that very release, from dist/ or built again from its commit. Nothing is migrated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore sync production --on cortico-2     after cortico-2 was rebuilt")]
pub(crate) struct SyncArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// Sign with this SSH key if the release has to be built again
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<std::path::PathBuf>,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

/// What an environment serves.
#[derive(Debug, PartialEq, Eq)]
struct Serves {
    version: Version,
    commit: String,
}

pub(crate) async fn run(args: &SyncArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app_itself(environment)?;
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let everyone = HostArgs {
        on: app.hosts.iter().map(ToString::to_string).collect(),
        exclude: Vec::new(),
        skip_offline: args.hosts.skip_offline,
    };
    let answers = asking::ask(environment, &everyone, context).await?;
    let serves = common(&answers, environment, &app, &plan, args.hosts.skip_offline)?;
    let what = format!(
        "{} serves {} {} (commit {:.12})",
        environment.name, app.name, serves.version, serves.commit
    );
    context.ui.note(&what);
    settings_are_there(&answers, environment, &app, &plan)?;
    let which = WhichRelease::Version(serves.version.clone());
    let resolved = deploy::resolve(which, &app, args.key.clone(), context)
        .await?
        .map_err(|error| {
            CommandError::from(error).hint(format!(
                "Copy the release into dist/ here, or build it: longshore build --ref {:.12} --version {}",
                serves.commit, serves.version
            ))
        })?;
    let found = &resolved.release.manifest().commit;
    if *found != serves.commit {
        return Err(CommandError::new(
            ErrorKind::Refused,
            format!(
                "{} {} in dist/ is of commit {found:.12}, and {} serves {:.12}",
                app.name, serves.version, environment.name, serves.commit
            ),
        )
        .hint("Take the other release out of dist/ and run this again."));
    }
    if resolved
        .release
        .manifest()
        .sealed
        .contains(&environment.name)
    {
        context.ui.note("The commit has sealed settings; sync leaves the host's as they are. `longshore deploy` applies them.");
    }
    let goal = Goal::Sync(Shipment::open(resolved.release));
    let skip = args.hosts.skip_offline;
    fleet_run::run("sync", environment, plan, goal, skip, context).await
}

/// A host that was rebuilt has the release again, but no setting: it would be started without.
fn settings_are_there(
    answers: &Answers,
    environment: &Environment,
    app: &EnvironmentApp,
    plan: &Plan,
) -> Result<(), CommandError> {
    let of = |chosen: bool| {
        answers.hosts.iter().filter_map(move |answer| {
            let is_chosen = plan.hosts.iter().any(|own| own.name == answer.host);
            let apps = &answer.said.as_ref().ok()?.apps;
            let status = apps.iter().find(|status| status.app == app.instance)?;
            (is_chosen == chosen).then_some((&answer.host, &status.settings))
        })
    };
    let Some((other, wanted)) = of(false).max_by_key(|(_, settings)| settings.len()) else {
        return Ok(());
    };
    for (host, settings) in of(true) {
        let missing = wanted.iter().filter(|name| !settings.contains(name));
        let missing: Vec<&str> = missing.map(SettingName::as_str).collect();
        if !missing.is_empty() {
            let (env, app) = (&environment.name, &app.name);
            return Err(CommandError::new(
                ErrorKind::Refused,
                format!("{host} has no setting {}, which {other} has", missing.join(", ")),
            )
            .hint(format!(
                "Copy them: longshore --app {app} settings list {env} --show --on {other} | longshore --app {app} settings set {env} --env-file /dev/stdin --on {host} --later"
            )));
        }
    }
    Ok(())
}

/// The release that all other hosts serve; of the chosen ones, only if no other serves anything.
fn common(
    answers: &Answers,
    environment: &Environment,
    app: &EnvironmentApp,
    plan: &Plan,
    skip_offline: bool,
) -> Result<Serves, CommandError> {
    let silent: Vec<&str> = answers
        .hosts
        .iter()
        .filter(|answer| answer.said.is_err())
        .map(|answer| answer.host.as_str())
        .collect();
    if !silent.is_empty() && !skip_offline {
        let what = format!("{} did not say what serves there", silent.join(", "));
        return Err(CommandError::new(ErrorKind::Refused, what).hint(
            "What the others serve may not be what the environment serves. To go by them alone: --skip-offline",
        ));
    }
    let statuses: Vec<(&HostName, &AppStatus)> = answers
        .hosts
        .iter()
        .filter_map(|answer| Some((&answer.host, answer.said.as_ref().ok()?)))
        .flat_map(|(host, said)| said.apps.iter().map(move |status| (host, status)))
        .filter(|(_, status)| status.app == app.instance)
        .collect();
    let chosen = |host: &HostName| plan.hosts.iter().any(|own| own.name == *host);
    let others: Vec<Serves> = statuses
        .iter()
        .filter(|(host, _)| !chosen(host))
        .filter_map(|(_, status)| serves(status))
        .collect();
    let all = || {
        statuses
            .iter()
            .filter_map(|(_, status)| serves(status))
            .collect()
    };
    let mut found: Vec<Serves> = if others.is_empty() { all() } else { others };
    found.dedup();
    let refused = |what: String| {
        CommandError::new(ErrorKind::Refused, what).hint(format!(
            "See what serves where: longshore status {}; then deploy or roll back what you mean.",
            environment.name
        ))
    };
    match found.len() {
        1 => found
            .pop()
            .ok_or_else(|| refused("no host answered".to_owned())),
        0 => Err(refused(format!(
            "no host of {} serves {} yet, so there is nothing to take over",
            environment.name, app.name
        ))),
        _ => {
            let list: Vec<String> = statuses
                .iter()
                .filter_map(|(host, status)| Some(format!("{host} {}", status.version.as_ref()?)))
                .collect();
            Err(refused(format!(
                "the hosts of {} serve different releases of {}: {}",
                environment.name,
                app.name,
                list.join(", ")
            )))
        }
    }
}

fn serves(status: &AppStatus) -> Option<Serves> {
    let version = status.version.clone()?;
    let mut releases = status.releases.iter();
    let commit = releases.find(|release| release.version == version)?;
    Some(Serves {
        commit: commit.commit.clone(),
        version,
    })
}
