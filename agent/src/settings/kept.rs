//! The files that settings are kept in. Each begins with a line that says which number it is, whose,
//! and what follows it; a file without that line, or with another content, was written by hand.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::settings::{Settings, parse, render};
use longshore_shared::wire::latest::SettingsNumber;

use super::MEND;
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
        Ok(read(&self.file)?.unwrap_or_else(|| Kept {
            number: nobody(0),
            settings: Settings::new(),
            by_hand: false,
        }))
    }

    /// What they were as that number.
    pub(super) fn earlier(&self, number: u64) -> Result<Settings, Trouble> {
        let kept = read(&self.place(number))?;
        // Before the first change there was nothing.
        if number == 0 && kept.is_none() {
            return Ok(Settings::new());
        }
        kept.map(|kept| kept.settings).ok_or_else(|| {
            Trouble::refused(
                format!("settings {number} are not kept here any more"),
                "`longshore settings list` shows which are",
            )
        })
    }

    /// Those that can be gone back to, the newest first.
    pub(super) fn numbers(&self) -> Vec<SettingsNumber> {
        let numbers = self.kept_numbers().into_iter();
        numbers
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
    pub(super) fn put(&self, now: &Kept, settings: &Settings, who: &str) -> Result<(), Trouble> {
        let failed = |error: io::Error| Trouble::because(&error, MEND);
        if self.file.exists() {
            let text = fs_err::read(&self.file).map_err(failed)?;
            put_with_mode(&self.place(now.number.number), &text, MODE).map_err(failed)?;
        }
        let next = 1 + self
            .kept_numbers()
            .first()
            .copied()
            .unwrap_or(0)
            .max(now.number.number);
        let text = written(next, who, Timestamp::now(), settings);
        put_with_mode(&self.file, text.as_bytes(), MODE).map_err(failed)?;
        for old in self.kept_numbers().into_iter().skip(MOST_EARLIER) {
            fs_err::remove_file(self.place(old)).map_err(failed)?;
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

fn nobody(number: u64) -> SettingsNumber {
    SettingsNumber {
        number,
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

fn written(number: u64, who: &str, at: Timestamp, settings: &Settings) -> String {
    let text = render(settings);
    let digest = Sha256Digest::of(text.as_bytes());
    format!("{HEAD}{number}, {at}, {digest}, {who}. Change them with `longshore settings`.\n{text}")
}

/// What the first line says, and whether the rest is as it was written with it.
fn head(first: &str, rest: &str) -> Option<(SettingsNumber, bool)> {
    let mut words = first.strip_prefix(HEAD)?.splitn(4, ", ");
    let number = words.next()?.parse().ok()?;
    let at = words.next()?.parse().ok()?;
    let digest = words.next()?;
    let who = words.next()?.split(". ").next()?.to_owned();
    let as_written = Sha256Digest::of(rest.as_bytes()).to_string() == digest;
    let number = SettingsNumber {
        number,
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
        store.put(&now, &parse(text).unwrap(), "ann").unwrap();
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
        let kept: Vec<u64> = store.numbers().iter().map(|kept| kept.number).collect();
        assert_eq!(kept, (5..=14).rev().collect::<Vec<_>>());
        assert_eq!(store.earlier(7).unwrap(), parse("A=7").unwrap());
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
        assert_eq!(store.earlier(1).unwrap(), parse("A=3").unwrap());
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
