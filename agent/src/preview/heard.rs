//! What `create` says: settings of the preview alone are kept, and whatever may be one is told nowhere.

use std::collections::BTreeSet;

use longshore_shared::settings::{SettingName, SettingValue, Settings};

use crate::command::{Output, Said};

/// A wrapped value has lines of 64 letters or 76, and the last one may be shorter.
const SHORTEST_NOISE: usize = 24;
/// More would leave the app itself no room for settings.
const MOST_GIVEN: usize = 50;

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Those that cannot be used are there, too, and empty: nobody is to find the app's own in their place.
    pub(super) given: Settings,
    /// What is wrong with the first that cannot be used, in words.
    unusable: Option<String>,
    /// What the app's own are called.
    of_app: Vec<SettingName>,
    /// Those of the app's that were named where they are no settings, and not given since.
    misplaced: BTreeSet<SettingName>,
    /// Names in the middle of lines.
    passed_over: Vec<String>,
    standard: Thread,
    error: Thread,
}

/// One of the two outputs.
#[derive(Debug, Default)]
struct Thread {
    /// The line goes on that was hidden.
    in_hidden: bool,
    /// A value has begun that takes more than a line, and nobody knows where it ends.
    in_value: bool,
    /// The setting of the line before.
    before: Option<String>,
}

/// What a line is that is told nowhere.
enum Found<'a> {
    Setting(&'a str, &'a str),
    /// It begins its line, and its value is none.
    Unusable(String),
    /// A name in the middle of a line, or what belongs to a line before.
    Elsewhere(Option<&'a str>),
}

impl Thread {
    fn look<'a>(&mut self, said: &'a Said) -> Option<Found<'a>> {
        let goes_on = std::mem::replace(&mut self.in_hidden, said.goes_on);
        let before = self.before.take();
        if goes_on || self.in_value {
            return Some(Found::Elsewhere(None));
        }
        let assigned = assignment(&said.text);
        let begins = assigned
            .is_some_and(|(name, _)| said.text.starts_with(name) && name.chars().all(capital));
        if let Some(name) = before.filter(|_| !begins && is_noise(&said.text)) {
            self.in_value = true;
            return Some(Found::Unusable(name));
        }
        let Some((name, value)) = assigned else {
            self.in_hidden = false;
            return None;
        };
        if !begins {
            return Some(Found::Elsewhere(Some(name)));
        }
        self.in_value |= goes_on_below(value);
        self.before = Some(name.to_owned());
        let whole = !said.goes_on && !self.in_value && !value.contains(char::REPLACEMENT_CHARACTER);
        Some(match whole {
            true => Found::Setting(name, value),
            false => Found::Unusable(name.to_owned()),
        })
    }
}

impl Heard {
    pub(super) fn over(of_app: Vec<SettingName>) -> Self {
        Self {
            of_app,
            ..Self::default()
        }
    }

    /// Whether it is to be told nowhere. On the error output nothing is a setting, but may be a secret.
    pub(super) fn hides(&mut self, said: &Said) -> bool {
        let thread = match said.output {
            Output::Standard => &mut self.standard,
            Output::Error => &mut self.error,
        };
        let Some(found) = thread.look(said) else {
            return false;
        };
        if let Found::Elsewhere(Some(name)) = found {
            self.passed_over.push(name.to_owned());
        }
        if said.output == Output::Error {
            if let Found::Setting(name, _) = found {
                self.passed_over.push(name.to_owned());
            }
            return true;
        }
        match found {
            Found::Setting(name, value) => self.give(name, value),
            Found::Unusable(name) => self.cannot_use(&name),
            Found::Elsewhere(_) => self.name_elsewhere(&said.text),
        }
        true
    }

    /// What is wrong with what was heard, in words.
    pub(super) fn problem(self) -> Option<String> {
        let misplaced = self.misplaced.first();
        self.unusable.or_else(|| {
            Some(format!(
                "[preview] `create` printed {name}= where it is no setting: that begins its line, in capitals. The app has a setting {name}, which the preview would use",
                name = misplaced?
            ))
        })
    }

    fn give(&mut self, name: &str, value: &str) {
        let (Ok(typed), Ok(value)) = (SettingName::new(name), SettingValue::new(value)) else {
            return self.cannot_use(name);
        };
        self.misplaced.remove(&typed);
        if self.given.len() >= MOST_GIVEN && !self.given.contains_key(&typed) {
            self.unusable.get_or_insert(format!(
                "[preview] `create` printed more than {MOST_GIVEN} settings"
            ));
            if self.of_app.contains(&typed) {
                self.blank(name);
            }
            return;
        }
        self.given.insert(typed, value);
    }

    fn cannot_use(&mut self, name: &str) {
        self.blank(name);
        self.unusable.get_or_insert_with(|| {
            format!(
                "[preview] `create` printed {name}=, which cannot be a setting: its value is no line of 900 letters at most, or the name is Longshore's own"
            )
        });
    }

