//! Longshore measured beside what people do without it, on the same hosts in the same run.
//!
//! The machine is shared by hosts and controller, so seconds say little; ratios within one run say
//! more. Therefore the tools take turns task by task, and medians of all repetitions are told.

mod baseline;
mod building;
mod bulk;
mod figures;
mod floor;
mod goals;
mod measure;
mod options;
mod payload;
mod product;
mod report;
mod round;
pub mod setup;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use thiserror::Error;

use crate::host::Host;
use crate::lab::{self, Claim, Lab, Plan};
use crate::place::Place;
use crate::provision::{App, Product};
use crate::{binaries, controller, host, process, say};
use figures::Figures;
pub use options::{BadOptions, Options};
use payload::Weight;
use round::Round;

const ENVIRONMENT: &str = "bench";
/// Each repetition has an app of its own, which the hosts have to know beforehand.
const MOST_RUNS: usize = 9;

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum Error {
    /// A measured command failed, or hung and was stopped.
    #[error("`{command}` failed, so nothing can be said of its speed:\n{said}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
    /// The end state is not the one that is compared.
    #[error("{tool} left {host} answering {answer:?} instead of {wanted:?}")]
    WrongState {
        /// Which way of deploying.
        tool: &'static str,
        /// Where.
        host: String,
        /// What the site answers.
        answer: String,
        /// What it should.
        wanted: String,
    },
    /// The lab.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// A host.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// The controller.
    #[error(transparent)]
    Controller(#[from] controller::Error),
    /// A program that is measured.
    #[error(transparent)]
    Binaries(#[from] binaries::Error),
    /// Another program.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The figures cannot be written down.
    #[error("could not write the figures as JSON")]
    Json(#[from] serde_json::Error),
}

/// Boots hosts, measures, takes them down again; whether every goal was held.
pub fn run(
    place: &Place,
    claim: &Claim,
    options: &Options,
    product: Product,
    binary: &Path,
) -> Result<bool, Error> {
    let begun = Instant::now();
    let hosts: usize = options.groups.iter().sum();
    say::step(&format!("Booting {hosts} hosts"));
    let app = |name: String| App {
        domain: product::domain(&name),
        name,
    };
    let plan = Plan {
        hosts,
        environment: ENVIRONMENT.to_owned(),
        apps: (1..=MOST_RUNS).map(product::app_name).map(app).collect(),
        product: Some(product),
        bare: None,
    };
    let lab = Lab::up(place, &plan, claim)?;
    let measured = measure_all(&lab, options, binary);
    let down = lab::down(place, claim);
    let (figures, weight) = measured?;
    down?;

    let goals = goals::judge(&figures, &options.groups);
    let shape = format!(
        "{} files, {:.1} MB, {:.2} MB of them in changed files; medians of {}; ratio: wall \
         seconds to the faster baseline's",
        weight.files,
        weight.bytes as f64 / 1e6,
        weight.changed_bytes as f64 / 1e6,
        options.runs
    );
    say::answer(&shape);
    say::answer(&report::table(&figures, &options.groups));
    say::answer(&report::verdicts(&goals));
    let path = json_path(options)?;
    let text = serde_json::to_string_pretty(&json!({
        "files": weight.files, "bytes": weight.bytes, "changed_bytes": weight.changed_bytes,
        "runs": options.runs, "groups": options.groups, "goals": goals, "figures": figures,
    }))?;
    fs_err::write(&path, text)?;
    say::answer(&format!("figures: {}", path.display()));
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    say::line(&format!("measured in {minutes:.1} minutes"));
    Ok(goals.iter().all(|goal| goal.held))
}

fn measure_all(lab: &Lab, options: &Options, binary: &Path) -> Result<(Figures, Weight), Error> {
    let folder = lab.place().folder().join("bench");
    say::step(&format!(
        "Building {} releases",
        options.runs * payload::ALL.len()
    ));
    let (releases, weight) =
        product::Releases::build(&folder.join("repository"), lab, binary, options.runs)?;
    for release in payload::ALL {
        payload::write(&folder.join(release.version), release)?;
    }
    baseline::prepare(&folder, lab)?;
    let mut figures = Figures {
        floor: Some(floor::measure(&folder)?),
        ..Figures::default()
    };
    let groups = groups(&lab.hosts, &options.groups);
    let mut rounds = Vec::new();
    for hosts in groups {
        rounds.push(Round::new(lab, binary, &folder, hosts, &releases)?);
    }
    for run in 1..=options.runs {
        figures
            .builds
            .push(building::measure(&releases, &folder, run)?);
        if let Some(host) = lab.hosts.first() {
            figures.bulks.push(bulk::measure(lab, &folder, host)?);
        }
        for round in &rounds {
            say::step(&format!(
                "Repetition {run} of {} on {} host(s)",
                options.runs,
                round.hosts()
            ));
            round.measure(run, &mut figures)?;
        }
    }
    Ok((figures, weight))
}

/// Hosts of its own for each group, so that a first deployment in one is not a second in another.
fn groups<'a>(mut hosts: &'a [Host], counts: &[usize]) -> Vec<&'a [Host]> {
    let mut groups = Vec::new();
    for count in counts {
        let (group, rest) = hosts.split_at(*count.min(&hosts.len()));
        groups.push(group);
        hosts = rest;
    }
    groups
}

/// Beside what cargo built, unless it was said otherwise.
fn json_path(options: &Options) -> Result<PathBuf, Error> {
    if let Some(path) = &options.json {
        return Ok(path.clone());
    }
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).unwrap_or(Path::new("."));
    Ok(target.join("longshore-bench.json"))
}
