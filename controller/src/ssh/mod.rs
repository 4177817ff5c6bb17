//! SSH to hosts.

mod config_file;
mod config_line;
mod known_hosts;

pub use config_file::{ConfigError, HostSettings, settings_for};
pub use known_hosts::{KnownHosts, KnownHostsError, Place, Verdict, lookup_name};
