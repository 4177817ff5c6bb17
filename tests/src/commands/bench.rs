//! `cargo lab bench`: Longshore beside what people do without it.

use std::process::ExitCode;

use super::Done;
use crate::bench::{self, Options};
use crate::place::Place;
use crate::{binaries, lab, machine, privilege, say};

/// Measures; with `--check` a missed goal is a failure.
pub fn run(words: &[String]) -> Done {
    let options = match Options::read(words) {
        Ok(options) => options,
        Err(error) => {
            say::error(&error);
            return Ok(ExitCode::from(2));
        }
    };
    let place = Place::from_environment()?.beside("bench")?;
    privilege::become_root()?;
    machine::prepare()?;
    let claim = lab::claim(&place)?;
    say::step("Building the agent and the controller");
    let product = binaries::product()?;
    let binary = binaries::controller()?;
    if options.bootstrap {
        let held = bench::setup::run(&place, &claim, options.runs, &product, &binary)?;
        return Ok(ended(held, options.check));
    }
    let held = bench::run(&place, &claim, &options, product, &binary)?;
    Ok(ended(held, options.check))
}

fn ended(held: bool, check: bool) -> ExitCode {
    if held || !check {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
