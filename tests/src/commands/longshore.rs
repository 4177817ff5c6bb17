//! `cargo lab longshore ARGS`: the controller, as the lab's operator would run it.

use std::os::unix::process::CommandExt;

use super::Done;
use crate::controller::Controller;
use crate::lab::Lab;
use crate::place::Place;
use crate::{binaries, privilege};

/// Becomes the controller.
pub fn run(words: &[String]) -> Done {
    let place = Place::from_environment()?;
    privilege::become_root()?;
    let lab = Lab::find(&place)?;
    let binary = binaries::controller()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let here = std::env::current_dir()?;
    let controller = Controller::of(&lab, &binary).in_folder(&here);
    Err(controller.command(&words).exec().into())
}
