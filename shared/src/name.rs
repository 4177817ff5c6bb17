//! Checked names. Each is safe as one component of a path, of a unit's name and of nginx's
//! configuration, because nothing else can be constructed.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not a name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{text:?} is no {what}: it takes 1 to {longest} of a-z, 0-9 and single '-', begins with a letter and does not end with '-'"
)]
pub struct NameError {
    what: &'static str,
    text: String,
    longest: usize,
}

/// What stays free for the agent's own unit names and for previews' `--`.
fn is_plain(text: &str, longest: usize) -> bool {
    text.len() <= longest
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.ends_with('-')
        && !text.contains("--")
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and keeps it as a name.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                if is_plain(&text, $longest) {
                    Ok(Self(text))
                } else {
                    Err(NameError { what: $what, text, longest: $longest })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name!(
    /// An app. Its length leaves room for the Unix user that is named after it.
    AppName, "app name", 24
);
name!(
    /// A process or a timer of an app.
    ProcessName, "name of a process or timer", 24
);
name!(
    /// A host, as the inventory calls it.
    HostName, "host name", 63
);
name!(
    /// An environment, such as `staging`.
    EnvironmentName, "environment name", 40
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for text in ["a", "cortico", "web-1", "a1-b2-c3"] {
            assert_eq!(AppName::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn anything_that_could_leave_its_place_is_refused() {
        let long = "a".repeat(25);
        for text in [
            "",
            "..",
            ".",
            "a/b",
            "Current",
            "-a",
            "a-",
            "a--b",
            "1a",
            "a b",
            "a\nb",
            "a;b",
            "a}b",
            "a%b",
            "a@b",
            "сortico",
            "a\0",
            long.as_str(),
        ] {
            assert!(AppName::new(text).is_err(), "{text:?} passed");
        }
    }

    #[test]
    fn reading_goes_through_the_check() {
        assert!(serde_json::from_str::<AppName>("\"../etc\"").is_err());
    }
}
