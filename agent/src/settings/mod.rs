//! An app's settings on this host: a file that systemd gives to every process of the app, and that
//! root alone can read. Each change is a new number; what was before is kept beside it for a while.

pub(crate) mod files;
mod kept;

use jiff::Timestamp;
use longshore_shared::settings::{MOST_BYTES, MOST_SETTINGS, SettingName, Settings, weight};
use longshore_shared::wire::latest::{
    Reply, ServedWith, SettingState, SettingsChange, SettingsState, Slot,
};

use crate::activate::live;
use crate::agent::Agent;
use crate::journal;
use crate::layout::{AppLayout, SETTINGS};
use crate::ledger::LedgerError;
use crate::locks::Holder;
use crate::operation::{Operation, Trouble};
use crate::systemd;
use kept::{Kept, Store};

const MEND: &str = "mend that as root on this host, then try again";

/// How much is told of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// Nothing that has to do with a value.
    Numbers,
    Digests,
    Values,
}

/// The settings as they are.
pub(crate) fn state(agent: &Agent, layout: &AppLayout, tell: Tell) -> Result<Reply, Trouble> {
    let store = Store::of(layout);
    Ok(told(agent, layout, &store, &store.now()?, tell)?)
}

/// What its processes get.
fn effective(layout: &AppLayout) -> Result<Settings, Trouble> {
    Ok(over(beneath(layout)?, &Store::of(layout).now()?.settings))
}

/// What is under its own: a preview has its app's, and over them those that it was given when it was
/// made.
fn beneath(layout: &AppLayout) -> Result<Settings, Trouble> {
    let Some(base) = layout.base() else {
        return Ok(Settings::new());
    };
    Ok(over(Store::of(&base).now()?.settings, &kept::made(layout)?))
}

/// The same as properties of a unit.
pub(crate) fn environment_files(layout: &AppLayout) -> Vec<String> {
    let beneath = layout.base();
    let beneath = beneath.map(|base| [base.settings(), layout.made_settings()]);
    let files = beneath.into_iter().flatten().chain([layout.settings()]);
    files
        .map(|file| format!("EnvironmentFile=-{}", file.display()))
        .collect()
}

/// Those that a preview is given when it is made, instead of those that it was given before.
pub(crate) fn give(layout: &AppLayout, given: &Settings) -> Result<(), Trouble> {
    let all = over(beneath(layout)?, given);
    bounded(layout, &over(all, &Store::of(layout).now()?.settings))?;
    kept::put_made(layout, given)
}

/// Previews that have this app's settings under their own.
fn followers(agent: &Agent, layout: &AppLayout) -> Result<Vec<AppLayout>, LedgerError> {
    let previews = agent.ledger.previews()?.into_iter();
    let layouts = previews.map(|preview| AppLayout::new(&preview.app));
    let is_of = |other: &AppLayout| other.base().is_some_and(|base| base.app == layout.app);
    Ok(layouts.filter(is_of).collect())
}

/// What has to follow a change, for whatever has these settings.
fn follow_up(agent: &Agent, layout: &AppLayout) -> Result<(), Trouble> {
    refresh(agent, layout)?;
    for follower in followers(agent, layout)? {
        let claimant = agent.claimant();
        let app = &follower.app;
        // Whoever changes it lays them out for what they start.
        if agent
            .locks
            .take(app, claimant, Holder::Agent, None)
            .is_err()
        {
            continue;
        }
        if let Err(trouble) = refresh(agent, &follower) {
            journal::say(&format!("{app}: {}", trouble.message()));
        }
        agent.locks.release(claimant, Some(app));
    }
    Ok(())
}

fn refresh(agent: &Agent, layout: &AppLayout) -> Result<(), Trouble> {
    files::lay_out(layout, &files::laid_out(layout))?;
    forget_warm(agent, layout)
}

/// The names of all of them; none where they cannot be read.
pub(crate) fn names(layout: &AppLayout) -> Vec<SettingName> {
    effective(layout).unwrap_or_default().into_keys().collect()
}

