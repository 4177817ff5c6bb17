//! What a preview needs beside its release: a copy of what its app shares, and what the release itself
//! makes, such as a database. Once, after it is staged and before it migrates. What `create` prints as
//! `NAME=value` are settings of the preview alone, and is told nowhere.

use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;
use longshore_shared::settings::{SettingName, SettingValue, Settings};
use longshore_shared::wire::latest::{Reply, SwitchReason};
use semver::Version;

use super::{copy, hook};
use crate::activate::{Wanted, may_serve, migrate};
use crate::agent::Agent;
use crate::command::Said;
use crate::host::Host;
use crate::layout::AppLayout;
use crate::ledger::Made;
use crate::operation::{Operation, Trouble};
use crate::settings::{self, files};

const STEP: &str = "create";
/// A wrapped value has lines of 64 letters or 76, and the last one may be shorter.
const SHORTEST_NOISE: usize = 24;

/// Makes what is not there yet. What a try that never came to serve has made is taken away first.
pub(crate) fn make(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    version: &Version,
    operation: &Operation,
) -> Result<Reply, Trouble> {
    let layout = AppLayout::new(app);
    let (_, manifest) = migrate::staged(agent, &layout, version)?;
    let wanted = Wanted {
        app,
        version,
        why: SwitchReason::Deploy,
        even_revoked: false,
    };
    may_serve(agent, host, wanted)?;
    let hooks = &manifest.app_file.preview;
    let row = agent.ledger.preview(app)?;
    let made = row.as_ref().map_or(Made::Nothing, |row| row.made);
    let fits = row.and_then(|row| row.recipe) == Some(hooks.recipe());
    let is_as_wanted = !hooks.makes_something() || (made == Made::All && fits);
    // Somebody works with it, and what runs would find the app's own where it is gone.
    if !is_as_wanted && !agent.ledger.servings(app)?.is_empty() {
        return Err(Trouble::refused(
            format!(
                "what {app} has was not made by the `copy` and `create` in [preview] of {version}, and data may be in it by now"
            ),
            format!(
                "take it away, and bring the branch again: {}",
                hook::again(app)
            ),
        ));
    }
    if made == Made::Begun || (made == Made::All && !is_as_wanted) {
        let undone = hook::undo(agent, &layout, operation);
        undone.map_err(|trouble| trouble.and("so it cannot be made anew"))?;
        settings::give(&layout, &Settings::new())?;
        // What comes is empty: whatever migrated what went has to migrate again.
        agent.ledger.forget_migrated(app)?;
        agent.ledger.set_unmade(app)?;
    } else if made == Made::All {
        return Ok(Reply::PreviewMade { unchanged: true });
    }
    if !hooks.makes_something() {
        return Ok(Reply::PreviewMade { unchanged: true });
    }
    agent.ledger.begin_making(app, version)?;
    if !hooks.copy.is_empty() {
        copy::copy(&layout, hooks, operation)?;
    }
    let mut heard = Heard::default();
    let created = create(&layout, &manifest, operation, &mut heard);
    // Also where it broke off: what takes it away is not to take the app's own for it.
    settings::give(&layout, &heard.given)?;
    created?;
    if let Some(name) = heard.unusable {
        return Err(Trouble::failed(
            format!(
                "[preview] `create` printed {name}=, which cannot be a setting: its value is no line of 900 letters at most, or the name is Longshore's own"
            ),
            "correct what it prints; what is longer has its place in a file of $LONGSHORE_SHARED",
        ));
    }
    let lacking = files::not_set(&layout, &manifest.app_file.settings.files);
    if let Some(name) = lacking.first() {
        return Err(Trouble::failed(
            format!(
                "[settings] `files` names {name}, which neither the app's settings nor `create` have set"
            ),
            format!(
                "have `create` print it, or set it: longshore settings set ENV --app {app} {name}"
            ),
        ));
    }
    agent.ledger.set_made(app, &hooks.recipe())?;
    Ok(Reply::PreviewMade { unchanged: false })
}

