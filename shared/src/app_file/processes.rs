//! `[process.NAME]` and `[timer.NAME]`: what runs beside the web, of the same release.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{AppFileError, Command};
use crate::name::ProcessName;
use crate::span::Span;

/// Words of `longshore logs` and of units, beside which a process could not be told.
const TAKEN: [&str; 9] = [
    "agent", "app", "blue", "green", "nginx", "step", "steps", "timer", "web",
];
const LONGEST_STOP: Span = Span::seconds(3600);

/// `[process.NAME]`: runs for as long as its release serves, and is started again when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    pub command: Command,
    /// On one host of the environment, and never in two releases at once.
    #[serde(default)]
    pub single: bool,
    /// How long it may take to finish its work once it was asked to end.
    #[serde(default = "default_stop")]
    pub stop_timeout: Span,
}

/// `[timer.NAME]`: runs now and then, in the release that serves. Exactly one of `at` and `every` is
/// given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    pub command: Command,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Calendar>,
    /// From the beginning of one run to that of the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// On one host of the environment: what is to be done now and then is mostly to be done once.
    #[serde(default = "yes")]
    pub single: bool,
    /// How long one run may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
}

impl Process {
    /// Whether a process or a timer can have this name.
    pub fn may_be_called(name: &ProcessName) -> bool {
        !TAKEN.contains(&name.as_str())
    }
}

const fn default_stop() -> Span {
    Span::seconds(30)
}
const fn default_timeout() -> Span {
    Span::seconds(3600)
}
const fn yes() -> bool {
    true
}

/// When, as systemd writes it: `daily`, `Mon..Fri 06:30`, `*-*-01 04:00 UTC`. Whether it means
/// something the host's own systemd says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Calendar(String);

/// Why a text is no time of a timer.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no time: write it as systemd does, such as \"daily\" or \"Mon..Fri 06:30\"")]
pub struct CalendarError(String);

impl Calendar {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Calendar {
    type Error = CalendarError;
    fn try_from(text: String) -> Result<Self, CalendarError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b" *:,./~_-+".contains(&b);
        let fits = (1..=100).contains(&text.len()) && text.bytes().all(plain);
        // systemd-analyze is asked, and would take it for one of its options.
        if fits && text.trim() == text && !text.starts_with('-') {
            Ok(Self(text))
        } else {
            Err(CalendarError(text))
        }
    }
}

impl From<Calendar> for String {
    fn from(calendar: Calendar) -> Self {
        calendar.0
    }
}

pub(super) fn check(
    processes: &BTreeMap<ProcessName, Process>,
    timers: &BTreeMap<ProcessName, Timer>,
) -> Result<(), AppFileError> {
    for name in processes.keys().chain(timers.keys()) {
        if !Process::may_be_called(name) {
            return Err(AppFileError::NameTaken(name.to_string()));
        }
    }
    if let Some(name) = timers.keys().find(|name| processes.contains_key(*name)) {
        return Err(AppFileError::ProcessAndTimer(name.to_string()));
    }
    for (name, process) in processes {
        if process.stop_timeout.duration().is_zero() || process.stop_timeout > LONGEST_STOP {
            return Err(AppFileError::StopTimeout(name.to_string()));
        }
    }
    for (name, timer) in timers {
        if timer.at.is_some() == timer.every.is_some() {
            return Err(AppFileError::When(name.to_string()));
        }
        let shortest = timer.every.unwrap_or(timer.timeout).min(timer.timeout);
        if shortest.duration().is_zero() {
            return Err(AppFileError::TimerSpan(name.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::app_file::AppFile;

    fn checked(text: &str) -> Result<(), String> {
        let whole = format!(
            r#"{{"app":{{"name":"a"}},"web":{{"gunicorn":"a:b","health":{{"path":"/h"}}}},{text}}}"#
        );
        let file: AppFile = serde_json::from_str(&whole).map_err(|error| error.to_string())?;
        file.check().map_err(|error| error.to_string())
    }

    #[test]
    fn names_and_times_fit_together() {
        let timer = |text: &str| checked(&format!(r#""timer":{{"t":{{"command":"x",{text}}}}}"#));
        assert_eq!(timer(r#""at":"Mon..Fri 06:30""#), Ok(()));
        assert_eq!(timer(r#""every":"15m""#), Ok(()));
        for wrong in [
            r#""single":true"#,
            r#""at":"daily","every":"1m""#,
            r#""every":"0s""#,
            r#""at":"daily","timeout":"0s""#,
            r#""at":"daily\n[Service]""#,
            r#""at":"-x""#,
            r#""at":"%h""#,
        ] {
            assert!(timer(wrong).is_err(), "{wrong} passed");
        }
        assert!(checked(r#""process":{"worker":{"command":"x"}}"#).is_ok());
        for wrong in [
            r#""process":{"web":{"command":"x"}}"#,
            r#""process":{"a.b":{"command":"x"}}"#,
            r#""process":{"a":{"command":"x","stop_timeout":"0s"}}"#,
            r#""process":{"a":{"command":"x"}},"timer":{"a":{"command":"x","at":"daily"}}"#,
        ] {
            assert!(checked(wrong).is_err(), "{wrong} passed");
        }
    }
}
