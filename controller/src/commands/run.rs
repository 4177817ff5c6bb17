//! `longshore run ENV -- COMMAND`: a command in the environment of what serves, on one host.

use std::io::IsTerminal as _;

use clap::Args;

use super::exec::quoted;
use super::ssh::Ssh;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::inventory::HostSelection;
use crate::plan::Plan;

/// Run a command in the environment of what serves, on one host
///
/// As the app's user, in the release that is live, with its settings; at a terminal, with one. On the
/// app's first host, or the one that --on names. Who ran what is in the host's history. Several words
/// are one command with these words; a single one is a line for the shell. Ends with the command's own
/// exit code.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore run production -- python manage.py shell
  longshore run staging --on web-2 -- 'env | sort'
  longshore run staging -- python manage.py loaddata --format=json - < data.json")]
pub(crate) struct RunArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// The host; else the app's first one
    #[arg(long, value_name = "HOST")]
    pub(crate) on: Option<String>,

    /// What to run
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

pub(crate) async fn run(args: &RunArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let on: Vec<String> = args.on.iter().cloned().collect();
    let plan = Plan::new(environment, &app, &HostSelection::new(&on, &[]))?;
    let Some(host) = plan.hosts.first() else {
        return Err(CommandError::usage("no host is chosen"));
    };
    let mut ssh = Ssh::to(&environment.name, host)?;
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        ssh.command.arg("-t");
    }
    let words = args.command.iter().map(|word| quoted(word));
    let words: Vec<String> = words.collect();
    let line = format!(
        "longshore-agent run {} -- {}",
        app.instance,
        words.join(" ")
    );
    ssh.command.arg("--").arg(host.address.host()).arg(line);
    ssh.run().await
}