/// What they are called now; nothing where they cannot be read.
pub(crate) fn number(layout: &AppLayout) -> Option<u64> {
    Some(Store::of(layout).now().ok()?.number.number)
}

/// By which names the settings differ from those of this number, in words; nothing where they do not,
/// or where that is not known any more.
pub(crate) fn changed_since(layout: &AppLayout, number: u64) -> Option<String> {
    let store = Store::of(layout);
    let now = store.now().ok()?;
    let then = match number == now.number.number {
        true if !now.by_hand => return None,
        true => return Some("the file was changed by hand".to_owned()),
        false => store.earlier(number),
    };
    let Ok(then) = then else {
        return Some("which ones is not known any more".to_owned());
    };
    (then.settings != now.settings).then(|| difference(&then.settings, &now.settings))
}

/// One of them, for what is not a process of the app.
pub(crate) fn value(layout: &AppLayout, name: &SettingName) -> Result<Option<String>, Trouble> {
    let mut settings = effective(layout)?;
    Ok(settings.remove(name).map(|value| value.reveal().to_owned()))
}

/// Whether a change that was cut short was made; what has to follow it follows.
pub(crate) fn was_changed(
    agent: &Agent,
    layout: &AppLayout,
    begun: Timestamp,
) -> Result<bool, Trouble> {
    let changed = Store::of(layout)
        .now()?
        .number
        .at
        .is_some_and(|at| at >= begun);
    if changed {
        follow_up(agent, layout)?;
    }
    Ok(changed)
}

/// Takes away what a stop in the middle of writing left.
pub(crate) fn sweep() {
    let entries = fs_err::read_dir(SETTINGS).into_iter().flatten().flatten();
    for entry in entries {
        let is_left = entry
            .file_name()
            .to_string_lossy()
            .starts_with(".longshore-");
        if is_left && let Err(error) = fs_err::remove_file(entry.path()) {
            journal::say(&error.to_string());
        }
    }
}

/// Writes the settings anew. What runs goes on with those that it was started with.
pub(crate) fn change(
    agent: &Agent,
    layout: &AppLayout,
    change: &SettingsChange,
    who: &str,
    operation: &Operation,
) -> Result<Reply, Trouble> {
    let store = Store::of(layout);
    let now = store.now()?;
    let (settings, again) = match change {
        SettingsChange::Edit { set, unset } => (edited(&now.settings, set, unset), None),
        SettingsChange::Restore { number } => {
            let kept = store.earlier(*number)?;
            (kept.settings, Some(kept.number.again.unwrap_or(*number)))
        }
    };
    bounded(layout, &over(beneath(layout)?, &settings))?;
    for follower in followers(agent, layout)? {
        let beneath = over(settings.clone(), &kept::made(&follower)?);
        let own = Store::of(&follower).now()?.settings;
        bounded(&follower, &over(beneath, &own))?;
    }
    if settings == now.settings && !now.by_hand {
        operation.unchanged("settings", "they are so already");
        return Ok(told(agent, layout, &store, &now, Tell::Numbers)?);
    }
    let what = difference(&now.settings, &settings);
    operation.step_to_the_end("settings", || {
        store.put(&now, &settings, again, who)?;
        follow_up(agent, layout).map_err(|trouble| {
            let why = trouble.message();
            Trouble::failed(format!("the settings were written, and then: {why}"), MEND)
        })
    })?;
    let now = store.now()?;
    operation.remember(format!("settings {}: {what}", now.number.number));
    Ok(told(agent, layout, &store, &now, Tell::Numbers)?)
}

fn over(mut beneath: Settings, own: &Settings) -> Settings {
    beneath.extend(own.clone());
    beneath
}