    /// What was meant for a setting that the app has is not to leave the app's own there.
    fn name_elsewhere(&mut self, text: &str) {
        let text = text.to_ascii_uppercase();
        let is_named = |own: &&SettingName| {
            let assigned = format!("{}=", own.as_str().to_ascii_uppercase());
            let mut places = text.match_indices(&assigned);
            places.any(|(at, _)| !text[..at].ends_with(is_of_a_name))
        };
        let not_given = |own: &&SettingName| !self.given.contains_key(*own);
        let named = self.of_app.iter().filter(not_given).filter(is_named);
        for own in named.cloned().collect::<Vec<_>>() {
            self.blank(own.as_str());
            self.misplaced.insert(own);
        }
    }

    fn blank(&mut self, name: &str) {
        if let (Ok(name), Ok(nothing)) = (SettingName::new(name), SettingValue::new("")) {
            self.given.insert(name, nothing);
        }
    }

    /// What was not shown, for whoever looks for it.
    pub(super) fn end_of_command(&mut self) -> Vec<String> {
        (self.standard, self.error) = (Thread::default(), Thread::default());
        let names = std::mem::take(&mut self.passed_over).into_iter();
        let note = |name| {
            format!(
                "a line with {name}= in it was not shown, and is no setting: that begins its line, in capitals, on standard output"
            )
        };
        names.map(note).collect()
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
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

    fn said(text: &str, goes_on: bool) -> Said {
        Said {
            text: text.to_owned(),
            goes_on,
            output: Output::Standard,
        }
    }

    fn heard(lines: &[(&str, bool)]) -> (Heard, Vec<bool>) {
        let mut heard = Heard::default();
        let hidden = lines
            .iter()
            .map(|(text, goes_on)| heard.hides(&said(text, *goes_on)));
        let hidden = hidden.collect();
        (heard, hidden)
    }

    /// Those that nobody is to find with the app's own value.
    fn blank(heard: &Heard) -> Vec<&str> {
        assert_eq!(heard.unusable.is_some(), !heard.given.is_empty());
        let given = heard.given.iter();
        let blank = given.filter(|(_, value)| value.reveal().is_empty());
        blank.map(|(name, _)| name.as_str()).collect()
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
        assert_eq!(blank(&known), ["KEY"]);
        assert_eq!(known.end_of_command(), [""; 0]);
        assert!(!known.hides(&said("done", false)));
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
        assert_eq!(blank(&known), ["A"]);
        let (mut known, hidden) = heard(&[("KEY=-----BEGIN KEY", false), ("kXo3Yz1QbA8s=", false)]);
        assert_eq!(hidden, [true, true]);
        assert_eq!(known.end_of_command(), [""; 0]);
        assert_eq!(blank(&known), ["KEY"]);
        for value in ["{", "[", "{\"b\": 1,"] {
            let (known, hidden) = heard(&[(&format!("A={value}"), false), ("two", false)]);
            assert_eq!(
                (hidden, blank(&known).len()),
                (vec![true, true], 1),
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
        assert_eq!(blank(&known), ["SERVICE_KEY"]);
        let (known, hidden) = heard(&[("PASSWORD=a\u{fffd}b", false)]);
        assert_eq!(hidden, [true]);
        assert_eq!(blank(&known), ["PASSWORD"]);
    }

    #[test]
    fn what_the_app_calls_so_never_stays_the_apps_own() {
        let of_app = || vec![SettingName::new("DATABASE").unwrap()];
        for lines in [
            &["copying ... DATABASE=copy"][..],
            &["export DATABASE=copy"],
            &["database=copy"],
            &["export PGUSER=u DATABASE=copy"],
            &["KEY=-----BEGIN KEY", "DATABASE=copy"],
        ] {
            let mut heard = Heard::over(of_app());
            for line in lines {
                assert!(heard.hides(&said(line, false)), "{line}");
            }
            let given = heard
                .given
                .iter()
                .map(|(name, value)| (name.as_str(), value.reveal()));
            assert!(
                given.clone().any(|own| own == ("DATABASE", "")),
                "{lines:?}"
            );
            assert!(heard.problem().is_some(), "{lines:?}");
        }
        // What is talked about first and given then is given.
        let mut heard = Heard::over(of_app());
        assert!(heard.hides(&said("making DATABASE=copy", false)));
        assert!(heard.hides(&said("DATABASE=copy", false)));
        assert_eq!(heard.given.len(), 1);
        assert_eq!(heard.problem(), None);
        // A shell that says what it does, and then does it.
        let mut heard = Heard::over(of_app());
        let trace = Said {
            output: Output::Error,
            ..said("+ echo DATABASE=copy", false)
        };
        assert!(heard.hides(&trace));
        assert!(heard.hides(&said("DATABASE=copy", false)));
        let wrapped = Said {
            output: Output::Error,
            ..said("DATABASE=trace", false)
        };
        assert!(heard.hides(&wrapped));
        assert_eq!(heard.given.len(), 1);
        assert_eq!(heard.problem(), None);
    }

    #[test]
    fn few_settings_are_given() {
        let own = SettingName::new("DATABASE").unwrap();
        let mut heard = Heard::over(vec![own.clone()]);
        for number in 0..=MOST_GIVEN {
            heard.hides(&said(&format!("A{number}=1"), false));
        }
        assert_eq!(heard.given.len(), MOST_GIVEN);
        heard.hides(&said("DATABASE=late", false));
        assert_eq!(heard.given[&own].reveal(), "");
        assert!(
            heard
                .problem()
                .is_some_and(|why| why.contains("more than 50"))
        );
    }
}
