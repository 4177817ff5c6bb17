//! `longshore-agent status | history | logs`: read from the disk, so that they answer even when no
//! agent runs.

use std::fmt::Write as _;
use std::path::Path;

use longshore_shared::instance::Instance;
use longshore_shared::name::AppName;
use longshore_shared::wire::latest::{AppStatus, Outcome, ReleaseState};

use super::LocalError;
use crate::activate::live;
use crate::host::Host;
use crate::layout::{AppLayout, LEDGER, slot_name};
use crate::ledger::Ledger;
use crate::status;
use crate::systemd;

const MOST_HISTORY: u32 = 50;
const LINES_OF_LOG: usize = 100;

/// What serves on this host.
pub(crate) fn status() -> Result<String, LocalError> {
    let host = Host::load()?;
    let ledger = Ledger::open(Path::new(LEDGER))?;
    let mut text = format!("{} ({})\n", host.host, host.environment);
    for app in status::instances(&ledger, &host)? {
        describe(&mut text, &status::one(&ledger, None, &host, &app)?);
    }
    Ok(text)
}

fn describe(text: &mut String, app: &AppStatus) {
    let mut line = |words: String| {
        let _infallible = writeln!(text, "{words}");
    };
    match (&app.version, app.slot) {
        (Some(version), Some(slot)) => {
            let health = if app.healthy == Some(true) {
                "healthy"
            } else {
                "NOT HEALTHY"
            };
            let since = app
                .since
                .map(|since| format!(" since {since:.0}"))
                .unwrap_or_default();
            line(format!(
                "\n{}: {version} in slot {}, {health}{since}",
                app.app,
                slot_name(slot)
            ));
        }
        _ => line(format!("\n{}: nothing serves yet", app.app)),
    }
    if let Some(previous) = &app.previous {
        line(format!("  a rollback goes to {previous}"));
    }
    if let Some(last) = app
        .last
        .as_ref()
        .filter(|last| last.outcome != Outcome::Done)
    {
        let version = last
            .version
            .as_ref()
            .map(|v| format!(" {v}"))
            .unwrap_or_default();
        let message = last.message.clone().map(|message| format!(": {message}"));
        let message = message.unwrap_or_default();
        line(format!(
            "  last: {}{version} by {}, {:?}{message}",
            last.verb, last.who, last.outcome
        ));
    }
    for process in &app.processes {
        let ended = process.ended.as_ref().map(|how| format!(" ({how})"));
        let ended = ended.unwrap_or_default();
        line(format!("  {}: {:?}{ended}", process.name, process.state));
    }
    for release in &app.releases {
        let state = match release.state {
            ReleaseState::Live => "live",
            ReleaseState::Warm => "warm",
            ReleaseState::Good => "good",
            ReleaseState::Bad => "bad",
            ReleaseState::Staged => "staged",
            ReleaseState::Unknown => "?",
        };
        line(format!(
            "  {state:<7}{:<16} {:.12}  {}",
            release.version, release.commit, release.signer
        ));
    }
}

/// What was done on this host, the newest first.
pub(crate) fn history() -> Result<String, LocalError> {
    let ledger = Ledger::open(Path::new(LEDGER))?;
    let mut text = String::new();
    for row in ledger.history(None, MOST_HISTORY)? {
        let version = row
            .version
            .map(|version| version.to_string())
            .unwrap_or_default();
        let message = row.message.unwrap_or_default();
        let _infallible = writeln!(
            text,
            "{:.0}  {:<9} {:<12} {:<12} {:<10} {:?}  {message}",
            row.begun,
            row.verb,
            row.app.as_ref().map_or("-", Instance::as_str),
            version,
            row.who,
            row.outcome
        );
    }
    Ok(text)
}

/// The last lines of an app's live slot.
pub(crate) fn logs(app: &Instance) -> Result<String, LocalError> {
    let layout = known(app)?;
    let Some(live) = live::live(&layout) else {
        return Ok(String::new());
    };
    let mut text = systemd::log(&layout.unit(live.slot), LINES_OF_LOG, None).join("\n");
    text.push('\n');
    Ok(text)
}

fn known(app: &Instance) -> Result<AppLayout, LocalError> {
    let host = Host::load()?;
    if host.hosted(app).is_some() {
        return Ok(AppLayout::new(app));
    }
    let known: Vec<&str> = host.apps.keys().map(AppName::as_str).collect();
    Err(LocalError::UnknownApp {
        app: app.to_string(),
        known: known.join(", "),
    })
}
