//! What a story is, and how its failure is told.

use std::error::Error;

use libtest_mimic::Failed;
use longshore_lab::say;

/// How a story ends: what it expects it asserts, what it needs it takes with `?`.
pub(crate) type Told = Result<(), Box<dyn Error>>;

/// One story.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) tell: fn() -> Told,
}

/// Tells it, and gives a failure all its causes.
pub(crate) fn run(tell: fn() -> Told) -> Result<(), Failed> {
    tell().map_err(|error| Failed::from(say::causes(error.as_ref())))
}
