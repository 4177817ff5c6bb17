//! systemd, through its own command.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustix::time::ClockId;

use crate::command::{self, CommandError};

/// What of a unit's state decides about a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitState {
    pub(crate) active: bool,
    /// It has ended, or has ended and been started again since.
    pub(crate) crashed: bool,
    /// How it ended, in words.
    pub(crate) how: String,
}

pub(crate) fn reload_units() -> Result<(), CommandError> {
    command::run("systemctl", &["daemon-reload"]).map(drop)
}

pub(crate) fn start<U: AsRef<str>>(units: &[U]) -> Result<(), CommandError> {
    all("start", units)
}

/// Asks for units without waiting for them.
pub(crate) fn start_soon<U: AsRef<str>>(units: &[U]) -> Result<(), CommandError> {
    if units.is_empty() {
        return Ok(());
    }
    command::run("systemctl", &words(&["start", "--no-block"], units)).map(drop)
}

pub(crate) fn restart<U: AsRef<str>>(units: &[U]) -> Result<(), CommandError> {
    all("restart", units)
}

/// Waits until the units have drained and ended. One that does not run is fine.
pub(crate) fn stop<U: AsRef<str>>(units: &[U]) -> Result<(), CommandError> {
    all("stop", units)
}

fn all<U: AsRef<str>>(verb: &str, units: &[U]) -> Result<(), CommandError> {
    if units.is_empty() {
        return Ok(());
    }
    command::run("systemctl", &words(&[verb], units)).map(drop)
}

fn words<'a, U: AsRef<str>>(verb: &[&'a str], units: &'a [U]) -> Vec<&'a str> {
    let units = units.iter().map(AsRef::as_ref);
    verb.iter().copied().chain(units).collect()
}

/// The same for units that ended badly, which would otherwise be shown as failed for ever.
pub(crate) fn stop_and_forget<U: AsRef<str>>(units: &[U]) -> Result<(), CommandError> {
    stop(units)?;
    command::ask("systemctl", &words(&["reset-failed"], units)).map(drop)
}

/// How units ended before is no longer told.
pub(crate) fn forget<U: AsRef<str>>(units: &[U]) -> Result<(), CommandError> {
    if units.is_empty() {
        return Ok(());
    }
    command::ask("systemctl", &words(&["reset-failed"], units)).map(drop)
}

/// Those of which systemd knows another text than the file has, or no file any more.
pub(crate) fn changed_on_disk(units: &[String]) -> Result<Vec<String>, CommandError> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let said = command::run(
        "systemctl",
        &words(&["show", "--property=NeedDaemonReload", "--value"], units),
    )?;
    let told = said.lines().filter(|line| !line.is_empty());
    let changed = told.zip(units).filter(|(said, _)| *said == "yes");
    Ok(changed.map(|(_, unit)| unit.clone()).collect())
}

/// Asks for the end of units without waiting for it.
pub(crate) fn stop_soon<U: AsRef<str>>(units: &[U]) -> Result<(), CommandError> {
    if units.is_empty() {
        return Ok(());
    }
    command::ask("systemctl", &words(&["stop", "--no-block"], units)).map(drop)
}

/// Ends a unit that may never have been there.
pub(crate) fn stop_if_there(unit: &str) -> Result<(), CommandError> {
    command::ask("systemctl", &["stop", unit]).map(drop)
}

pub(crate) fn is_active(unit: &str) -> Result<bool, CommandError> {
    Ok(command::ask("systemctl", &["is-active", "--quiet", unit])?.0)
}

/// Whether a unit is at work, be it that it begins, runs or ends.
pub(crate) fn is_at_work(unit: &str) -> Result<bool, CommandError> {
    Ok(!matches!(activity(unit)?.as_str(), "inactive" | "failed"))
}

/// Whether it was asked to end, and has not yet.
pub(crate) fn is_ending(unit: &str) -> Result<bool, CommandError> {
    Ok(activity(unit)? == "deactivating")
}

fn activity(unit: &str) -> Result<String, CommandError> {
    let words = ["show", "--property=ActiveState", "--value", unit];
    Ok(command::run("systemctl", &words)?.trim().to_owned())
}

pub(crate) fn reload(unit: &str) -> Result<(), CommandError> {
    command::run("systemctl", &["reload", unit]).map(drop)
}

pub(crate) fn state(unit: &str) -> Result<UnitState, CommandError> {
    let properties = "--property=ActiveState,SubState,NRestarts,Result,ExecMainStatus";
    let said = command::run("systemctl", &["show", properties, unit])?;
    Ok(parse_state(&said))
}

/// A unit, as a status tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) active: String,
    pub(crate) sub: String,
    pub(crate) result: String,
    pub(crate) restarts: u32,
    /// Since when it is as it is.
    pub(crate) since: Option<Timestamp>,
    /// Of a timer: when it started something last, and when it will.
    pub(crate) triggered: Option<Timestamp>,
    pub(crate) next: Option<Timestamp>,
    status: String,
}

impl Shown {
    /// How it ended last, where it has.
    pub(crate) fn how(&self) -> Option<String> {
        let fine = self.result == "success" && matches!(self.status.as_str(), "" | "0");
        (!fine).then(|| format!("{}, exit status {}", self.result, self.status))
    }
}

/// Several units, in their order.
pub(crate) fn show<U: AsRef<str>>(units: &[U]) -> Result<Vec<Shown>, CommandError> {
    let properties = "--property=ActiveState,SubState,NRestarts,Result,ExecMainStatus,\
        StateChangeTimestamp,LastTriggerUSec,NextElapseUSecRealtime";
    // Times are told in the zone of whoever asks.
    let said = command::run(
        "env",
        &words(&["TZ=UTC", "systemctl", "show", properties], units),
    )?;
    Ok(said.split("\n\n").map(parse_shown).collect())
}

