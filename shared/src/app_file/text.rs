//! Texts of an app file, each checked for the place that it ends up in.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text of an app file that does not fit its place.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TextError {
    #[error(
        "{0:?} is no path inside the release: write it relative, without \"..\", control characters, quotes or '$', such as \"staticfiles/\""
    )]
    InnerPath(String),
    #[error(
        "{0:?} is no path of a site: it begins with '/' and takes letters, digits and -._~/ only, such as \"/static/\""
    )]
    SitePath(String),
    #[error("{0:?} is no command: it is one line, not empty, without control characters")]
    Command(String),
    #[error("{0:?} is no header that can be added to every answer")]
    HeaderName(String),
    #[error(
        "{0:?} is no value of a header here: it takes printable ASCII without any of \"\\${{}}"
    )]
    HeaderValue(String),
    #[error(
        "{0:?} is no target of a redirect: write a path such as \"/new/\", or an address such as \"https://example.com/\""
    )]
    RedirectTarget(String),
    #[error(
        "{0:?} is no size: write a whole number and k, m or g, such as \"20m\"; \"64g\" is the most"
    )]
    ByteSize(String),
}

/// A type whose values passed a check, by the same name as its error's.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text as it is kept.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::app_file::TextError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                let check: fn(&str) -> Option<String> = $check;
                match check(&text) {
                    Some(kept) => Ok(Self(kept)),
                    None => Err($crate::app_file::TextError::$name(text)),
                }
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

pub(super) use checked_text;

checked_text!(
    /// A path inside the release, kept without a slash at its end.
    InnerPath,
    |text| {
        let path = text.strip_suffix('/').unwrap_or(text);
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.len() <= 255
                && !part.contains(|c: char| {
                    c.is_control() || matches!(c, '\\' | '"' | '\'' | '$' | ';' | '{' | '}' | ':' | '%' | '#')
                })
        };
        let reserved = path == crate::tree::RESERVED
            || path.starts_with(concat!(".longshore", "/"));
        (path.len() <= 1024 && !reserved && path.split('/').all(plain)).then(|| path.to_owned())
    }
);
checked_text!(
    /// A path of the app's site, safe inside nginx's configuration and a request line.
    SitePath,
    |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '/');
        let walks = text.split('/').any(|part| matches!(part, "." | ".."));
        (text.starts_with('/') && text.len() <= 255 && text.chars().all(plain) && !walks)
            .then(|| text.to_owned())
    }
);
checked_text!(
    /// One line for `/bin/sh -c`, or for a slot.
    Command,
    |text| {
        let line = text.trim();
        (!line.is_empty() && line.len() <= 4096 && !line.contains(char::is_control))
            .then(|| line.to_owned())
    }
);

impl Command {
    /// Whether a shell would start one program for it, and nothing beside or after that.
    pub fn is_one_program(&self) -> bool {
        let mut quote = None;
        let mut escaped = false;
        for c in self.0.chars() {
            match (quote, c) {
                _ if escaped => escaped = false,
                (None | Some('"'), '\\') => escaped = true,
                (Some(open), c) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, ';' | '&' | '|') => return false,
                (None, _) => {}
            }
        }
        true
    }
}

/// A number of bytes, written as `20m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

impl ByteSize {
    pub const fn mebibytes(number: u64) -> Self {
        Self(number << 20)
    }

    /// How many bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for ByteSize {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            _ => return Err(TextError::ByteSize(text)),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .filter(|bytes| *bytes <= 64 << 30)
            .map(Self)
            .ok_or(TextError::ByteSize(text))
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> String {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % (1 << 30) == 0 && bytes > 0 => write!(out, "{}g", bytes >> 30),
            bytes if bytes % (1 << 20) == 0 && bytes > 0 => write!(out, "{}m", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 && bytes > 0 => write!(out, "{}k", bytes >> 10),
            bytes => write!(out, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_release_are_refused() {
        for text in [
            "",
            "/etc",
            "../x",
            "a/../b",
            "a//b",
            "./a",
            ".",
            "a\nb",
            "a\\b",
            ".longshore",
            ".longshore/env",
            "a;b",
            "a:b",
            "a}b",
        ] {
            assert!(
                InnerPath::try_from(text.to_owned()).is_err(),
                "{text:?} passed"
            );
        }
        assert_eq!(
            InnerPath::try_from("wheels/".to_owned()).unwrap().as_str(),
            "wheels"
        );
    }

    #[test]
    fn site_paths_cannot_break_out_of_a_server_block() {
        for text in [
            "static", "/a b", "/a;", "/a{", "/$x", "/a/../b", "/\n", "/\u{e4}",
        ] {
            assert!(
                SitePath::try_from(text.to_owned()).is_err(),
                "{text:?} passed"
            );
        }
    }

    #[test]
    fn commands_are_one_line() {
        assert!(Command::try_from("a\n[Service]".to_owned()).is_err());
        assert!(Command::try_from("  ".to_owned()).is_err());
    }

    #[test]
    fn sizes_read_what_they_write() {
        for text in ["20m", "1g", "512k", "77"] {
            assert_eq!(
                ByteSize::try_from(text.to_owned()).unwrap().to_string(),
                text
            );
        }
        assert!(ByteSize::try_from("20MB".to_owned()).is_err());
    }
}