/// Refuses more than a process can be given.
fn bounded(layout: &AppLayout, settings: &Settings) -> Result<(), Trouble> {
    if settings.len() > MOST_SETTINGS {
        return Err(Trouble::refused(
            format!(
                "{} would have {} settings, and {MOST_SETTINGS} is the most",
                layout.app,
                settings.len()
            ),
            "put them together into a file of shared/, and its path into a setting",
        ));
    }
    let bytes = weight(settings);
    if bytes > MOST_BYTES {
        return Err(Trouble::refused(
            format!(
                "the settings of {} would take {bytes} bytes, and {MOST_BYTES} is what can be given to a process",
                layout.app
            ),
            "put what is large into a file of shared/, and its path into the setting",
        ));
    }
    Ok(())
}

/// What still runs from before was started with the settings from before: nothing goes back to it.
fn forget_warm(agent: &Agent, layout: &AppLayout) -> Result<(), Trouble> {
    if let Some(warm) = agent.ledger.warm(&layout.app)? {
        systemd::stop_soon(&[layout.unit(warm.slot)])
            .map_err(|error| Trouble::because(&error, MEND))?;
        agent.ledger.set_warm(&layout.app, None)?;
    }
    Ok(())
}

fn edited(now: &Settings, set: &Settings, unset: &[SettingName]) -> Settings {
    let mut settings = now.clone();
    settings.retain(|name, _| !unset.contains(name));
    settings.extend(
        set.iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    settings
}

/// Which settings differ, by name.
fn difference(before: &Settings, after: &Settings) -> String {
    let names = |what: &str, names: Vec<&str>| {
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    };
    let set = after
        .iter()
        .filter(|(name, value)| before.get(name) != Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    let unset = before
        .keys()
        .filter(|name| !after.contains_key(name))
        .map(SettingName::as_str)
        .collect();
    let both = [names("set", set), names("unset", unset)];
    let both: Vec<String> = both.into_iter().flatten().collect();
    if both.is_empty() {
        return "as they were".to_owned();
    }
    both.join("; ")
}

fn told(
    agent: &Agent,
    layout: &AppLayout,
    store: &Store,
    now: &Kept,
    tell: Tell,
) -> Result<Reply, LedgerError> {
    let settings = now.settings.iter().filter(|_| tell != Tell::Numbers);
    let settings = settings.map(|(name, value)| SettingState {
        name: name.clone(),
        digest: value.digest(),
        value: (tell == Tell::Values).then(|| value.clone()),
    });
    let served = agent.ledger.served_with(&layout.app)?.into_iter();
    Ok(Reply::Settings(SettingsState {
        now: now.number.clone(),
        by_hand: now.by_hand,
        in_effect: in_effect(layout),
        settings: settings.collect(),
        earlier: store.numbers(now),
        served: served
            .map(|(version, number)| ServedWith { version, number })
            .collect(),
    }))
}

/// Whether what serves was started after the file was written.
fn in_effect(layout: &AppLayout) -> Option<bool> {
    started_with(layout, live::live(layout)?.slot)
}

fn started_with(layout: &AppLayout, slot: Slot) -> Option<bool> {
    let process = systemd::main_process(&layout.unit(slot)).ok()?;
    let started = systemd::started(process)?;
    let base = layout.base().and_then(|base| Store::of(&base).written());
    let written = base.max(Store::of(layout).written());
    Some(written.is_none_or(|written| written <= started))
}

/// Whether what runs in a slot was started with the settings of now.
pub(crate) fn are_of(layout: &AppLayout, slot: Slot) -> bool {
    started_with(layout, slot) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_shared::settings::parse;

    #[test]
    fn history_tells_names_and_never_values() {
        let before = parse("A=one\nB=two\nC=three\n").unwrap();
        let set = parse("B=secret\nD=secret\n").unwrap();
        let unset = [
            SettingName::new("C").unwrap(),
            SettingName::new("X").unwrap(),
        ];
        let after = edited(&before, &set, &unset);
        assert_eq!(after, parse("A=one\nB=secret\nD=secret\n").unwrap());
        assert_eq!(difference(&before, &after), "set B, D; unset C");
        assert_eq!(difference(&after, &after), "as they were");
    }
}
