//! How far the sending of a release is, to each host and in all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use longshore_shared::name::HostName;

use crate::event::Sending;

/// Before that, how long the rest takes is a guess.
const WORTH_A_GUESS: Duration = Duration::from_millis(500);

/// All that is or was on its way.
#[derive(Debug, Default)]
pub(super) struct Shipping {
    hosts: BTreeMap<HostName, (Sending, Instant)>,
}

impl Shipping {
    /// Takes in how far one host is, and says it.
    pub(super) fn note(&mut self, host: &HostName, sending: Sending) -> String {
        let entry = self.hosts.entry(host.clone());
        let (now, begun) = entry.or_insert_with(|| (sending, Instant::now()));
        if sending.covered < now.covered {
            // The line was lost, and what was covered is not lacking any more.
            *begun = Instant::now();
        }
        *now = sending;
        words(&sending, begun.elapsed())
    }

    /// How far all of them are; nothing where one host is all.
    pub(super) fn total(&self) -> Option<String> {
        let begun = self.hosts.values().map(|(_, begun)| *begun).min()?;
        let sum = |of: fn(&Sending) -> u64| {
            let all = self.hosts.values().map(|(one, _)| of(one));
            all.fold(0u64, u64::saturating_add)
        };
        let all = Sending {
            release: sum(|one| one.release),
            lacking: sum(|one| one.lacking),
            covered: sum(|one| one.covered),
            sent: sum(|one| one.sent),
        };
        (self.hosts.len() > 1).then(|| words(&all, begun.elapsed()))
    }
}

fn words(sending: &Sending, since: Duration) -> String {
    let mut text = format!(
        "sending, {} sent, {} saved",
        bytes(sending.sent),
        bytes(sending.saved())
    );
    let left = sending.lacking.saturating_sub(sending.covered);
    if left > 0 && sending.covered > 0 && since >= WORTH_A_GUESS {
        let seconds = since.as_secs_f64() * left as f64 / sending.covered as f64;
        text.push_str(&format!(", {} left", time(seconds)));
    }
    text
}

fn time(seconds: f64) -> String {
    if seconds < 90.0 {
        return format!("{seconds:.0} s");
    }
    format!("{:.0} min", seconds / 60.0)
}

pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    for (unit, size) in UNITS {
        if count >= size {
            return format!("{:.1} {unit}", count as f64 / size as f64);
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_saved_and_left_is_said() {
        let sending = Sending {
            release: 60_000_000,
            lacking: 20_000_000,
            covered: 5_000_000,
            sent: 1_000_000,
        };
        let at_first = words(&sending, Duration::from_millis(100));
        assert_eq!(at_first, "sending, 1.0 MB sent, 44.0 MB saved");
        let later = words(&sending, Duration::from_secs(4));
        assert_eq!(later, "sending, 1.0 MB sent, 44.0 MB saved, 12 s left");
        let slow = words(&sending, Duration::from_secs(60));
        assert!(slow.ends_with("3 min left"), "{slow}");
        let done = Sending {
            covered: 20_000_000,
            ..sending
        };
        assert!(!words(&done, Duration::from_secs(60)).contains("left"));
    }

    #[test]
    fn hosts_add_up() {
        let mut shipping = Shipping::default();
        let sending = Sending {
            release: 2_000_000,
            lacking: 2_000_000,
            covered: 1_000_000,
            sent: 500_000,
        };
        for name in ["web-1", "web-2"] {
            assert_eq!(shipping.total(), None);
            shipping.note(&HostName::new(name).unwrap(), sending);
        }
        let total = shipping.total().unwrap();
        assert_eq!(total, "sending, 1.0 MB sent, 1.0 MB saved");
    }
}
