//! `longshore build`: from a commit to a signed release in `dist/`.

use std::path::PathBuf;

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;

/// Build a signed release of this repository's app
///
/// Exports the commit into a clean folder, runs the app file's [build] steps there, and writes
/// dist/APP-VERSION.tar.gz, .json (the manifest) and .json.sig. The same commit gives the same bytes
/// on any machine. Nothing is sent anywhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore build                             the commit that is checked out
  longshore build --ref v1.4.0 --version 1.4.0
  longshore build --key ~/.ssh/release_ed25519.pub    the private half is in ssh-agent")]
pub(crate) struct BuildArgs {
    /// The commit, branch or tag to build; else HEAD
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) git_ref: Option<String>,

    /// The release's version (semver); else from the newest tag and the commit
    #[arg(long, value_name = "X.Y.Z")]
    pub(crate) version: Option<semver::Version>,

    /// Sign with this SSH key; else LONGSHORE_SIGNING_KEY, git's user.signingkey, or the only key in
    /// ssh-agent
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// Build although files here differ from the commit; the manifest will say so
    #[arg(long)]
    pub(crate) allow_dirty: bool,
}

pub(crate) fn run(_args: &BuildArgs, _context: &Context) -> Result<Exit, CommandError> {
    Err(CommandError::failed(
        "this build of longshore cannot build releases yet",
    ))
}
