//! `longshore version`.

use clap::Args;

use crate::agents;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::report::result_line;
use crate::terminal_text::one_line;

/// Print the version of this program
///
/// Also names the agents that it can install on hosts: those beside the program, as the tarball has
/// them, and those in ~/.local/share/longshore/agents/MACHINE/longshore-agent. Connects nowhere; the
/// versions of the agents on hosts are in `longshore status ENV`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore version
  longshore version --json")]
pub(crate) struct VersionArgs {}

pub(crate) fn run(_args: &VersionArgs, context: &Context) -> Result<Exit, CommandError> {
    let version = env!("CARGO_PKG_VERSION");
    context.ui.answer(&format!("longshore {version}"));
    let agents = agents::at_hand();
    for agent in &agents {
        let (machine, path) = (&agent.machine, agent.path.display());
        context
            .ui
            .answer(&one_line(&format!("agent for {machine}: {path}")));
    }
    let agents: Vec<_> = agents
        .iter()
        .map(|agent| serde_json::json!({"machine": agent.machine, "path": agent.path}))
        .collect();
    let rest = serde_json::json!({"version": version, "agents": agents});
    context
        .ui
        .machine(&result_line("version", Exit::Done, rest));
    Ok(Exit::Done)
}
