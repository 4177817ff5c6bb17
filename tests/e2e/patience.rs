//! Waiting for what has to come, and no longer.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Looks until `seen` says yes; `what` is told when it did not in time. How long it took.
pub(crate) fn until(
    what: &str,
    seconds: u64,
    mut seen: impl FnMut() -> Result<bool, Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    while !seen()? {
        if begun.elapsed() > Duration::from_secs(seconds) {
            return Err(format!("{what}: not within {seconds} s").into());
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    Ok(begun.elapsed())
}
