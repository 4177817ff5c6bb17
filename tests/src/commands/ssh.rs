//! `cargo lab ssh HOST [COMMAND]`: a shell on a host, or one command.

use std::os::unix::process::CommandExt;

use super::Done;
use crate::lab::Lab;
use crate::place::Place;
use crate::privilege;

/// Becomes an `ssh` to the host.
pub fn run(host: &str, command: &[String]) -> Done {
    let place = Place::from_environment()?;
    privilege::become_root()?;
    let lab = Lab::find(&place)?;
    Err(lab.host(host)?.ssh().args(command).exec().into())
}
