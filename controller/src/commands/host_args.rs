//! The words that choose hosts, the same for every verb that talks to hosts.

use clap::Args;

use crate::inventory::HostSelection;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hosts")]
pub(crate) struct HostArgs {
    /// Only these hosts: a name, a glob such as 'web-*', or a role such as @web; repeatable
    #[arg(long, value_name = "NAME|@ROLE|GLOB", value_delimiter = ',')]
    pub(crate) on: Vec<String>,

    /// Not these hosts; repeatable, and stronger than --on
    #[arg(long, value_name = "NAME|@ROLE|GLOB", value_delimiter = ',')]
    pub(crate) exclude: Vec<String>,

    /// Go on without the hosts that cannot be reached
    #[arg(long)]
    pub(crate) skip_offline: bool,
}

impl HostArgs {
    pub(crate) fn selection(&self) -> HostSelection {
        HostSelection::new(&self.on, &self.exclude)
    }
}
