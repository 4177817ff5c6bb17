//! `cargo lab up N`: hosts that stay until `down`.

use std::process::ExitCode;
use std::time::Instant;

use super::Done;
use crate::lab::{self, Lab, Plan};
use crate::place::Place;
use crate::provision::App;
use crate::{machine, privilege, say};

/// Boots the hosts.
pub fn run(hosts: usize, _agent: bool) -> Done {
    let place = Place::from_environment()?;
    privilege::become_root()?;
    machine::prepare()?;
    let claim = lab::claim(&place)?;
    let started = Instant::now();
    let plan = Plan {
        hosts,
        environment: String::from("demo"),
        apps: apps(),
        product: None,
    };
    let lab = Lab::up(&place, &plan, &claim)?;
    say::step(&format!(
        "{hosts} hosts are up after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    lab::describe(&lab);
    say::line(&format!("inventory: {}", place.inventory().display()));
    Ok(ExitCode::SUCCESS)
}

/// The apps that every host of the lab may run.
pub fn apps() -> Vec<App> {
    ["cortico", "tiny"]
        .map(|name| App {
            name: name.to_owned(),
            domain: format!("{name}.test"),
        })
        .into()
}
