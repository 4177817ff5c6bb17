//! `cargo lab test`: every check there is, or one of them.

use std::process::ExitCode;
use std::time::Instant;

use super::Done;
use crate::gates::{self, Gate};
use crate::{machine, privilege, say};

/// Runs all gates in order, also after one has failed, and says which held.
pub fn run(words: &[String]) -> Done {
    let chosen = match words.first() {
        None => Gate::ALL.to_vec(),
        Some(name) => vec![Gate::named(name)?],
    };
    let rest = words.get(1..).unwrap_or_default();
    if chosen.iter().any(|gate| gate.needs_tools()) {
        privilege::become_root()?;
        machine::prepare()?;
    }
    let mut verdicts = Vec::new();
    for gate in chosen {
        say::step(gate.name());
        let begun = Instant::now();
        let verdict = gates::pass(gate, rest);
        if let Err(error) = &verdict {
            say::error(error);
        }
        verdicts.push((gate, verdict.is_ok(), begun.elapsed().as_secs_f64()));
    }
    say::step("In short");
    for (gate, held, seconds) in &verdicts {
        let verdict = if *held { "ok" } else { "FAILED" };
        say::line(&format!("{:<8} {verdict:<7} {seconds:>6.1} s", gate.name()));
    }
    let all = verdicts.iter().all(|(_, held, _)| *held);
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
