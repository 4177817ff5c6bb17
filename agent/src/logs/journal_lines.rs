//! Lines of journald, as its own program tells them.

use jiff::Timestamp;
use longshore_shared::wire::latest::{LogLine, LogSource, Slot};
use serde::Deserialize;

use super::{Wanted, bounded};
use crate::journal;
use crate::layout::AppLayout;

const AGENT: &str = "longshore-agent.service";

/// What the program is told; nothing where none of its lines are wanted.
pub(super) fn words(layout: &AppLayout, wanted: &Wanted) -> Option<Vec<String>> {
    // Any of these: a unit's own lines, and those of systemd about it.
    let mut any = Vec::new();
    let mut unit = |name: &str| {
        any.push(vec![format!("_SYSTEMD_UNIT={name}")]);
        any.push(vec![format!("UNIT={name}"), "_PID=1".to_owned()]);
    };
    if wanted.has(LogSource::App) {
        for slot in [Slot::Blue, Slot::Green] {
            unit(&layout.unit(slot));
        }
    }
    if wanted.has(LogSource::Agent) {
        unit(AGENT);
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
        "--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT,SYSLOG_IDENTIFIER",
        "--all",
        "--no-pager",
        "--quiet",
    ]
    .map(str::to_owned)
    .to_vec();
    words.push(format!("--lines={}", wanted.lines));
    words.extend(wanted.since.map(|since| {
        let (seconds, rest) = (since.as_second(), since.subsec_microsecond());
        format!("--since=@{seconds}.{rest:06}")
    }));
    if let Some(grep) = &wanted.grep {
        // Its words are words, and no pattern; with an end of a quotation in them as well.
        let quoted = grep.replace("\\E", "\\E\\\\E\\Q");
        words.push(format!("--grep=\\Q{quoted}\\E"));
        words.push("--case-sensitive=yes".to_owned());
    }
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
    message: Option<Message>,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    own_unit: String,
    #[serde(rename = "UNIT", default)]
    about_unit: String,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: String,
}

/// What is no text is told as bytes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    Bytes(Vec<u8>),
}

pub(super) fn parse(raw: &[u8]) -> Option<LogLine> {
    let raw: Raw = serde_json::from_slice(raw).ok()?;
    let at = Timestamp::from_microsecond(raw.at.parse().ok()?).ok()?;
    let text = match raw.message? {
        Message::Text(text) => text,
        Message::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
    };
    // The agent keeps what steps say; systemd says something about a unit; the unit itself the rest.
    let unit = match raw.about_unit.as_str() {
        _ if raw.identifier.ends_with(journal::STEP) => raw.identifier,
        "" => raw.own_unit,
        about => about.to_owned(),
    };
    Some(LogLine {
        at,
        of: source(&unit).to_owned(),
        text: bounded(&text),
    })
}

fn source(unit: &str) -> &str {
    let name = unit.strip_suffix(".service").unwrap_or(unit);
    match name.rsplit_once('@') {
        Some((_, slot)) => slot,
        None if unit == AGENT => "agent",
        None if name.ends_with(journal::STEP) => "step",
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_shared::name::AppName;

    fn wanted(of: Vec<LogSource>) -> Wanted {
        Wanted {
            of,
            since: None,
            lines: 10,
            follow: true,
            grep: Some("a.b \\E c".to_owned()),
            domain: None,
        }
    }

    #[test]
    fn only_what_is_wanted_is_asked_for() {
        let layout = AppLayout::new(&AppName::new("cortico").unwrap());
        assert!(words(&layout, &wanted(vec![LogSource::Nginx])).is_none());
        let all = words(&layout, &wanted(vec![])).unwrap();
        assert_eq!(all.iter().filter(|word| *word == "+").count(), 6);
        let app = words(&layout, &wanted(vec![LogSource::App])).unwrap();
        assert!(!app.iter().any(|word| word.contains("agent")));
        assert!(
            app.contains(&"--grep=\\Qa.b \\E\\\\E\\Q c\\E".to_owned()),
            "{app:?}"
        );
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
        let of_systemd = "\"_SYSTEMD_UNIT\":\"init.scope\",\"UNIT\":\"longshore-a@green.service\"";
        assert_eq!(parse(of_systemd, "\"Started\"").of, "green");
        let step = parse(
            "\"_SYSTEMD_UNIT\":\"longshore-a-step.service\"",
            "[27,91,255]",
        );
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
