//! The app file, `longshore.toml`: how an app is built, prepared, run and checked.
//!
//! It travels inside the signed manifest, so a host runs only signed instructions. Types here are
//! checked where they are read, because their texts end up in units and in nginx's configuration.

mod build;
mod limits;
mod unique_map;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::AppName;
use crate::span::Span;

pub use build::{Build, Cache};
pub use limits::{KernelSetting, Limits};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    pub app: App,
    #[serde(default, skip_serializing_if = "Build::is_empty")]
    pub build: Build,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<Prepare>,
    #[serde(default, skip_serializing_if = "Migrate::is_empty")]
    pub migrate: Migrate,
    pub web: Web,
    /// From a path on the site to a folder of the release.
    #[serde(
        rename = "static",
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_map::deserialize"
    )]
    pub static_files: BTreeMap<SitePath, InnerPath>,
    #[serde(default, skip_serializing_if = "Shared::is_empty")]
    pub shared: Shared,
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// `[app]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub name: AppName,
    /// How many releases a host keeps, the live one among them.
    #[serde(default = "default_keep_releases")]
    pub keep_releases: u32,
}

/// `[[prepare]]`: on the host, as the app's user, in the new release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    pub run: Vec<Command>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
}

/// What of a step's result is kept for every release with the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    pub keep: Vec<InnerPath>,
    pub key: Vec<InnerPath>,
}

/// `[migrate]`: once per environment, on its first host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migrate {
    #[serde(default)]
    pub run: Vec<Command>,
    /// Prints, a line each and the oldest first, the migrations of this release that are in the
    /// database: a name, or what Django's `showmigrations --plan` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Command>,
    /// Takes `$LONGSHORE_MIGRATION` out of the database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Command>,
}

/// `[web]`: what serves in a slot. Exactly one of `gunicorn` and `command` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// A WSGI application, such as `config.wsgi:application`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gunicorn: Option<Command>,
    /// Anything else that listens on `$LONGSHORE_SOCKET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    #[serde(default = "default_workers")]
    pub workers: u32,
    pub health: Health,
    /// How long the slot that was left stays warm.
    #[serde(default = "default_cooldown")]
    pub cooldown: Span,
    /// The largest request body that nginx lets through.
    #[serde(default = "default_max_upload")]
    pub max_upload: ByteSize,
}

/// How a slot proves that it is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    pub path: SitePath,
    /// In all, from the start of the slot.
    #[serde(default = "default_health_timeout")]
    pub timeout: Span,
    /// A path whose body is the release's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SitePath>,
}

/// `[shared]`: what survives releases; links in the release to the app's `shared/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    #[serde(default)]
    pub dirs: Vec<InnerPath>,
    #[serde(default)]
    pub files: Vec<InnerPath>,
}

const fn default_keep_releases() -> u32 {
    5
}
const fn default_workers() -> u32 {
    3
}
const fn default_cooldown() -> Span {
    Span::seconds(600)
}
const fn default_health_timeout() -> Span {
    Span::seconds(30)
}
const fn default_max_upload() -> ByteSize {
    ByteSize(1024 * 1024)
}

impl Migrate {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Shared {
    fn is_empty(&self) -> bool {
        self.dirs.is_empty() && self.files.is_empty()
    }
}

/// What the types of an app file cannot say one by one.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AppFileError {
    #[error("[web] has neither `gunicorn` nor `command`: name what serves the app")]
    NothingToServe,
    #[error("[web] has both `gunicorn` and `command`: keep one")]
    TwoToServe,
    #[error("[web] `workers` is {0}: take 1 to 256")]
    Workers(u32),
    #[error("[app] `keep_releases` is {0}: take 2 to 100, so that there is one to roll back to")]
    KeepReleases(u32),
    #[error("[limits] `{name}` is {value}: take 64 to {most}")]
    Limit {
        name: &'static str,
        value: u32,
        most: u32,
    },
    #[error("[migrate] has `undo` and no `check`, which tells what there is to undo")]
    UndoWithoutCheck,
    #[error("[shared] names {0:?} twice, or one path inside another")]
    SharedTwice(String),
    #[error("[build] `timeout` is 0s: no step can keep to it; leave it out for an hour")]
    BuildTimeout,
    #[error(
        "[build] `cache` of {0:?} has no `key`: name the files that decide what it holds, such as a lock file"
    )]
    CacheKey(String),
    #[error("[build] `cache` of {0:?} has itself in its `key`: name files that the commit holds")]
    CacheInKey(String),
    #[error("[build] `cache` names {0:?} twice, or one path inside another")]
    CacheTwice(String),
}

impl AppFile {
    /// Checks what only the whole file can tell.
    pub fn check(&self) -> Result<(), AppFileError> {
        match (&self.web.gunicorn, &self.web.command) {
            (None, None) => return Err(AppFileError::NothingToServe),
            (Some(_), Some(_)) => return Err(AppFileError::TwoToServe),
            _ => {}
        }
        if !(1..=256).contains(&self.web.workers) {
            return Err(AppFileError::Workers(self.web.workers));
        }
        if !(2..=100).contains(&self.app.keep_releases) {
            return Err(AppFileError::KeepReleases(self.app.keep_releases));
        }
        if !self.migrate.undo.is_empty() && self.migrate.check.is_none() {
            return Err(AppFileError::UndoWithoutCheck);
        }
        self.build.check()?;
        self.limits.check()?;
        let shared: Vec<&str> = self
            .shared
            .dirs
            .iter()
            .chain(&self.shared.files)
            .map(InnerPath::as_str)
            .collect();
        for (at, path) in shared.iter().enumerate() {
            let inside = |other: &&str| {
                path == other
                    || path
                        .strip_prefix(*other)
                        .is_some_and(|rest| rest.starts_with('/'))
            };
            if shared
                .iter()
                .enumerate()
                .any(|(place, other)| place != at && inside(other))
            {
                return Err(AppFileError::SharedTwice((*path).to_owned()));
            }
        }
        Ok(())
    }
}

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
    #[error(
        "{0:?} is no size: write a whole number and k, m or g, such as \"20m\"; \"64g\" is the most"
    )]
    ByteSize(String),
}

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
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                let check: fn(&str) -> Option<String> = $check;
                match check(&text) {
                    Some(kept) => Ok(Self(kept)),
                    None => Err(TextError::$name(text)),
                }
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

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

/// A number of bytes, written as `20m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

impl ByteSize {
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

    const SMALL: &str = r#"{"app":{"name":"a"},"web":{"gunicorn":"a:b","health":{"path":"/h"}}}"#;

    #[test]
    fn defaults_fill_what_is_left_out() {
        let file: AppFile = serde_json::from_str(SMALL).unwrap();
        file.check().unwrap();
        assert_eq!(file.app.keep_releases, 5);
        assert_eq!(file.web.cooldown, Span::seconds(600));
        let again: AppFile = serde_json::from_str(&serde_json::to_string(&file).unwrap()).unwrap();
        assert_eq!(again, file);
    }

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
    fn shared_paths_do_not_overlap() {
        let mut file: AppFile = serde_json::from_str(SMALL).unwrap();
        file.shared.dirs = ["media", "media/x"]
            .map(|path| InnerPath::try_from(path.to_owned()).unwrap())
            .to_vec();
        assert!(matches!(file.check(), Err(AppFileError::SharedTwice(_))));
    }

    #[test]
    fn unknown_keys_are_errors() {
        let text = SMALL.replace("\"web\"", "\"wbe\":1,\"web\"");
        assert!(
            serde_json::from_str::<AppFile>(&text)
                .unwrap_err()
                .to_string()
                .contains("wbe")
        );
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
