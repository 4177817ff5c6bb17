//! What a story is, and how its failure is told.

use std::error::Error;

use libtest_mimic::Failed;
use longshore_lab::say;

use crate::stage;

/// How a story ends: what it expects it asserts, what it needs it takes with `?`.
pub(crate) type Told = Result<(), Box<dyn Error>>;

/// One story.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) tell: fn() -> Told,
}

/// Tells it, and gives a failure all its causes. Says how long it took with its hosts in hand: all of
/// them together are most of what the tests take.
pub(crate) fn run(name: &str, tell: fn() -> Told) -> Result<(), Failed> {
    let told = tell();
    if let Some(seconds) = stage::seconds_with_hosts() {
        say::line(&format!("{seconds:.0} s  {name}"));
    }
    told.map_err(|error| Failed::from(say::causes(error.as_ref())))
}