fn parse_shown(said: &str) -> Shown {
    let text = |name| property(said, name).to_owned();
    let time = |name| {
        let (_, rest) = property(said, name).split_once(' ')?;
        let rest = rest.strip_suffix(" UTC")?.replacen(' ', "T", 1);
        format!("{rest}Z").parse().ok()
    };
    Shown {
        active: text("ActiveState"),
        sub: text("SubState"),
        result: text("Result"),
        restarts: property(said, "NRestarts").parse().unwrap_or(0),
        since: time("StateChangeTimestamp"),
        triggered: time("LastTriggerUSec"),
        next: time("NextElapseUSecRealtime"),
        status: text("ExecMainStatus"),
    }
}

fn property<'a>(said: &'a str, name: &str) -> &'a str {
    said.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_default()
}

/// The process that a unit is; 0 where it does not run.
pub(crate) fn main_process(unit: &str) -> Result<u32, CommandError> {
    let said = command::run(
        "systemctl",
        &["show", "--property=MainPID", "--value", unit],
    )?;
    Ok(said.trim().parse().unwrap_or(0))
}

/// When a process was started.
pub(crate) fn started(process: u32) -> Option<SystemTime> {
    let text = fs_err::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is a name, which may hold anything; the 22nd is in ticks since the boot.
    let (_, rest) = text.rsplit_once(") ")?;
    let ticks: u64 = rest.split(' ').nth(19)?.parse().ok()?;
    let since_boot =
        Duration::from_millis(ticks.checked_mul(1000)? / rustix::param::clock_ticks_per_second());
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    SystemTime::now().checked_sub(now.checked_sub(since_boot)?)
}

/// How much memory the processes of a unit hold themselves, without what the kernel caches of
/// files for them; where it is counted.
pub(crate) fn own_memory(unit: &str) -> Option<u64> {
    let group = command::run(
        "systemctl",
        &["show", "--property=ControlGroup", "--value", unit],
    );
    let group = group.ok()?;
    let path = format!("/sys/fs/cgroup{}/memory.stat", group.trim());
    let text = fs_err::read_to_string(path).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("anon "))?
        .trim()
        .parse()
        .ok()
}

/// The last lines that a unit wrote, or those since `since`: what ran in its place before has lines
/// of its own in the same log.
pub(crate) fn log(unit: &str, lines: usize, since: Option<Timestamp>) -> Vec<String> {
    let mut words = vec![
        "--unit".to_owned(),
        unit.to_owned(),
        "--lines".to_owned(),
        lines.to_string(),
        "--output=cat".to_owned(),
        "--no-pager".to_owned(),
        "--quiet".to_owned(),
    ];
    words.extend(since.map(|since| {
        let (seconds, rest) = (since.as_second(), since.subsec_microsecond());
        format!("--since=@{seconds}.{rest:06}")
    }));
    // The last words of what has just died may be on their way; without them this says less.
    drop(command::run("timeout", &["5", "journalctl", "--sync"]));
    let said = command::run("journalctl", &words).unwrap_or_default();
    said.lines().map(command::printable).collect()
}

fn parse_state(said: &str) -> UnitState {
    let property = |name| property(said, name);
    let active = property("ActiveState");
    let restarting = property("SubState") == "auto-restart" || property("NRestarts") != "0";
    let ended = matches!(active, "failed" | "inactive" | "deactivating");
    let how = format!(
        "{}, exit status {}",
        property("Result"),
        property("ExecMainStatus")
    );
    UnitState {
        active: active == "active",
        crashed: restarting || ended,
        how,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_started_again_and_again_has_crashed() {
        let state = |active: &str, sub: &str, restarts: &str| {
            parse_state(&format!(
                "Result=exit-code\nNRestarts={restarts}\nExecMainStatus=3\nActiveState={active}\nSubState={sub}\n"
            ))
        };
        assert!(!state("active", "running", "0").crashed);
        assert!(!state("activating", "start-pre", "0").crashed);
        assert!(state("activating", "auto-restart", "0").crashed);
        assert!(state("active", "running", "1").crashed);
        assert!(state("failed", "failed", "0").crashed);
        assert_eq!(
            state("failed", "failed", "0").how,
            "exit-code, exit status 3"
        );
    }

    #[test]
    fn several_units_are_told_apart() {
        let said = "ActiveState=active\nSubState=waiting\nResult=success\nLastTriggerUSec=\n\
            NextElapseUSecRealtime=Sun 2026-11-22 03:00:00 UTC\nStateChangeTimestamp=n/a\n";
        let timer = parse_shown(said);
        assert_eq!(timer.next.unwrap().to_string(), "2026-11-22T03:00:00Z");
        assert_eq!(
            (timer.triggered, timer.since, timer.how()),
            (None, None, None)
        );
        let said = "NRestarts=3\nExecMainStatus=1\nResult=exit-code\nActiveState=activating\n\
            SubState=auto-restart\nStateChangeTimestamp=Sat 2026-11-21 18:00:01 UTC\n";
        let worker = parse_shown(said);
        assert_eq!(worker.restarts, 3);
        assert_eq!(worker.how().unwrap(), "exit-code, exit status 1");
        assert_eq!(worker.since.unwrap().to_string(), "2026-11-21T18:00:01Z");
    }
}
