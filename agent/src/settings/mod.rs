//! An app's settings on this host: a file that systemd gives to every process of the app, and that
//! root alone can read. Each change is a new number; what was before is kept beside it for a while.

mod kept;

use longshore_shared::settings::{MOST_BYTES, SettingName, Settings, weight};
use longshore_shared::wire::latest::{Reply, SettingState, SettingsChange, SettingsState};

use crate::agent::Agent;
use crate::layout::AppLayout;
use crate::operation::{Operation, Trouble};
use crate::systemd;
use kept::{Kept, Store};

const MEND: &str = "mend the file as root on this host, then try again; nothing was changed";

/// The settings as they are.
pub(crate) fn state(layout: &AppLayout, values: bool) -> Result<Reply, Trouble> {
    let store = Store::of(layout);
    Ok(told(&store, &store.now()?, values))
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
    let settings = match change {
        SettingsChange::Edit { set, unset } => edited(&now.settings, set, unset),
        SettingsChange::Restore { number } => store.earlier(*number)?,
    };
    let bytes = weight(&settings);
    if bytes > MOST_BYTES {
        return Err(Trouble::refused(
            format!(
                "the settings of {} would take {bytes} bytes, and {MOST_BYTES} is what can be given to a process",
                layout.app
            ),
            "put what is large into a file of shared/, and its path into the setting",
        ));
    }
    if settings == now.settings && !now.by_hand {
        operation.unchanged("settings", "they are so already");
        return Ok(told(&store, &now, false));
    }
    let what = difference(&now.settings, &settings);
    operation.step_to_the_end("settings", || {
        forget_warm(agent, layout)?;
        store.put(&now, &settings, who)
    })?;
    let now = store.now()?;
    operation.remember(format!("settings {}: {what}", now.number.number));
    Ok(told(&store, &now, false))
}

/// What still runs from before was started with the settings from before: nothing goes back to it.
fn forget_warm(agent: &Agent, layout: &AppLayout) -> Result<(), Trouble> {
    if let Some(warm) = agent.ledger.warm(&layout.app)? {
        systemd::stop_soon(&layout.unit(warm.slot))
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

fn told(store: &Store, now: &Kept, values: bool) -> Reply {
    let settings = now.settings.iter().map(|(name, value)| SettingState {
        name: name.clone(),
        digest: value.digest(),
        value: values.then(|| value.clone()),
    });
    Reply::Settings(SettingsState {
        now: now.number.clone(),
        by_hand: now.by_hand,
        settings: settings.collect(),
        earlier: store.numbers(),
    })
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
