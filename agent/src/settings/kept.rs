//! The files that settings are kept in. Each begins with a line that says which number it is, whose,
//! and what follows it; a file without that line, or with another content, was written by hand.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::settings::{Settings, parse, render};
use longshore_shared::wire::latest::SettingsNumber;

use super::MEND;
use crate::journal;
use crate::layout::AppLayout;
use crate::operation::{Trouble, chain};
use crate::system_file::put_with_mode;

/// Secrets of the past are not kept for ever.
const MOST_EARLIER: usize = 10;
const HEAD: &str = "# Longshore settings ";
/// More than this is no file of settings.
const LARGEST: u64 = 1 << 20;
/// Root's alone.
const MODE: u32 = 0o600;

/// The places of an app's settings.
pub(super) struct Store {
    file: PathBuf,
    earlier: PathBuf,
}

/// One version of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) number: SettingsNumber,
    pub(super) settings: Settings,
    pub(super) by_hand: bool,
}

impl Store {
    pub(super) fn of(layout: &AppLayout) -> Self {
        Self {
            file: layout.settings(),
            earlier: layout.earlier_settings(),
        }
    }

    pub(super) fn now(&self) -> Result<Kept, Trouble> {
        Ok(read(&self.file)?.unwrap_or_else(nothing))
    }

    /// When the file was written.
    pub(super) fn written(&self) -> Option<SystemTime> {
        fs_err::metadata(&self.file).ok()?.modified().ok()
    }

    /// What they were as that number.
    pub(super) fn earlier(&self, number: u64) -> Result<Kept, Trouble> {
        let kept = read(&self.place(number))?;
        // Before the first change there was nothing.
        if number == 0 && kept.is_none() {
            return Ok(nothing());
        }
        kept.ok_or_else(|| {
            Trouble::refused(
                format!("settings {number} are not kept here any more"),
                "`longshore settings list` shows which are",
            )
        })
    }

    /// Those that can be gone back to, the newest first. A stop in the middle of a change may have
    /// left a copy of what is.
    pub(super) fn numbers(&self, now: &Kept) -> Vec<SettingsNumber> {
        let numbers = self.kept_numbers().into_iter();
        numbers
            .filter(|number| *number < now.number.number)
            .map(|number| match read(&self.place(number)) {
                Ok(Some(kept)) => SettingsNumber {
                    number,
                    ..kept.number
                },
                _ => nobody(number),
            })
            .collect()
    }

    /// Keeps what is there under its number, then replaces it.
    pub(super) fn put(
        &self,
        now: &Kept,
        settings: &Settings,
        again: Option<u64>,
        who: &str,
    ) -> Result<(), Trouble> {
        let failed = |error: io::Error| {
            Trouble::because(&error, format!("{MEND}; the settings are what they were"))
        };
        let highest = || self.kept_numbers().first().copied().unwrap_or(0);
        if self.file.exists() {
            // What somebody wrote anew by hand has no number yet, and is the newest of all.
            let number = match now.number.number {
                0 if !self.kept_numbers().is_empty() => highest() + 1,
                number => number,
            };
            let text = fs_err::read(&self.file).map_err(failed)?;
            put_with_mode(&self.place(number), &text, MODE).map_err(failed)?;
        }
        let next = 1 + highest().max(now.number.number);
        let number = SettingsNumber {
            number: next,
            again,
            who: who.to_owned(),
            at: Some(Timestamp::now()),
        };
        let put = put_with_mode(&self.file, written(&number, settings).as_bytes(), MODE);
        // It may have failed after the file had its name.
        if let Err(error) = put
            && !read(&self.file).is_ok_and(|kept| kept.is_some_and(|kept| kept.number == number))
        {
            return Err(failed(error));
        }
        for old in self.kept_numbers().into_iter().skip(MOST_EARLIER) {
            if let Err(error) = fs_err::remove_file(self.place(old)) {
                journal::say(&format!("settings of before stay: {error}"));
            }
        }
        Ok(())
    }

    fn kept_numbers(&self) -> Vec<u64> {
        let entries = fs_err::read_dir(&self.earlier)
            .into_iter()
            .flatten()
            .flatten();
        let number = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".env")?.parse().ok();
        let mut numbers: Vec<u64> = entries
            .filter_map(|entry| number(entry.file_name()))
            .collect();
        numbers.sort_by_key(|number| std::cmp::Reverse(*number));
        numbers
    }

    fn place(&self, number: u64) -> PathBuf {
        self.earlier.join(format!("{number}.env"))
    }
}

/// Those that a preview was given when it was made, which have no numbers: they end with what they name.
pub(super) fn made(layout: &AppLayout) -> Result<Settings, Trouble> {
    Ok(read(&layout.made_settings())?.map_or_else(Settings::new, |kept| kept.settings))
}

pub(super) fn put_made(layout: &AppLayout, settings: &Settings) -> Result<(), Trouble> {
    let text = render(settings);
    put_with_mode(&layout.made_settings(), text.as_bytes(), MODE)
        .map_err(|error| Trouble::because(&error, MEND))
}

fn nothing() -> Kept {
    Kept {
        number: nobody(0),
        settings: Settings::new(),
        by_hand: false,
    }
}

