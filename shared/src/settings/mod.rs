//! An app's settings: names and values that its processes find in their environment. They are state
//! of the host, and never part of a release.

mod file;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Sha256Digest;

pub use file::{FileError, parse, render};

/// What the settings of one app may come to. Every process is given all of them, and Linux gives a
/// process no more than 128 KiB in one piece.
pub const MOST_BYTES: usize = 96 * 1024;
/// More of them would not fit one message of ours.
pub const MOST_SETTINGS: usize = 200;
const LONGEST_NAME: usize = 128;
/// What Longshore itself tells the processes.
const OURS: &str = "LONGSHORE_";
/// What systemd tells them: another value would come in its place.
const OF_SYSTEMD: [&str; 7] = [
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
];

/// All settings of an app.
pub type Settings = BTreeMap<SettingName, SettingValue>;

/// The name of a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SettingName(String);

/// Why a text is not the name of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingNameError {
    /// No shell could name it.
    #[error(
        "{0:?} is no name of a setting: it takes letters, digits and '_', at most {LONGEST_NAME}, and begins with no digit"
    )]
    NoName(String),
    /// Its value would not be what was set.
    #[error("{0} is Longshore's own to set: names of settings do not begin with {OURS}")]
    Ours(String),
}

impl SettingName {
    /// Checks `text` and keeps it as a name.
    pub fn new(text: impl Into<String>) -> Result<Self, SettingNameError> {
        let text = text.into();
        let fits = |(at, byte): (usize, u8)| {
            byte.is_ascii_alphabetic() || byte == b'_' || (at > 0 && byte.is_ascii_digit())
        };
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().enumerate().all(fits) {
            let start: String = text.chars().take(40).collect();
            return Err(SettingNameError::NoName(start));
        }
        if text.starts_with(OURS) {
            return Err(SettingNameError::Ours(text));
        }
        Ok(Self(text))
    }

    /// Whether systemd tells a process by it: what is set so takes that away.
    pub fn is_systemds(&self) -> bool {
        OF_SYSTEMD.contains(&self.0.as_str())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SettingName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for SettingName {
    type Error = SettingNameError;
    fn try_from(text: String) -> Result<Self, SettingNameError> {
        Self::new(text)
    }
}

impl From<SettingName> for String {
    fn from(name: SettingName) -> Self {
        name.0
    }
}

/// A value, which may be a secret: it is written nowhere by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SettingValue(String);

/// Why a text is not the value of a setting. Says nothing of what the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SettingValueError {
    /// No process could be given it.
    #[error("the value takes {0} bytes; all settings of an app together take {MOST_BYTES} at most")]
    TooLong(usize),
    /// systemd, or the process, would see another value.
    #[error(
        "the value has a control character (byte {0:#04x}) in it; of these only tabs and newlines reach a process unharmed"
    )]
    Control(u32),
    /// systemd takes the whole file for damaged, and shows the value in its journal.
    #[error("the value has a code point in it that is no character (U+{0:04X})")]
    NoCharacter(u32),
}

impl SettingValue {
    /// Checks `text` and keeps it as a value.
    pub fn new(text: impl Into<String>) -> Result<Self, SettingValueError> {
        let text = text.into();
        if text.len() > MOST_BYTES {
            return Err(SettingValueError::TooLong(text.len()));
        }
        match text
            .chars()
            .find(|c| c.is_control() && !matches!(c, '\t' | '\n'))
        {
            Some(control) => Err(SettingValueError::Control(control.into())),
            None => match text
                .chars()
                .map(u32::from)
                .find(|code| is_no_character(*code))
            {
                Some(code) => Err(SettingValueError::NoCharacter(code)),
                None => Ok(Self(text)),
            },
        }
    }

    /// The value itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// By which values are told apart without being shown.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.0.as_bytes())
    }
}

/// What Unicode sets aside for ever.
fn is_no_character(code: u32) -> bool {
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

impl fmt::Debug for SettingValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(a value)")
    }
}

impl TryFrom<String> for SettingValue {
    type Error = SettingValueError;
    fn try_from(text: String) -> Result<Self, SettingValueError> {
        Self::new(text)
    }
}

impl From<SettingValue> for String {
    fn from(value: SettingValue) -> Self {
        value.0
    }
}

/// How many bytes the settings take of what a process can be given.
pub fn weight(settings: &Settings) -> usize {
    let one = |(name, value): (&SettingName, &SettingValue)| name.0.len() + value.0.len() + 2;
    settings.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_shell_has() {
        for good in ["A", "_a", "DATABASE_URL", "a1"] {
            SettingName::new(good).unwrap();
        }
        let long = "A".repeat(LONGEST_NAME + 1);
        for bad in ["", "1A", "A-B", "A B", "A=B", "ä", "A\n", &long] {
            let error = SettingName::new(bad).unwrap_err();
            assert!(matches!(error, SettingNameError::NoName(_)), "{bad:?}");
        }
        let ours = SettingName::new("LONGSHORE_SOCKET").unwrap_err();
        assert!(matches!(ours, SettingNameError::Ours(_)));
    }

    #[test]
    fn values_are_what_reaches_a_process_and_are_never_shown_by_accident() {
        let value = SettingValue::new("a\tb\n\"$'\\ö").unwrap();
        assert_eq!(format!("{value:?}"), "(a value)");
        let cut = SettingValue::new("x\0y").unwrap_err();
        assert_eq!(cut, SettingValueError::Control(0));
        assert_eq!(
            SettingValue::new("x\r\n"),
            Err(SettingValueError::Control(13))
        );
        for odd in ["\u{fdd0}", "a\u{ffff}", "\u{1fffe}"] {
            let error = SettingValue::new(odd).unwrap_err();
            assert!(
                matches!(error, SettingValueError::NoCharacter(_)),
                "{odd:?}"
            );
        }
        let long = SettingValue::new("secret".repeat(200_000)).unwrap_err();
        assert!(!long.to_string().contains("secret"));
        assert!(matches!(long, SettingValueError::TooLong(1_200_000)));
        let sent: Result<SettingValue, _> = serde_json::from_str("\"a\\u0000b\"");
        assert!(sent.is_err());
    }
}
