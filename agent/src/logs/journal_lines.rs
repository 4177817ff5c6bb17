//! Lines of journald, as its own program tells them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::{LogLine, LogSource, Slot};
use serde::Deserialize;

use super::{Wanted, bounded};
use crate::journal;
use crate::layout::AppLayout;

const AGENT: &str = "longshore-agent.service";
/// So many of the last lines are looked through for a text, at least.
const LOOKED_THROUGH: u32 = 20_000;

/// What the program is told; nothing where none of its lines are wanted.
pub(super) fn words(layout: &AppLayout, wanted: &Wanted) -> Option<Vec<String>> {
    // Any of these: a unit's own lines, and those of systemd about it.
    let mut any = Vec::new();
    let mut unit = |name: &str, own: Vec<String>| {
        any.push([vec![format!("_SYSTEMD_UNIT={name}")], own].concat());
        any.push(vec![format!("UNIT={name}"), "_PID=1".to_owned()]);
    };
    if wanted.has(LogSource::App) {
        for slot in [Slot::Blue, Slot::Green] {
            unit(&layout.unit(slot), Vec::new());
        }
    }
    // Their units may be gone while their lines are not.
    let named = wanted.processes.iter().cloned();
    let known = [Slot::Blue, Slot::Green].map(|slot| layout.processes(slot));
    let known = known.into_iter().flatten().chain(layout.timers());
    let beside: BTreeSet<ProcessName> = match wanted.has(LogSource::App) {
        true => named.chain(known).collect(),
        false => named.collect(),
    };
    for name in beside {
        for slot in [Slot::Blue, Slot::Green] {
            unit(&layout.process_unit(slot, &name), Vec::new());
        }
        let [service, _] = layout.timer_units(&name);
        unit(&service, Vec::new());
    }
    if wanted.has(LogSource::Agent) {
        // What it keeps of steps has another name, and may be another app's.
        unit(AGENT, vec!["SYSLOG_IDENTIFIER=longshore-agent".to_owned()]);
    }
    if wanted.has(LogSource::Steps) {
        // Whoever else calls themselves so is not root.
        let said = format!("SYSLOG_IDENTIFIER={}", journal::step_identifier(layout));
        any.push(vec![said, "_UID=0".to_owned()]);
    }
    if any.is_empty() {
        return None;
    }
    let mut words: Vec<String> = [
        "--output=json",
        "--output-fields=MESSAGE,_SYSTEMD_UNIT,_PID,_UID,UNIT,SYSLOG_IDENTIFIER",
        "--all",
        "--no-pager",
        "--quiet",
    ]
    .map(str::to_owned)
    .to_vec();
    // What is looked for is looked for here: others see the words of a program.
    let lines = match wanted.grep {
        Some(_) if wanted.lines > 0 => wanted.lines.max(LOOKED_THROUGH),
        _ => wanted.lines,
    };
    words.push(format!("--lines={lines}"));
    words.extend(wanted.since.map(|since| {
        let (seconds, rest) = (since.as_second(), since.subsec_microsecond());
        format!("--since=@{seconds}.{rest:06}")
    }));
    if wanted.follow {
        words.push("--follow".to_owned());
    }
    words.extend(any.join(&"+".to_owned()));
    Some(words)
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    at: String,
    #[serde(rename = "MESSAGE")]
    message: Option<Field>,
    #[serde(rename = "_SYSTEMD_UNIT")]
    own_unit: Option<String>,
    #[serde(rename = "_PID")]
    process: Option<String>,
    #[serde(rename = "_UID")]
    user: Option<String>,
    // Whoever writes an entry chooses these.
    #[serde(rename = "UNIT")]
    about_unit: Option<Field>,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    identifier: Option<Field>,
}

/// What is no text is told as bytes, and what was said more than once as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Bytes(Vec<u8>),
    Several(Vec<String>),
}

impl Field {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Self::Several(texts) => texts.join(" "),
        }
    }
}