fn create(
    layout: &AppLayout,
    manifest: &Manifest,
    operation: &Operation,
    heard: &mut Heard,
) -> Result<(), Trouble> {
    let commands = &manifest.app_file.preview.create;
    if commands.is_empty() {
        return Ok(());
    }
    let unit = hook::unit(layout, manifest);
    operation.step(STEP, || {
        commands.iter().try_for_each(|command| {
            let ran = unit.run_hiding(operation, STEP, command.as_str(), |said| heard.hides(said));
            for note in heard.end_of_command() {
                operation.note(STEP, &note);
            }
            ran
        })
    })
}

/// What `create` says, of which whatever may be a setting is kept to ourselves.
#[derive(Debug, Default)]
struct Heard {
    given: Settings,
    /// The name of one that cannot be used.
    unusable: Option<String>,
    /// Names in the middle of lines.
    passed_over: Vec<String>,
    /// The line goes on that was hidden.
    in_hidden: bool,
    /// A value has begun that takes more than a line, and nobody knows where it ends.
    in_value: bool,
    /// The setting of the line before.
    before: Option<String>,
}

impl Heard {
    fn hides(&mut self, said: &Said) -> bool {
        let goes_on = std::mem::replace(&mut self.in_hidden, said.goes_on);
        let before = self.before.take();
        if goes_on || self.in_value {
            return true;
        }
        let assigned = assignment(&said.text);
        let begins = assigned
            .is_some_and(|(name, _)| said.text.starts_with(name) && name.chars().all(capital));
        if let Some(name) = before.filter(|_| !begins && is_noise(&said.text)) {
            self.unusable.get_or_insert(name);
            self.in_value = true;
            return true;
        }
        let Some((name, value)) = assigned else {
            self.in_hidden = false;
            return false;
        };
        self.in_value |= begins && goes_on_below(value);
        let whole = !said.goes_on && !self.in_value && !value.contains(char::REPLACEMENT_CHARACTER);
        match (SettingName::new(name), SettingValue::new(value)) {
            (Ok(name), Ok(value)) if begins && whole => drop(self.given.insert(name, value)),
            // In the middle of a line it is no setting, but may well be a secret.
            _ if !begins => self.passed_over.push(name.to_owned()),
            _ => drop(self.unusable.get_or_insert(name.to_owned())),
        }
        self.before = begins.then(|| name.to_owned());
        true
    }

    /// What was not shown, for whoever looks for it.
    fn end_of_command(&mut self) -> Vec<String> {
        (self.in_hidden, self.in_value, self.before) = (false, false, None);
        let names = std::mem::take(&mut self.passed_over).into_iter();
        let note = |name| {
            format!(
                "a line with {name}= in it was not shown, and is no setting: that begins its line, in capitals"
            )
        };
        names.map(note).collect()
    }
}

/// Keys in their armour and lists take several lines.
fn goes_on_below(value: &str) -> bool {
    let value = value.trim_end();
    let armour = value.contains("-----BEGIN ") && !value.contains("-----END ");
    let open = |brackets: [char; 2]| {
        let [begins, ends] = brackets.map(|bracket| value.matches(bracket).count());
        value.starts_with(brackets[0]) && begins > ends
    };
    armour || open(['{', '}']) || open(['[', ']'])
}

/// What nobody says to a person: the next line of what was wrapped. Addresses and paths are long, too.
fn is_noise(line: &str) -> bool {
    let is_place = line.contains("://") || line.starts_with('/');
    line.len() >= SHORTEST_NOISE && !line.contains(char::is_whitespace) && !is_place
}

