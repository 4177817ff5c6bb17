//! Whether a slot is healthy, asked through its own socket, and proof that it is the new release
//! that answers.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use longshore_shared::manifest::Manifest;
use longshore_shared::wire::latest::Slot;

use super::probe::{Answer, ProbeError, ask_socket};
use crate::layout::AppLayout;
use crate::operation::{Operation, Trouble, chain};
use crate::systemd;

/// One probe takes no longer, whatever the app file allows in all.
const LONGEST_PROBE: Duration = Duration::from_secs(5);
/// While nothing listens yet a look costs next to nothing.
const UNTIL_LISTENING: Duration = Duration::from_millis(10);
const BETWEEN_PROBES: Duration = Duration::from_millis(150);
/// Asking systemd takes a process each time.
const BETWEEN_UNIT_LOOKS: Duration = Duration::from_millis(250);
/// Good answers in a row, so that one lucky worker is not taken for health.
const GOOD_IN_A_ROW: u32 = 2;
const LINES_OF_LOG: usize = 50;

/// A slot that is to become healthy.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) layout: &'a AppLayout,
    pub(super) slot: Slot,
    pub(super) manifest: &'a Manifest,
    pub(super) domain: Option<&'a str>,
    /// Where the log of a failure begins.
    pub(super) started: Timestamp,
}

/// One look at the live slot, for a status.
pub(crate) fn is_healthy(
    layout: &AppLayout,
    slot: Slot,
    manifest: &Manifest,
    domain: Option<&str>,
) -> bool {
    let candidate = Candidate {
        layout,
        slot,
        manifest,
        domain,
        started: Timestamp::UNIX_EPOCH,
    };
    // A process that was killed once and came back is as good as any other.
    candidate.look(Duration::from_secs(2)).is_ok()
}

impl Candidate<'_> {
    /// Waits until the slot is healthy, has crashed, or the time is over.
    pub(super) fn wait(&self, operation: &Operation) -> Result<(), Trouble> {
        let health = &self.manifest.app_file.web.health;
        let deadline = Instant::now() + health.timeout.duration();
        let mut look_at_unit = Instant::now() + BETWEEN_UNIT_LOOKS;
        let mut good = 0;
        loop {
            if operation.is_cancelled() {
                return Err(Trouble::cancelled());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let seen = match self.look(left.min(LONGEST_PROBE).max(UNTIL_LISTENING)) {
                Ok(()) => {
                    good += 1;
                    if good == GOOD_IN_A_ROW {
                        return self.still_runs();
                    }
                    continue;
                }
                Err(seen) => seen,
            };
            good = 0;
            if Instant::now() >= deadline {
                let what = format!("it did not become healthy within {}", health.timeout);
                return Err(self.failure(what, Some(seen.words)));
            }
            if Instant::now() >= look_at_unit {
                self.must_run(&seen.words)?;
                look_at_unit = Instant::now() + BETWEEN_UNIT_LOOKS;
            }
            std::thread::sleep(if seen.listening {
                BETWEEN_PROBES
            } else {
                UNTIL_LISTENING
            });
        }
    }

    /// A release that answers and dies is not healthy.
    fn still_runs(&self) -> Result<(), Trouble> {
        self.must_run("it answered, and then stopped")
    }

    fn must_run(&self, seen: &str) -> Result<(), Trouble> {
        let unit = self.layout.unit(self.slot);
        match systemd::state(&unit) {
            Ok(state) if state.crashed => Err(self.failure(
                format!("it stopped by itself ({})", state.how),
                Some(seen.to_owned()),
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(Trouble::because(
                &error,
                "systemd has to answer on this host",
            )),
        }
    }

    fn look(&self, patience: Duration) -> Result<(), Seen> {
        let health = &self.manifest.app_file.web.health;
        self.ask(health.path.as_str(), patience)?;
        let Some(path) = &health.version else {
            return Ok(());
        };
        let answer = self.ask(path.as_str(), patience)?;
        let (found, wanted) = (answer.body.trim(), self.manifest.version.to_string());
        if found == wanted {
            return Ok(());
        }
        let found: String = crate::command::printable(&found.chars().take(80).collect::<String>());
        Err(Seen::answer(format!(
            "{path} says version {found:?}, and {wanted} was started"
        )))
    }

    fn ask(&self, path: &str, patience: Duration) -> Result<Answer, Seen> {
        let host = self.domain.unwrap_or("localhost");
        let is_own = |listener| self.is_own(listener);
        let answer = match ask_socket(&self.layout.socket(self.slot), is_own, host, path, patience)
        {
            Ok(answer) => answer,
            Err(error @ ProbeError::Nobody(_)) => {
                return Err(Seen {
                    listening: false,
                    words: chain(&error),
                });
            }
            Err(ProbeError::Stranger) => {
                let unit = self.layout.unit(self.slot);
                return Err(Seen::answer(format!(
                    "what listens on the slot's socket is not {unit}"
                )));
            }
            Err(error) => return Err(Seen::answer(format!("{path}: {}", chain(&error)))),
        };
        if !(200..300).contains(&answer.status) {
            let start: String = answer.body.trim().chars().take(200).collect();
            let start = crate::command::printable(&start.replace('\n', " "));
            return Err(Seen::answer(format!(
                "{path} answers {}: {start}",
                answer.status
            )));
        }
        Ok(answer)
    }

    /// The kernel tells which process listens, and systemd which unit that is in.
    fn is_own(&self, listener: Option<i32>) -> bool {
        let Some(pid) = listener else { return false };
        let unit = self.layout.unit(self.slot);
        let groups = fs_err::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        groups
            .lines()
            .any(|line| line.split('/').any(|part| part == unit))
    }

    fn failure(&self, what: String, probe: Option<String>) -> Trouble {
        let version = &self.manifest.version;
        let trouble = Trouble::failed(
            format!("{version} was started beside the live release, but {what}"),
            "read its log, correct the app, then deploy again",
        );
        let unit = self.layout.unit(self.slot);
        let trouble = trouble.with_log(systemd::log(&unit, LINES_OF_LOG, Some(self.started)));
        match probe {
            Some(seen) => trouble.with_probe(seen),
            None => trouble,
        }
    }
}

/// Why a look did not find health.
struct Seen {
    listening: bool,
    words: String,
}

impl Seen {
    fn answer(words: String) -> Self {
        Self {
            listening: true,
            words,
        }
    }
}
