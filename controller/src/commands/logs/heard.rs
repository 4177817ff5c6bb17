//! Lines that came and are not shown yet: those of all hosts by time, and each once.
//!
//! Whoever follows is told first what was said before, which ends, and then what is said from shortly before
//! its last line on. Only so are the last lines those of all hosts, in order, however late a host answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use longshore_shared::name::HostName;
use longshore_shared::wire::latest::LogLine;

use crate::event::{HostEvent, Report, RunEvent};

/// Several programs tell what a host says, and none of them waits for the others.
const OVERLAP: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Heard(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    waiting: Vec<(HostName, LogLine)>,
    hosts: BTreeMap<HostName, Part>,
}

/// What is known of a host.
enum Part {
    /// What it said before, as far as it came.
    Before(Vec<LogLine>),
    Since(Seen),
}

/// The end of what a host said before.
#[derive(Default)]
struct Seen {
    since: Option<Timestamp>,
    /// There were older lines than this, which nobody asked for.
    oldest: Option<Timestamp>,
    known: Vec<LogLine>,
}

impl Heard {
    /// All that can be shown, in order.
    pub(super) fn take(&self) -> Vec<(HostName, LogLine)> {
        let mut lines = std::mem::take(&mut self.lines().waiting);
        lines.sort_by_key(|(_, line)| line.at);
        lines
    }

    /// All was told that this host said before, of which the last `most` lines are shown. From when on it is
    /// to tell what comes: nothing where it said nothing.
    pub(super) fn has_told(&self, host: &HostName, most: usize) -> Option<Timestamp> {
        let mut lines = self.lines();
        let before = lines
            .hosts
            .insert(host.clone(), Part::Since(Seen::default()));
        let Some(Part::Before(mut before)) = before else {
            return None;
        };
        before.sort_by_key(|line| line.at);
        let older = before.len().saturating_sub(most);
        let is_all = before.len() < most;
        let before = before.split_off(older);
        let last = before.last()?.at;
        let since = (last - OVERLAP).as_second();
        let seen = Seen {
            since: Timestamp::from_second(since).ok(),
            oldest: before.first().map(|line| line.at).filter(|_| !is_all),
            known: before
                .iter()
                .filter(|line| line.at.as_second() >= since)
                .cloned()
                .collect(),
        };
        let since = seen.since;
        lines.hosts.insert(host.clone(), Part::Since(seen));
        let shown = before.into_iter().map(|line| (host.clone(), line));
        lines.waiting.extend(shown);
        since
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether nobody was told of this line yet. Clocks can go back, and then what is old is new.
    fn is_new(&mut self, line: &LogLine) -> bool {
        let known = self.known.iter().position(|known| known == line);
        if let Some(known) = known {
            self.known.swap_remove(known);
            return false;
        }
        let (Some(since), Some(oldest)) = (self.since, self.oldest) else {
            return true;
        };
        line.at < since || line.at >= oldest
    }
}

impl Report for Heard {
    fn event(&self, event: RunEvent) {
        let RunEvent::Host {
            host,
            what: HostEvent::Log(mut said),
        } = event
        else {
            return;
        };
        let mut lines = self.lines();
        let part = lines.hosts.entry(host.clone());
        match part.or_insert_with(|| Part::Before(Vec::new())) {
            Part::Before(before) => before.append(&mut said),
            Part::Since(seen) => {
                said.retain(|line| seen.is_new(line));
                let new = said.into_iter().map(|line| (host.clone(), line));
                lines.waiting.extend(new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(heard: &Heard, host: &str, of: &str, at: i64, text: &str) {
        let line = LogLine {
            at: Timestamp::from_millisecond(at).unwrap(),
            of: of.into(),
            text: text.into(),
        };
        heard.event(RunEvent::Host {
            host: HostName::new(host).unwrap(),
            what: HostEvent::Log(vec![line]),
        });
    }

    fn texts(heard: &Heard) -> Vec<String> {
        let lines = heard.take().into_iter();
        lines.map(|(_, line)| line.text).collect()
    }

    fn name(host: &str) -> HostName {
        HostName::new(host).unwrap()
    }

    #[test]
    fn the_last_lines_of_all_hosts_are_shown_by_time() {
        let heard = Heard::default();
        for (host, at) in [("a", 3), ("b", 1), ("a", 4), ("b", 2), ("a", 0)] {
            say(&heard, host, "blue", at, &at.to_string());
        }
        assert_eq!(texts(&heard), [""; 0], "nobody has told all");
        heard.has_told(&name("a"), 2);
        heard.has_told(&name("b"), 2);
        assert_eq!(texts(&heard), ["1", "2", "3", "4"]);
        assert_eq!(texts(&heard), [""; 0]);
    }

    #[test]
    fn whoever_follows_is_told_each_line_once() {
        let heard = Heard::default();
        say(&heard, "a", "blue", 7_400, "not one of the last");
        say(&heard, "a", "green", 7_500, "one");
        say(&heard, "a", "nginx", 8_000, "error");
        say(&heard, "a", "green", 8_500, "two");
        let since = heard.has_told(&name("a"), 3);
        assert_eq!(since, Timestamp::from_second(3).ok());
        assert_eq!(texts(&heard), ["one", "error", "two"]);
        // All since then comes again, and what is new.
        say(&heard, "a", "blue", 7_400, "not one of the last");
        say(&heard, "a", "green", 7_500, "one");
        say(&heard, "a", "green", 8_500, "two");
        say(&heard, "a", "nginx", 8_000, "error");
        say(&heard, "a", "nginx", 8_000, "another error");
        say(&heard, "a", "blue", 8_400, "told late");
        say(&heard, "a", "green", 8_500, "two");
        say(&heard, "a", "blue", 1_000, "the clock went back");
        let new = ["the clock went back", "another error", "told late", "two"];
        assert_eq!(texts(&heard), new);
    }

    #[test]
    fn a_host_that_said_nothing_is_told_whole() {
        let heard = Heard::default();
        assert_eq!(heard.has_told(&name("c"), 0), None);
        say(&heard, "c", "blue", 1, "first");
        assert_eq!(texts(&heard), ["first"]);
    }
}
