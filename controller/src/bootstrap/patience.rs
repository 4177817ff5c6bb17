//! A person who hears nothing wonders: what takes long is said to take long.

use std::pin::pin;
use std::time::Duration;

use longshore_shared::name::HostName;

use super::Tell;

/// After so long a person wonders.
pub(super) const FIRST_WORD: Duration = Duration::from_secs(5);
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(20);

/// Does `work`, and tells now and then what is being done.
pub(super) async fn telling<T>(
    tell: &dyn Tell,
    host: &HostName,
    what: impl Fn() -> String,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    let mut wait = FIRST_WORD;
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(wait) => tell.say(host, &what()),
        }
        wait = LONGEST_SILENCE;
    }
}
