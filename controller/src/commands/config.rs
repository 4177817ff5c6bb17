//! `longshore config ENV`: what Longshore would use, and where each value comes from. Nothing is
//! connected.

use clap::Args;
use longshore_shared::app_file::AppFile;
use longshore_shared::setup::OnLeave;
use serde::Serialize;

use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::inventory::{Environment, EnvironmentApp, Host, Inventory, Tls};
use crate::plan::Plan;
use crate::report::{columns, result_line};
use crate::ssh::{HostTrust, Surroundings, Target};
use crate::terminal_text::one_line;

/// Show what Longshore would use, and where each value comes from
///
/// The inventory, the app file, your SSH configuration and the environment put together. Connects
/// nowhere, and shows no secret.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore config production
  longshore config production --json --on cortico-2")]
pub(crate) struct ConfigArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

/// One value.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Value {
    name: String,
    value: String,
    from: String,
}

pub(crate) fn run(args: &ConfigArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let mut values = Vec::new();
    of_words(&mut values, &inventory, &app, context)?;
    of_environment(&mut values, environment, &app);
    if let Some((path, file)) = context.app_file()?
        && file.app.name == app.name
    {
        of_app_file(&mut values, &file, &path.display().to_string());
    }
    let around = Surroundings::of_this_process();
    for host in &plan.hosts {
        of_host(&mut values, host, &around)?;
    }
    let header = ["NAME", "VALUE", "FROM"].map(str::to_owned).to_vec();
    let rows = values
        .iter()
        .map(|value| vec![value.name.clone(), value.value.clone(), value.from.clone()]);
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    for line in columns(&rows) {
        context.ui.answer(&one_line(&line));
    }
    #[derive(Serialize)]
    struct Rest<'a> {
        app: &'a str,
        values: &'a [Value],
    }
    let app = app.instance.as_str();
    let rest = Rest {
        app,
        values: &values,
    };
    context.ui.machine(&result_line("config", Exit::Done, rest));
    Ok(Exit::Done)
}

fn add(values: &mut Vec<Value>, name: &str, value: impl ToString, from: &str) {
    values.push(Value {
        name: name.to_owned(),
        value: value.to_string(),
        from: from.to_owned(),
    });
}

fn of_words(
    values: &mut Vec<Value>,
    inventory: &Inventory,
    app: &EnvironmentApp,
    context: &Context,
) -> Result<(), CommandError> {
    let named = context.global.inventory.is_some();
    let from = if named {
        "--inventory or LONGSHORE_INVENTORY"
    } else {
        "this folder or a parent"
    };
    add(values, "inventory", inventory.path().display(), from);
    let here = context
        .app_file()?
        .map(|(path, _)| path.display().to_string());
    let from = match (&context.global.app, here) {
        (Some(_), _) => "--app".to_owned(),
        (None, Some(file)) => file,
        (None, None) => "the environment's only app".to_owned(),
    };
    add(values, "app", &app.instance, &from);
    Ok(())
}

fn of_environment(values: &mut Vec<Value>, environment: &Environment, app: &EnvironmentApp) {
    let name = &environment.name;
    let table = format!("[environments.{name}.apps.{}]", app.name);
    let own = format!("[environments.{name}]");
    let mut said = |key: &str, value: Option<String>, table: &str, otherwise: &str| match value {
        Some(value) => add(values, key, value, &format!("inventory, {table}")),
        None => add(values, key, otherwise, "default"),
    };
    said("domain", app.domain.clone(), &table, "no site");
    said("branch", app.branch.clone(), &table, "the current one");
    let tls = app.tls.as_ref().map(|tls| match tls {
        Tls::Acme => "acme".to_owned(),
        Tls::Files { certificate, .. } => certificate.display().to_string(),
    });
    said("tls", tls, &table, "none");
    let undo = (app.on_leave == OnLeave::Undo).then(|| "undo".to_owned());
    said("on_leave", undo, &table, "never");
    let list = |names: &Option<Vec<String>>| names.as_ref().map(|names| names.join(", "));
    said(
        "release_by",
        list(&environment.release_by),
        &own,
        "every signer",
    );
    said("settings_by", list(&environment.settings_by), &own, "@sudo");
    said("overrule", list(&environment.overrule), &own, "@sudo");
    let forward = environment.forward_only.to_string();
    said(
        "forward_only",
        Some(forward),
        &format!("{own}, or by its name"),
        "",
    );
}

fn of_app_file(values: &mut Vec<Value>, file: &AppFile, path: &str) {
    // What the file says and what it leaves to us read alike once they are read.
    let from = format!("{path}, or default");
    let serve = file.web.gunicorn.as_ref().or(file.web.command.as_ref());
    if let Some(command) = serve {
        add(values, "web", command, path);
    }
    add(values, "web.workers", file.web.workers, &from);
    add(values, "web.cooldown", file.web.cooldown, &from);
    add(values, "web.max_upload", file.web.max_upload, &from);
    add(values, "web.health.path", &file.web.health.path, path);
    add(values, "web.health.timeout", file.web.health.timeout, &from);
    add(values, "keep_releases", file.app.keep_releases, &from);
}

fn of_host(
    values: &mut Vec<Value>,
    host: &Host,
    around: &Surroundings,
) -> Result<(), CommandError> {
    let target = Target::of_host(host, around).map_err(|error| {
        CommandError::configuration(format!("{} cannot be reached", host.name)).caused_by(error)
    })?;
    let name = |what: &str| format!("{} {what}", host.name);
    let from = if target.host == host.address.host() {
        "inventory"
    } else {
        "~/.ssh/config"
    };
    add(values, &name("address"), target.address(), from);
    let from = match (&around.forced_user, &host.user) {
        (Some(_), _) => "LONGSHORE_USER",
        (None, Some(_)) => "inventory",
        (None, None) if around.local_user.as_ref() == Some(&target.user) => {
            "your own name, or ~/.ssh/config"
        }
        (None, None) => "~/.ssh/config",
    };
    add(values, &name("user"), &target.user, from);
    match &target.trust {
        HostTrust::Pinned(keys) => {
            let count = if keys.len() == 1 {
                "pinned".to_owned()
            } else {
                format!("{} pinned", keys.len())
            };
            add(values, &name("host key"), count, "inventory");
        }
        HostTrust::KnownHosts { files, .. } => {
            let files: Vec<String> = files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            add(values, &name("host key"), "as known", &files.join(", "));
        }
    }
    let jumps: Vec<String> = target.jumps.iter().map(Target::address).collect();
    if !jumps.is_empty() {
        add(values, &name("through"), jumps.join(", "), "~/.ssh/config");
    }
    Ok(())
}
