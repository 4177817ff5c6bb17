//! Who gets an app's lock, who waits for it, and who is refused.

use std::time::{Duration, Instant};

use longshore_shared::digest::Sha256Digest;
use longshore_shared::instance::Instance;
use longshore_shared::name::EnvironmentName;
use longshore_shared::wire::latest::{Event, FromAgent, Reply, StepState};

use super::gate::locked;
use super::session::Session;
use crate::host::Right;
use crate::locks::Holder;
use crate::operation::Trouble;
use crate::peer::PeerError;

/// How soon whoever waits is seen to have left.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Whoever brings the same release may be slow; nobody waits for them for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Root, who need not wait for somebody who has begun nothing, gives them this to begin.
const TIME_TO_BEGIN: Duration = Duration::from_secs(10);

impl Session<'_> {
    /// Whoever brings the release that somebody else is bringing waits, and finds it here. The outer
    /// error ends the connection.
    pub(super) fn lock(
        &mut self,
        environment: &EnvironmentName,
        app: &Instance,
        verb: &str,
        release: Option<Sha256Digest>,
    ) -> Result<Result<Reply, Trouble>, PeerError> {
        let holder = match self.may_lock(environment, app, verb) {
            Ok(holder) => holder,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let mut told = false;
        let since = Instant::now();
        loop {
            let taken = self
                .agent
                .locks
                .take(app, self.claimant, holder.clone(), release);
            match taken {
                Ok(()) => return Ok(Ok(Reply::Locked)),
                Err(busy)
                    if busy.same_release
                        && !self.peer.stirs()
                        && since.elapsed() < LONGEST_WAIT =>
                {
                    if matches!(holder, Holder::Root(_))
                        && since.elapsed() > TIME_TO_BEGIN
                        && self.take_over(app, &holder, release)
                    {
                        return Ok(Ok(Reply::Locked));
                    }
                    if !told {
                        let detail = format!("waiting: {} brings the same release", busy.holder);
                        self.peer.send(&[note("lock", detail)])?;
                        told = true;
                    }
                    self.agent.locks.wait(app, BETWEEN_LOOKS);
                }
                Err(busy) => return Ok(Err(locked(app, &busy.holder))),
            }
        }
    }

    fn take_over(&self, app: &Instance, holder: &Holder, release: Option<Sha256Digest>) -> bool {
        let locks = &self.agent.locks;
        locks.take_over(app, self.claimant, holder.clone(), release)
    }

    fn may_lock(
        &self,
        environment: &EnvironmentName,
        app: &Instance,
        verb: &str,
    ) -> Result<Holder, Trouble> {
        let host = self.allowed(Right::Deploy)?;
        if host.environment != *environment {
            let what = format!(
                "this host belongs to {}, not to {environment}",
                host.environment
            );
            return Err(Trouble::refused(
                what,
                "correct the host's address in the inventory",
            ));
        }
        self.may_be_here(&host, app)?;
        let name = &self.peer.person().name;
        let words = format!("{} by {name}", short(verb));
        Ok(if name == "root" {
            Holder::Root(words)
        } else {
            Holder::Somebody(words)
        })
    }
}

fn note(step: &str, detail: String) -> FromAgent {
    FromAgent::Event(Event {
        step: step.to_owned(),
        state: StepState::Note,
        detail: Some(detail),
    })
}

/// A verb as a peer calls it, fit for a message to somebody else.
fn short(verb: &str) -> String {
    verb.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(40)
        .collect()
}
