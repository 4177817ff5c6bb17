//! What differs on a host, and how each difference is made good.

use std::error::Error;
use std::fmt;

use longshore_shared::setup::{Plan, SetupFailure};

use super::talk::Talk;
use crate::command;
use crate::operation::chain;

type Act = Box<dyn FnOnce(&mut Talk) -> Result<(), SetupFailure>>;

/// One difference.
pub(super) struct Change {
    pub(super) what: String,
    pub(super) act: Act,
    /// Nothing else needs it: the rest of the host is set up whether or not it succeeds.
    pub(super) apart: bool,
}

impl fmt::Debug for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

/// All of them, and what is to be said beside.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) changes: Vec<Change>,
    pub(super) notes: Vec<String>,
    /// What is not as the inventory wants it, and not for this run to change.
    pub(super) lacks: Vec<String>,
    pub(super) problems: Vec<SetupFailure>,
}

impl Planned {
    pub(super) fn change(
        &mut self,
        what: impl Into<String>,
        act: impl FnOnce(&mut Talk) -> Result<(), SetupFailure> + 'static,
    ) {
        self.add(what.into(), Box::new(act), false);
    }

    /// The same for what nothing else needs: one person's home, a certificate, swap.
    pub(super) fn change_apart(
        &mut self,
        what: impl Into<String>,
        act: impl FnOnce(&mut Talk) -> Result<(), SetupFailure> + 'static,
    ) {
        self.add(what.into(), Box::new(act), true);
    }

    fn add(&mut self, what: String, act: Act, apart: bool) {
        self.changes.push(Change { what, act, apart });
    }

    /// A difference that only people can end: told in every run, and counted by `--check`.
    pub(super) fn lack(&mut self, lack: impl Into<String>) {
        self.lacks.push(lack.into());
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn problem(&mut self, what: impl Into<String>, next: impl Into<String>) {
        self.problems.push(SetupFailure {
            what: what.into(),
            next: next.into(),
        });
    }

    pub(super) fn in_words(&self, host: String) -> Plan {
        Plan {
            host,
            changes: self.changes.iter().map(|one| one.what.clone()).collect(),
            notes: self.notes.clone(),
            lacks: self.lacks.clone(),
            problems: self.problems.clone(),
        }
    }
}

/// A failure with all its causes.
pub(super) fn because(error: &dyn Error, next: &str) -> SetupFailure {
    SetupFailure {
        what: chain(error),
        next: next.to_owned(),
    }
}

/// What to do about a failure whose cause is in its own words.
pub(super) const AGAIN: &str =
    "mend that on the host, then bootstrap again: it goes on where it stopped";

/// The same, as most failures have it.
pub(super) fn failed<E: Error>(error: E) -> SetupFailure {
    because(&error, AGAIN)
}

/// Runs a program of the host for a change.
pub(super) fn run(program: &str, words: &[&str]) -> Result<(), SetupFailure> {
    command::run(program, words).map(drop).map_err(failed)
}