pub(super) fn parse(raw: &[u8]) -> Option<LogLine> {
    let raw: Raw = serde_json::from_slice(raw).ok()?;
    let at = Timestamp::from_microsecond(raw.at.parse().ok()?).ok()?;
    // Only systemd is believed that an entry is about another unit, and only root that it is a step's.
    let of_systemd = raw.process.as_deref() == Some("1");
    let of_root = raw.user.as_deref() == Some("0");
    let about = raw.about_unit.filter(|_| of_systemd).map(Field::text);
    let own = raw.own_unit.unwrap_or_default();
    let identifier = raw.identifier.filter(|_| of_root).map(Field::text);
    let is_step = identifier.is_some_and(|name| name.ends_with(journal::STEP));
    let of = match is_step {
        true => "step",
        false => source(about.as_deref().unwrap_or(&own)),
    };
    Some(LogLine {
        at,
        of: of.to_owned(),
        text: bounded(&raw.message?.text()),
    })
}

/// In one word: a slot, or the name of what runs beside it.
fn source(unit: &str) -> &str {
    let name = unit.strip_suffix(".service").unwrap_or(unit);
    match name.rsplit_once('@') {
        Some((_, "blue")) => "blue",
        Some((_, "green")) => "green",
        Some((_, beside)) => beside.split_once('.').map_or("other", |(_, name)| name),
        None if unit == AGENT => "agent",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(of: Vec<LogSource>) -> Wanted {
        Wanted {
            of,
            processes: Vec::new(),
            since: None,
            lines: 10,
            follow: true,
            grep: Some("a secret".to_owned()),
            domain: None,
        }
    }

    #[test]
    fn only_what_is_wanted_is_asked_for() {
        let layout = AppLayout::new(&"cortico".parse().unwrap());
        assert!(words(&layout, &wanted(vec![LogSource::Nginx])).is_none());
        let all = words(&layout, &wanted(vec![])).unwrap();
        assert_eq!(all.iter().filter(|word| *word == "+").count(), 6);
        let app = words(&layout, &wanted(vec![LogSource::App])).unwrap();
        assert!(!app.iter().any(|word| word.contains("agent")));
        assert!(!all.join(" ").contains("secret"), "{all:?}");
    }

    #[test]
    fn lines_are_told_by_who_said_them() {
        let parse = |unit: &str, message: &str| {
            parse(format!("{{\"__REALTIME_TIMESTAMP\":\"1700000000000001\",\"MESSAGE\":{message},{unit}}}\n").as_bytes())
                .unwrap()
        };
        let line = parse("\"_SYSTEMD_UNIT\":\"longshore-a@blue.service\"", "\"said\"");
        assert_eq!((line.of.as_str(), line.text.as_str()), ("blue", "said"));
        assert_eq!(line.at.as_microsecond(), 1_700_000_000_000_001);
        let about = "\"_SYSTEMD_UNIT\":\"init.scope\",\"UNIT\":\"longshore-a@green.service\"";
        let of_systemd = format!("{about},\"_PID\":\"1\"");
        assert_eq!(parse(&of_systemd, "\"Started\"").of, "green");
        for unit in [
            "longshore-a@blue.worker.service",
            "longshore-a@timer.worker.service",
        ] {
            let line = parse(&format!("\"_SYSTEMD_UNIT\":\"{unit}\""), "\"x\"");
            assert_eq!(line.of, "worker");
        }
        // Whoever says so without being systemd, or root, is told by the unit that they are in.
        let app = "\"_SYSTEMD_UNIT\":\"longshore-a@blue.service\",\"_UID\":\"999\"";
        for claim in [
            "\"UNIT\":\"longshore-agent.service\"",
            "\"SYSLOG_IDENTIFIER\":\"x-step\"",
            "\"UNIT\":[\"a\",\"b\"]",
        ] {
            assert_eq!(parse(&format!("{app},{claim}"), "\"x\"").of, "blue");
        }
        assert_eq!(parse(app, "[\"one\",\"two\"]").text, "one two");
        let of_agent = "\"_SYSTEMD_UNIT\":\"longshore-agent.service\",\"_UID\":\"0\"";
        let of_step = format!("{of_agent},\"SYSLOG_IDENTIFIER\":\"longshore-a-step\"");
        let step = parse(&of_step, "[27,91,255]");
        assert_eq!(
            (step.of.as_str(), step.text.as_str()),
            ("step", "\u{1b}[\u{fffd}")
        );
        let long = parse(
            "\"_SYSTEMD_UNIT\":\"longshore-agent.service\"",
            &format!("{:?}", "x".repeat(1 << 20)),
        );
        assert_eq!(long.of, "agent");
        assert!(long.text.len() < 20_000 && long.text.ends_with("(1048576 bytes)"));
    }
}
