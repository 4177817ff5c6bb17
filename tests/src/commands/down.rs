//! `cargo lab down`: takes the hosts down and leaves nothing behind.

use std::process::ExitCode;

use super::Done;
use crate::place::Place;
use crate::{lab, privilege, say};

/// Clears the lab.
pub fn run() -> Done {
    let place = Place::from_environment()?;
    privilege::become_root()?;
    let claim = lab::claim(&place)?;
    lab::down(&place, &claim)?;
    say::line(&format!("the lab {:?} is down", place.name()));
    Ok(ExitCode::SUCCESS)
}