fn capital(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

/// A `name=` that begins the line, else the first in it with a name of capitals; and what follows it.
fn assignment(line: &str) -> Option<(&str, &str)> {
    if let Some((name, value)) = line.split_once('=')
        && SettingName::new(name).is_ok()
    {
        return Some((name, value));
    }
    line.match_indices('=').find_map(|(at, _)| {
        let (before, value) = (line.get(..at)?, line.get(at + 1..)?);
        let name = before.rsplit(|c| !capital(c)).next()?;
        let name = name.trim_start_matches(|c: char| !c.is_ascii_uppercase());
        (name.len() > 1).then_some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[(&str, bool)]) -> (Heard, Vec<bool>) {
        let mut heard = Heard::default();
        let hidden = lines.iter().map(|(text, goes_on)| {
            heard.hides(&Said {
                text: (*text).to_owned(),
                goes_on: *goes_on,
            })
        });
        let hidden = hidden.collect();
        (heard, hidden)
    }

    #[test]
    fn settings_are_told_from_other_words_and_from_nobody_else() {
        let (known, hidden) = heard(&[
            ("CREATE DATABASE", false),
            ("DATABASE_URL=postgres://a:b=c@h/d", false),
        ]);
        assert_eq!(hidden, [false, true]);
        let given: Vec<_> = known.given.iter().collect();
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].0.as_str(), "DATABASE_URL");
        assert_eq!(given[0].1.reveal(), "postgres://a:b=c@h/d");
        assert_eq!(known.unusable, None);

        let (known, hidden) = heard(&[
            ("Total = 3", false),
            ("making it ... DATABASE_URL=secret", false),
            ("database_url=secret", false),
            ("done", false),
        ]);
        assert_eq!(hidden, [false, true, true, false]);
        assert_eq!(known.passed_over, ["DATABASE_URL", "database_url"]);
        assert!(known.given.is_empty());
    }

    #[test]
    fn a_value_of_several_lines_is_none_and_told_nowhere() {
        let (mut known, hidden) = heard(&[
            ("making a key", false),
            ("KEY=-----BEGIN PRIVATE KEY-----", false),
            ("MIIEvQIBADANBg", false),
            ("-----END PRIVATE KEY-----", false),
        ]);
        assert_eq!(hidden, [false, true, true, true]);
        assert_eq!(known.unusable.as_deref(), Some("KEY"));
        assert_eq!(known.end_of_command(), [""; 0]);
        let done = Said {
            text: "done".to_owned(),
            goes_on: false,
        };
        assert!(!known.hides(&done));
        let (known, hidden) = heard(&[
            ("A=1", false),
            ("DATABASE_URL=postgres://a:b@a-long-name/d", false),
            ("/srv/longshore/tiny--login/shared", false),
        ]);
        assert_eq!(hidden, [true, true, false]);
        assert_eq!((known.given.len(), known.unusable), (2, None));
        let wrapped = "a".repeat(76);
        let (known, hidden) = heard(&[(&format!("A={wrapped}"), false), (&wrapped, false)]);
        assert_eq!(hidden, [true, true]);
        assert_eq!(known.unusable.as_deref(), Some("A"));
        let (mut known, hidden) = heard(&[("KEY=-----BEGIN KEY", false), ("kXo3Yz1QbA8s=", false)]);
        assert_eq!(hidden, [true, true]);
        assert_eq!(known.end_of_command(), [""; 0]);
        assert_eq!(known.unusable.as_deref(), Some("KEY"));
        for value in ["{", "[", "{\"b\": 1,"] {
            let (known, hidden) = heard(&[(&format!("A={value}"), false), ("two", false)]);
            assert_eq!(
                (hidden, known.given.len()),
                (vec![true, true], 0),
                "{value}"
            );
        }
        let (known, hidden) = heard(&[("A={\"b\": [1]}", false), ("no room", false)]);
        assert_eq!((hidden, known.given.len()), (vec![true, false], 1));
    }

    #[test]
    fn no_piece_of_a_setting_is_told_that_cannot_be_one() {
        let (known, hidden) = heard(&[
            ("SERVICE_KEY={ first", true),
            ("second", true),
            ("third", false),
        ]);
        assert_eq!(hidden, [true, true, true]);
        let long = [
            ("long words that are no setting", true),
            ("their end", false),
        ];
        assert_eq!(heard(&long).1, [false, false]);
        assert_eq!(known.unusable.as_deref(), Some("SERVICE_KEY"));
        let (known, hidden) = heard(&[("PASSWORD=a\u{fffd}b", false)]);
        assert_eq!((known.given.len(), hidden), (0, vec![true]));
        assert_eq!(known.unusable.as_deref(), Some("PASSWORD"));
    }
}
