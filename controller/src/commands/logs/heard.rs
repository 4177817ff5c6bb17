//! Lines that came and are not shown yet: those of all hosts by time, and each once.
//!
//! Whoever follows is told first what was said before, which ends, and then what is said from its last line
//! on. Only so are the last lines those of all hosts, in order, however late a host answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use longshore_shared::name::HostName;
use longshore_shared::wire::latest::LogLine;

use crate::event::{HostEvent, Report, RunEvent};

/// nginx's own file tells seconds, journald microseconds.
const NGINX: &str = "nginx";

#[derive(Default)]
pub(super) struct Heard(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    waiting: Vec<(HostName, LogLine)>,
    hosts: BTreeMap<HostName, Seen>,
}

/// The end of what a host said before.
#[derive(Default)]
struct Seen {
    /// By whether it is nginx's file: the last time, and all that was said then.
    last: BTreeMap<bool, (Timestamp, Vec<String>)>,
    follows: bool,
}

impl Heard {
    /// All of them, in order.
    pub(super) fn take(&self) -> Vec<(HostName, LogLine)> {
        let mut lines = std::mem::take(&mut self.lines().waiting);
        lines.sort_by_key(|(_, line)| line.at);
        lines
    }

    /// From now on this host is followed: since the second of its last line, or the beginning.
    pub(super) fn follow(&self, host: &HostName) -> Option<Timestamp> {
        let mut lines = self.lines();
        let seen = lines.hosts.entry(host.clone()).or_default();
        seen.follows = true;
        let last = seen.last.values().map(|(at, _)| *at).max()?;
        Timestamp::from_second(last.as_second()).ok()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether nobody was told of this line yet.
    fn is_new(&mut self, line: &LogLine) -> bool {
        let last = self.last.get_mut(&(line.of == NGINX));
        if self.follows {
            let Some((at, texts)) = last else { return true };
            let known = texts.iter().position(|text| *text == line.text);
            return match known.filter(|_| line.at == *at) {
                Some(known) => {
                    texts.swap_remove(known);
                    false
                }
                None => line.at >= *at,
            };
        }
        match last {
            Some((at, texts)) if *at == line.at => texts.push(line.text.clone()),
            Some((at, _)) if *at > line.at => {}
            _ => {
                let texts = vec![line.text.clone()];
                self.last.insert(line.of == NGINX, (line.at, texts));
            }
        }
        true
    }
}

impl Report for Heard {
    fn event(&self, event: RunEvent) {
        if let RunEvent::Host {
            host,
            what: HostEvent::Log(said),
        } = event
        {
            let mut lines = self.lines();
            let seen = lines.hosts.entry(host.clone()).or_default();
            let new: Vec<LogLine> = said.into_iter().filter(|line| seen.is_new(line)).collect();
            let new = new.into_iter().map(|line| (host.clone(), line));
            lines.waiting.extend(new);
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

    #[test]
    fn lines_of_all_hosts_are_shown_by_time() {
        let heard = Heard::default();
        for (host, at) in [("a", 3), ("b", 1), ("a", 4), ("b", 2)] {
            say(&heard, host, "blue", at, &at.to_string());
        }
        assert_eq!(texts(&heard), ["1", "2", "3", "4"]);
        assert_eq!(texts(&heard), [""; 0]);
    }

    #[test]
    fn whoever_follows_is_told_each_line_once() {
        let heard = Heard::default();
        let host = HostName::new("a").unwrap();
        say(&heard, "a", "blue", 1_500, "one");
        say(&heard, "a", "green", 2_500, "two");
        say(&heard, "a", "nginx", 2_000, "error");
        say(&heard, "b", "blue", 9_000, "of another");
        assert_eq!(texts(&heard).len(), 4);
        assert_eq!(heard.follow(&host), Timestamp::from_second(2).ok());
        // All since then comes again, and what is new.
        say(&heard, "a", "blue", 2_400, "not one of the last");
        say(&heard, "a", "green", 2_500, "two");
        say(&heard, "a", "green", 2_500, "two");
        say(&heard, "a", "nginx", 2_000, "error");
        say(&heard, "a", "nginx", 2_000, "another error");
        say(&heard, "a", "blue", 2_600, "three");
        assert_eq!(texts(&heard), ["another error", "two", "three"]);
        let nobody = HostName::new("c").unwrap();
        assert_eq!(heard.follow(&nobody), None);
        say(&heard, "c", "blue", 1, "first");
        assert_eq!(texts(&heard), ["first"]);
    }
}
