//! `longshore settings`: what an app finds in its environment, which is state of the hosts and never
//! part of a release.

mod ask;
mod edit;
mod given;
mod list;
mod seal;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use longshore_shared::settings::{SettingName, Settings};
use longshore_shared::wire::latest::SettingsChange;

use super::fleet_run;
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::plan::Plan;
use crate::rollout::{Goal, NewSettings, What};

/// Look at and change what an app finds in its environment
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    #[command(subcommand)]
    pub(crate) what: SettingsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SettingsVerb {
    List(ListArgs),
    Set(SetArgs),
    Unset(UnsetArgs),
    Edit(EditArgs),
    Rollback(BackArgs),
    Seal(seal::SealArgs),
    Unseal(seal::UnsealArgs),
}

impl SettingsVerb {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "settings list",
            Self::Set(_) => "settings set",
            Self::Unset(_) => "settings unset",
            Self::Edit(_) => "settings edit",
            Self::Rollback(_) => "settings rollback",
            Self::Seal(_) => "settings seal",
            Self::Unseal(_) => "settings unseal",
        }
    }
}

/// Show the settings by name, and which values are alike
///
/// A value is told by the beginning of its SHA-256, so that hosts can be compared without anybody
/// reading a secret from a screen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore settings list production
  longshore settings list production --show > production.env")]
pub(crate) struct ListArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// Show the values too, as `settings set --env-file` reads them
    #[arg(long)]
    show: bool,

    #[command(flatten)]
    hosts: HostArgs,
}

/// Set values, and restart with them without losing a request
///
/// A name without a value is asked for at a terminal, unseen, and read from standard input elsewhere:
/// a secret in the words of a command is seen by everybody on this machine. On all hosts the new
/// values are written, then what serves is started anew with them, as `longshore restart` does. Where
/// it does not come up with them, all hosts have the settings of before again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore settings set production DEBUG=0 ALLOWED_HOSTS=cortico.example
  longshore settings set production SECRET_KEY < secret-key
  longshore settings set production --file TLS_KEY=key.pem
  longshore settings set staging --env-file staging.env --later")]
pub(crate) struct SetArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// What to set; NAME alone reads the value from standard input
    #[arg(value_name = "NAME=VALUE|NAME")]
    set: Vec<String>,

    /// Take a value from a file, less a newline at its end; repeatable
    #[arg(long, value_name = "NAME=FILE")]
    file: Vec<String>,

    /// Take all that is in a file of NAME=value lines
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,

    #[command(flatten)]
    when: When,
}

/// Take settings away, and restart without them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore settings unset production OLD_API_KEY")]
pub(crate) struct UnsetArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// What to take away
    #[arg(value_name = "NAME", required = true, value_parser = name)]
    unset: Vec<SettingName>,

    #[command(flatten)]
    when: When,
}

/// Change settings in your editor ($VISUAL, $EDITOR), and restart with them
///
/// What you see is in a folder that only you can open, in memory where there is such a place; it is
/// gone when the editor is.
#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    #[command(flatten)]
    when: When,
}

/// Go back to the settings before the last change, and restart with them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore settings rollback production
  longshore settings rollback production 4      as they were as number 4")]
pub(crate) struct BackArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// Which settings; `longshore settings list` shows what is kept
    #[arg(value_name = "NUMBER")]
    number: Option<u64>,

    #[command(flatten)]
    when: When,
}

/// When and where a change takes effect.
#[derive(Debug, Args)]
pub(crate) struct When {
    /// Restart nothing: the next start of whatever serves takes them
    #[arg(long)]
    later: bool,

    #[command(flatten)]
    hosts: HostArgs,
}

fn name(text: &str) -> Result<SettingName, String> {
    SettingName::new(text).map_err(|error| error.to_string())
}

pub(crate) async fn run(args: &SettingsArgs, context: &Context) -> Result<Exit, CommandError> {
    let verb = args.what.name();
    match &args.what {
        SettingsVerb::List(args) => list::run(args, context).await,
        SettingsVerb::Set(args) => {
            // Whether the environment is one is known before anybody types a secret.
            context.inventory()?.environment(&args.environment)?;
            let set = given::given(args, context)?;
            let what = edited(set, Vec::new());
            change(verb, &args.environment, what, &args.when, context).await
        }
        SettingsVerb::Unset(args) => {
            let what = edited(Settings::new(), args.unset.clone());
            change(verb, &args.environment, what, &args.when, context).await
        }
        SettingsVerb::Edit(args) => match edit::edit(args, context).await? {
            Some((set, unset)) => {
                let what = edited(set, unset);
                change(verb, &args.environment, what, &args.when, context).await
            }
            None => {
                context.ui.note("Nothing was changed.");
                Ok(Exit::Done)
            }
        },
        SettingsVerb::Seal(args) => seal::seal(args, context),
        SettingsVerb::Unseal(args) => seal::unseal(args, context).await,
        SettingsVerb::Rollback(args) => {
            let what = match args.number {
                Some(number) => What::Change(SettingsChange::Restore { number }),
                None => What::Previous,
            };
            change(verb, &args.environment, what, &args.when, context).await
        }
    }
}

fn edited(set: Settings, unset: Vec<SettingName>) -> What {
    What::Change(SettingsChange::Edit { set, unset })
}

async fn change(
    verb: &'static str,
    environment: &str,
    what: What,
    when: &When,
    context: &Context,
) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(environment)?;
    let app = context.app(environment)?;
    let plan = Plan::new(environment, &app, &when.hosts.selection())?;
    let goal = Goal::Settings(NewSettings {
        what,
        later: when.later,
    });
    let skip_offline = when.hosts.skip_offline;
    fleet_run::run(verb, environment, plan, goal, skip_offline, context).await
}
