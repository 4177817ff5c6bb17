//! `longshore version`.

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::report::result_line;

/// Print the version of this program
///
/// Connects nowhere. The agents' versions are in `longshore status ENV`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore version
  longshore version --json")]
pub(crate) struct VersionArgs {}

pub(crate) fn run(_args: &VersionArgs, context: &Context) -> Result<Exit, CommandError> {
    let version = env!("CARGO_PKG_VERSION");
    context.ui.answer(&format!("longshore {version}"));
    let rest = serde_json::json!({"version": version});
    context
        .ui
        .machine(&result_line("version", Exit::Done, rest));
    Ok(Exit::Done)
}
