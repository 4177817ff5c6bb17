//! `longshore settings list`.

use std::collections::BTreeMap;
use std::time::Instant;

use longshore_shared::instance::Instance;
use longshore_shared::name::HostName;
use longshore_shared::settings::render;
use longshore_shared::wire::latest::{SettingState, SettingsNumber, SettingsState};
use serde::Serialize;

use super::super::asking::exit_of;
use super::ListArgs;
use super::ask::{Asked, ask, values};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::report::{columns, failures, milliseconds, result_line};
use crate::rollout::HostFailure;
use crate::terminal_text::one_line;

/// So much of a digest is shown: enough to tell values apart.
const DIGEST_SHOWN: usize = 10;

pub(super) async fn run(args: &ListArgs, context: &Context) -> Result<Exit, CommandError> {
    let begun = Instant::now();
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let asked = ask(environment, &app, &args.hosts, args.show, context).await?;
    for (states, hosts) in alike(&asked) {
        if args.show {
            show(states, &hosts, context);
        } else {
            tell(states, &hosts, context);
        }
    }
    let failed = asked
        .iter()
        .filter_map(|asked| Some((&asked.host, asked.said.as_ref().err()?)));
    for line in failures(failed) {
        context.ui.note(&line);
    }
    let failed = asked.iter().filter_map(|asked| asked.said.as_ref().err());
    let exit = exit_of(failed, args.hosts.skip_offline);
    let rest = Rest {
        app: &app.instance,
        seconds: milliseconds(begun.elapsed().as_secs_f64()),
        hosts: asked.iter().map(Line::of).collect(),
    };
    context
        .ui
        .machine(&result_line("settings list", exit, rest));
    Ok(exit)
}

/// Hosts with the same settings are shown once.
fn alike(asked: &[Asked]) -> Vec<(&SettingsState, Vec<&HostName>)> {
    let mut groups: Vec<(&SettingsState, Vec<&HostName>)> = Vec::new();
    for one in asked {
        let Ok(state) = &one.said else { continue };
        match groups.iter_mut().find(|(other, _)| same(other, state)) {
            Some((_, hosts)) => hosts.push(&one.host),
            None => groups.push((state, vec![&one.host])),
        }
    }
    groups
}

fn same(one: &SettingsState, other: &SettingsState) -> bool {
    let digests = |state: &SettingsState| -> BTreeMap<_, _> {
        let each = state.settings.iter();
        each.map(|one| (one.name.clone(), one.digest)).collect()
    };
    one.by_hand == other.by_hand
        && one.in_effect == other.in_effect
        && one.now.number == other.now.number
        && digests(one) == digests(other)
}

fn tell(state: &SettingsState, hosts: &[&HostName], context: &Context) {
    context.ui.answer(&one_line(&heading(state, hosts)));
    let rows: Vec<Vec<String>> = state
        .settings
        .iter()
        .map(|setting| {
            let digest = setting
                .digest
                .to_string()
                .chars()
                .take(DIGEST_SHOWN)
                .collect();
            vec![format!("  {}", setting.name), digest]
        })
        .collect();
    for line in columns(&rows) {
        context.ui.answer(&one_line(&line));
    }
    let earlier: Vec<String> = state.earlier.iter().map(in_words).collect();
    if !earlier.is_empty() {
        let line = format!("  kept from before: {}", earlier.join(", "));
        context.ui.answer(&one_line(&line));
    }
}

/// In the form that `settings set --env-file` reads.
fn show(state: &SettingsState, hosts: &[&HostName], context: &Context) {
    context
        .ui
        .answer(&format!("# {}", one_line(&heading(state, hosts))));
    for line in render(&values(state)).lines() {
        context.ui.answer(line);
    }
}

fn heading(state: &SettingsState, hosts: &[&HostName]) -> String {
    let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
    let hosts = hosts.join(", ");
    if state.now.number == 0 && state.settings.is_empty() {
        return format!("{hosts}: no settings yet");
    }
    let hand = if state.by_hand {
        "; the file was changed by hand since"
    } else {
        ""
    };
    let effect = match state.in_effect {
        Some(false) => "; what serves was started before that",
        _ => "",
    };
    format!("{hosts}: settings {}{hand}{effect}", in_words(&state.now))
}

fn in_words(number: &SettingsNumber) -> String {
    let at = number
        .at
        .map(|at| at.strftime(" of %Y-%m-%d %H:%M UTC").to_string());
    let by = Some(&number.who).filter(|who| !who.is_empty());
    let again = number.again.map(|again| format!(" (again {again})"));
    format!(
        "{}{}{}{}",
        number.number,
        again.unwrap_or_default(),
        at.unwrap_or_default(),
        by.map(|who| format!(" by {who}")).unwrap_or_default()
    )
}

#[derive(Serialize)]
struct Rest<'a> {
    app: &'a Instance,
    seconds: f64,
    hosts: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    host: &'a HostName,
    reachable: bool,
    now: Option<&'a SettingsNumber>,
    by_hand: bool,
    in_effect: Option<bool>,
    settings: &'a [SettingState],
    earlier: &'a [SettingsNumber],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Line<'a> {
    fn of(asked: &'a Asked) -> Self {
        let said = asked.said.as_ref();
        Line {
            host: &asked.host,
            reachable: said.is_ok(),
            now: said.ok().map(|state| &state.now),
            by_hand: said.is_ok_and(|state| state.by_hand),
            in_effect: said.ok().and_then(|state| state.in_effect),
            settings: said.map_or(&[], |state| &state.settings),
            earlier: said.map_or(&[], |state| &state.earlier),
            error: said.err().map(HostFailure::in_one_line),
        }
    }
}