fn nobody(number: u64) -> SettingsNumber {
    SettingsNumber {
        number,
        again: None,
        who: String::new(),
        at: None,
    }
}

fn read(file: &Path) -> Result<Option<Kept>, Trouble> {
    let unusable = |why: String| Trouble::refused(format!("{}: {why}", file.display()), MEND);
    match fs_err::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error.to_string())),
        Ok(about) if about.len() > LARGEST => return Err(unusable("it is too large".to_owned())),
        Ok(_) => {}
    }
    let text = fs_err::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    let settings = parse(&text).map_err(|error| unusable(chain(&error)))?;
    let head = text
        .split_once('\n')
        .and_then(|(first, rest)| head(first, rest));
    let by_hand = !head.as_ref().is_some_and(|(_, as_written)| *as_written);
    let number = head.map_or_else(|| nobody(0), |(number, _)| number);
    Ok(Some(Kept {
        number,
        settings,
        by_hand,
    }))
}

fn written(number: &SettingsNumber, settings: &Settings) -> String {
    let text = render(settings);
    let digest = Sha256Digest::of(text.as_bytes());
    let again = number.again.map(|again| format!(" again {again}"));
    let (again, who) = (again.unwrap_or_default(), &number.who);
    let at = number.at.unwrap_or_default();
    let number = format!("{}{again}", number.number);
    format!("{HEAD}{number}, {at}, {digest}, {who}. Change them with `longshore settings`.\n{text}")
}

/// What the first line says, and whether the rest is as it was written with it.
fn head(first: &str, rest: &str) -> Option<(SettingsNumber, bool)> {
    let mut words = first.strip_prefix(HEAD)?.splitn(4, ", ");
    let (number, again) = match words.next()?.split_once(" again ") {
        Some((number, again)) => (number.parse().ok()?, Some(again.parse().ok()?)),
        None => (
            first.strip_prefix(HEAD)?.split(", ").next()?.parse().ok()?,
            None,
        ),
    };
    let at = words.next()?.parse().ok()?;
    let digest = words.next()?;
    let who = words.next()?.split(". ").next()?.to_owned();
    let as_written = Sha256Digest::of(rest.as_bytes()).to_string() == digest;
    let number = SettingsNumber {
        number,
        again,
        who,
        at: Some(at),
    };
    Some((number, as_written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn store(folder: &Path) -> Store {
        Store {
            file: folder.join("a.env"),
            earlier: folder.join("a.earlier"),
        }
    }

    fn change(store: &Store, text: &str) -> Kept {
        let now = store.now().unwrap();
        store.put(&now, &parse(text).unwrap(), None, "ann").unwrap();
        store.now().unwrap()
    }

    #[test]
    fn every_change_has_a_number_and_the_last_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        assert_eq!(store.now().unwrap().number.number, 0);
        for number in 1..=15u64 {
            let now = change(&store, &format!("A={number}\n"));
            assert_eq!((now.number.number, now.by_hand), (number, false));
            assert_eq!(now.number.who, "ann");
        }
        let kept: Vec<u64> = store
            .numbers(&store.now().unwrap())
            .iter()
            .map(|kept| kept.number)
            .collect();
        assert_eq!(kept, (5..=14).rev().collect::<Vec<_>>());
        assert_eq!(store.earlier(7).unwrap().settings, parse("A=7").unwrap());
        assert!(store.earlier(4).is_err() && store.earlier(99).is_err());
        for file in [store.file.clone(), store.place(7)] {
            let mode = fs_err::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_was_written_by_hand_is_seen_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        fs_err::write(&store.file, "# mine\nA=1\n").unwrap();
        let now = store.now().unwrap();
        assert!(now.by_hand);
        assert_eq!(now.settings, parse("A=1").unwrap());
        let now = change(&store, "A=2\n");
        assert_eq!((now.number.number, now.by_hand), (1, false));
        assert_eq!(
            fs_err::read_to_string(store.place(0)).unwrap(),
            "# mine\nA=1\n"
        );

        let text = fs_err::read_to_string(&store.file).unwrap();
        fs_err::write(&store.file, text.replace("\"2\"", "\"3\"")).unwrap();
        let now = store.now().unwrap();
        assert_eq!((now.number.number, now.by_hand), (1, true));
        change(&store, "A=4\n");
        assert_eq!(store.earlier(1).unwrap().settings, parse("A=3").unwrap());
        let now = store.now().unwrap();
        store
            .put(&now, &parse("A=3").unwrap(), Some(1), "ben")
            .unwrap();
        let now = store.now().unwrap();
        let number = &now.number;
        assert_eq!(
            (number.number, number.again, number.who.as_str()),
            (3, Some(1), "ben")
        );
        // A stop after the copy was kept, and before the file was replaced.
        fs_err::copy(&store.file, store.place(3)).unwrap();
        assert_eq!(store.numbers(&now).first().unwrap().number, 2);
    }

    #[test]
    fn a_file_that_is_none_is_named_and_its_values_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        fs_err::write(&store.file, "A=1\nsecret\n").unwrap();
        let message = store.now().unwrap_err().message();
        assert!(message.contains("a.env: line 2"), "{message}");
        assert!(!message.contains("secret"));
    }
}
