//! `longshore completions SHELL` and `longshore man FOLDER`: the command line, told to a shell and
//! to `man`.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::completions::{registration, write_man_pages};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;

/// Make your shell complete verbs, environments, hosts and versions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(longshore completions bash)          in ~/.bashrc
  source <(longshore completions zsh)           in ~/.zshrc, after compinit
  longshore completions fish | source           in ~/.config/fish/config.fish")]
pub(crate) struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: String,
}

/// Write the man pages into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore man ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Where the pages go
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs, context: &Context) -> Result<Exit, CommandError> {
    let script = registration(&args.shell)?;
    context.ui.answer(script.trim_end());
    Ok(Exit::Done)
}

pub(crate) fn man(args: &ManArgs, command: Command) -> Result<Exit, CommandError> {
    write_man_pages(command, &args.folder).map_err(|error| {
        CommandError::failed("the man pages cannot be written").caused_by(error)
    })?;
    Ok(Exit::Done)
}
