//! `longshore-agent setup`: makes this host what the inventory wants it to be, as root, for
//! `longshore bootstrap`.
//!
//! facts → plan → changes. Each part of a host looks at it and plans what differs, in words; a
//! change that was made is not planned again. So a run that was cut short is finished by the next
//! one, and a run is over only when nothing differs any more.

mod accounts;
mod agent;
mod certificates;
mod departed;
mod dotfiles;
mod facts;
mod files;
mod firewall;
mod guard;
mod home_keys;
mod homes;
mod host_files;
mod kernel;
mod lists;
mod lockout;
mod nginx;
mod outsiders;
mod packages;
mod pending;
mod people;
mod plan;
mod ports;
mod sshd;
mod sudoers;
mod swap;
mod system;
mod talk;
mod units;

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_shared::setup::{Desired, FromSetup, SetupFailure, ToSetup};

use facts::Facts;
use plan::Planned;
use talk::Talk;

pub(crate) use guard::{confirm, take_back};

/// One thing may become possible by another: a unit by its package. Nothing takes more rounds.
const MOST_ROUNDS: usize = 4;
/// The controller sends what it wants at once, and knows at once what to do about a plan.
const PATIENCE: Duration = Duration::from_secs(60);

/// The whole conversation. Whether the host is as it should be.
pub(crate) fn setup() -> bool {
    // Whoever called may have kept everything to themselves; a host's folders are for all to pass.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut talk = Talk::on_standard_streams();
    match converse(&mut talk) {
        Ok(()) => true,
        Err(failure) => {
            talk.say(&FromSetup::Failed(failure));
            false
        }
    }
}

fn converse(talk: &mut Talk) -> Result<(), SetupFailure> {
    let ToSetup::Desired(desired) = talk.hear(PATIENCE)? else {
        return Err(talk::out_of_turn());
    };
    let _alone = guard::only_one_setup()?;
    let facts = Facts::gather()?;
    let mut planned = plan_all(&desired, &facts)?;
    talk.say(&FromSetup::Plan(planned.in_words(facts.to_string())));
    if !planned.problems.is_empty() {
        return Ok(());
    }
    // Whoever wanted the plan alone says nothing more.
    let Ok(ToSetup::Go) = talk.hear(PATIENCE) else {
        return Ok(());
    };
    let mut made = 0;
    // What could not be done is not tried again in the same run.
    let mut missed = BTreeSet::new();
    for _ in 0..=MOST_ROUNDS {
        planned
            .changes
            .retain(|change| !missed.contains(&change.what));
        if planned.changes.is_empty() {
            talk.say(&FromSetup::Done {
                changes: made,
                notes: planned.notes,
                lacks: planned.lacks,
            });
            return Ok(());
        }
        for change in std::mem::take(&mut planned.changes) {
            talk.say(&FromSetup::Begin(change.what.clone()));
            talk.still_heard()?;
            match (change.act)(talk) {
                Ok(()) => made += 1,
                Err(failure) if change.apart => {
                    talk.say(&FromSetup::Missed(SetupFailure {
                        what: format!("{}: {}", change.what, failure.what),
                        next: failure.next,
                    }));
                    missed.insert(change.what);
                }
                Err(failure) => return Err(failure),
            }
        }
        for failure in pending::load_all() {
            if missed.insert(failure.what.clone()) {
                talk.say(&FromSetup::Missed(failure));
            }
        }
        missed.extend(pending::words());
        planned = plan_all(&desired, &Facts::gather()?)?;
        if let Some(problem) = planned.problems.pop() {
            return Err(problem);
        }
    }
    let left = planned.changes.iter().map(|change| change.what.as_str());
    Err(SetupFailure {
        what: format!(
            "this still differs after it was changed: {}",
            left.collect::<Vec<_>>().join("; ")
        ),
        next: "something on this host changes it back: find out what, then bootstrap again"
            .to_owned(),
    })
}

/// Every part of a host, in the order in which one needs another.
fn plan_all(desired: &Desired, facts: &Facts) -> Result<Planned, SetupFailure> {
    let mut planned = Planned::default();
    guard::plan(&mut planned);
    packages::plan(desired, facts, &mut planned);
    system::plan(&desired.system, facts, &mut planned);
    swap::plan(&desired.system, facts, &mut planned);
    people::plan(desired, facts, &mut planned)?;
    host_files::plan(desired, &mut planned)?;
    agent::plan(desired, facts, &mut planned)?;
    nginx::plan(desired, facts, &mut planned);
    sshd::plan(desired, facts, &mut planned);
    firewall::plan(desired, facts, &mut planned);
    // What this very run came in by is taken last.
    sudoers::plan_gone(desired, &mut planned);
    // Last, for it may fail for reasons beyond this host.
    certificates::plan(desired, facts, &mut planned);
    pending::plan(&mut planned);
    Ok(planned)
}
