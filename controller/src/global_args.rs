//! The options that every verb has.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// What every verb understands, before or after the verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options everywhere")]
pub(crate) struct GlobalArgs {
    /// The inventory; else inventory.toml in this folder or a parent
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "LONGSHORE_INVENTORY",
        hide_env_values = true
    )]
    pub(crate) inventory: Option<PathBuf>,

    /// The app; else that of the longshore.toml here, else the environment's only one
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) app: Option<String>,

    /// One JSON object a line on standard output; words for people go to standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Answer yes to every question; without a terminal nothing is asked anyway
    #[arg(long, short = 'y', global = true)]
    pub(crate) yes: bool,

    /// Say more about what happens; -vv shows the SSH library's own words too
    #[arg(long, short = 'v', global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}
