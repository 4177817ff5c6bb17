//! `cargo lab up N`: hosts that stay until `down`.

use std::process::ExitCode;
use std::time::Instant;

use super::Done;
use crate::base::Suite;
use crate::lab::{self, Lab, Plan};
use crate::place::Place;
use crate::provision::{Bare, Login};
use crate::{binaries, machine, privilege, sample, say};

/// Boots the hosts.
pub fn run(hosts: usize, agent: bool, bare: Option<Suite>) -> Done {
    let place = Place::from_environment()?;
    privilege::become_root()?;
    machine::prepare()?;
    let claim = lab::claim(&place)?;
    let product = if agent || bare.is_some() {
        Some(binaries::product()?)
    } else {
        None
    };
    let plan = Plan {
        hosts,
        environment: String::from("demo"),
        apps: sample::apps(),
        product: product.clone().filter(|_| bare.is_none()),
        bare: bare.map(|suite| Bare {
            suite,
            login: Login::Root,
        }),
    };
    let started = Instant::now();
    let lab = Lab::up(&place, &plan, &claim)?;
    if let Some(product) = product.filter(|_| bare.is_some()) {
        lab.offer_agent(&product.agent)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    say::step(&format!("{hosts} hosts are up after {seconds:.1} s"));
    lab::describe(&lab);
    say::line(&format!("inventory: {}", place.inventory().display()));
    if bare.is_some() {
        say::line("next: cargo lab longshore bootstrap demo");
    }
    say::line("next: cargo lab ssh web-1 | cargo lab longshore status demo | cargo lab down");
    Ok(ExitCode::SUCCESS)
}
