//! The app file, `longshore.toml`: how an app is built, prepared, run and checked.
//!
//! It travels inside the signed manifest, so a host runs only signed instructions. Types here are
//! checked where they are read, because their texts end up in units and in nginx's configuration.

mod build;
mod limits;
mod preview;
mod processes;
mod site;
mod text;
mod unique_map;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::{AppName, ProcessName};
use crate::settings::SettingName;
use crate::span::Span;

pub use build::{Build, Cache};
pub use limits::{KernelSetting, Limits};
pub use preview::Preview;
pub use processes::{Calendar, Process, Timer};
pub use site::{HeaderName, HeaderValue, RedirectTarget, Site};
pub use text::{ByteSize, Command, InnerPath, SitePath, TextError};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    pub app: App,
    #[serde(default, skip_serializing_if = "Build::is_empty")]
    pub build: Build,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<Prepare>,
    #[serde(default, skip_serializing_if = "Backup::is_empty")]
    pub backup: Backup,
    #[serde(default, skip_serializing_if = "Migrate::is_empty")]
    pub migrate: Migrate,
    pub web: Web,
    #[serde(
        rename = "process",
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_map::deserialize"
    )]
    pub processes: BTreeMap<ProcessName, Process>,
    #[serde(
        rename = "timer",
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_map::deserialize"
    )]
    pub timers: BTreeMap<ProcessName, Timer>,
    /// From a path on the site to a folder of the release.
    #[serde(
        rename = "static",
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_map::deserialize"
    )]
    pub static_files: BTreeMap<SitePath, InnerPath>,
    #[serde(default, skip_serializing_if = "Site::is_empty")]
    pub site: Site,
    #[serde(default, skip_serializing_if = "Preview::is_empty")]
    pub preview: Preview,
    #[serde(default, skip_serializing_if = "SettingsUse::is_empty")]
    pub settings: SettingsUse,
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

/// `[settings]`: how the app gets them, beside its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsUse {
    /// These come as files of `$CREDENTIALS_DIRECTORY`, by their names, and not in the environment.
    #[serde(default)]
    pub files: Vec<SettingName>,
}

/// `[backup]`: before the migration, where one is to run. If it fails, nothing is migrated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    #[serde(default)]
    pub run: Vec<Command>,
}

/// `[migrate]`: once per environment, on its first host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How long each of these commands, and each of [backup], may take.
    #[serde(default = "default_step", skip_serializing_if = "is_default_step")]
    pub timeout: Span,
}

impl Default for Migrate {
    fn default() -> Self {
        Self {
            run: Vec::new(),
            check: None,
            undo: Vec::new(),
            timeout: default_step(),
        }
    }
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
/// A step that never ends would hold the lock for ever.
pub const LONGEST_STEP: Span = Span::seconds(1800);

const fn default_step() -> Span {
    LONGEST_STEP
}

fn is_default_step(span: &Span) -> bool {
    *span == LONGEST_STEP
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
    ByteSize::mebibytes(1)
}

impl SettingsUse {
    fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

impl Backup {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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

/// Whether a path is another or lies inside it.
fn is_inside(path: &InnerPath, other: &InnerPath) -> bool {
    let rest = path.as_str().strip_prefix(other.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
    #[error("[backup] comes before a migration, and [migrate] has nothing to `run`")]
    BackupAlone,
    #[error("[migrate] `timeout` is 0s: no command can keep to it; leave it out for 30 minutes")]
    MigrateTimeout,
    #[error("[preview] has `create` and no `destroy`: what it makes would stay for ever")]
    PreviewOneSided,
    #[error("[preview] `timeout`: take a second to an hour, or leave it out for 10 minutes")]
    PreviewTimeout,
    #[error(
        "{0}: `;`, `&` and `|` are a shell's, and what is asked to end has to be the program itself: write sh -c '…'"
    )]
    SeveralPrograms(String),
    #[error("[static] {0:?}: the site's own root is the app's")]
    StaticRoot(String),
    #[error(
        "[static] {path:?} holds {shared:?} of [shared], which the app may change: give it a path of its own"
    )]
    SharedInStatic { path: String, shared: String },
    #[error(
        "[site] `maintenance` is in [shared], which the app may change: take a file of the release"
    )]
    SharedPage,
    #[error("[shared] names {0:?} twice, or one path inside another")]
    SharedTwice(String),
    #[error("no process or timer can be called {0:?}: the name stands for something else")]
    NameTaken(String),
    #[error("{0:?} is a process and a timer: give one of them another name")]
    ProcessAndTimer(String),
    #[error("[process.{0}] `stop_timeout`: take a second to an hour")]
    StopTimeout(String),
    #[error("[timer.{0}] says when it runs with one of `at` and `every`: give exactly one")]
    When(String),
    #[error("[timer.{0}] has a time of 0s: take a second at least")]
    TimerSpan(String),
    #[error("[site] {0:?} is Longshore's own, and cannot be redirected")]
    OwnPath(String),
    #[error(
        "[site] {0:?} is the site's root, or in two of `redirects`, `websockets` and [static]: give each a place of its own"
    )]
    PathTwice(String),
    #[error("[site] `headers` names {0:?} twice")]
    HeaderTwice(String),
    #[error("[site] `redirects` sends {0:?} to itself")]
    RedirectsToItself(String),
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
        if !self.backup.run.is_empty() && self.migrate.run.is_empty() {
            return Err(AppFileError::BackupAlone);
        }
        if self.migrate.timeout.duration().is_zero() {
            return Err(AppFileError::MigrateTimeout);
        }
        if self.preview.is_one_sided() {
            return Err(AppFileError::PreviewOneSided);
        }
        if !self.preview.has_sound_timeout() {
            return Err(AppFileError::PreviewTimeout);
        }
        self.build.check()?;
        self.limits.check()?;
        processes::check(&self.processes, &self.timers)?;
        self.check_programs()?;
        self.site.check(&self.static_files)?;
        self.check_static()?;
        let all = || self.shared.dirs.iter().chain(&self.shared.files);
        for (at, path) in all().enumerate() {
            let mut others = all().enumerate().filter(|(place, _)| *place != at);
            if others.any(|(_, other)| is_inside(path, other)) {
                return Err(AppFileError::SharedTwice(path.to_string()));
            }
        }
        Ok(())
    }

    fn check_programs(&self) -> Result<(), AppFileError> {
        let web = self
            .web
            .command
            .iter()
            .map(|line| ("[web]".to_owned(), line));
        let processes = self.processes.iter();
        let processes =
            processes.map(|(name, process)| (format!("[process.{name}]"), &process.command));
        match web
            .chain(processes)
            .find(|(_, line)| !line.is_one_program())
        {
            Some((place, _)) => Err(AppFileError::SeveralPrograms(place)),
            None => Ok(()),
        }
    }

    /// nginx gives out what lies in these folders, and follows no link that the app could have made.
    fn check_static(&self) -> Result<(), AppFileError> {
        let shared = || self.shared.dirs.iter().chain(&self.shared.files);
        for (path, folder) in &self.static_files {
            if path.as_str() == "/" {
                return Err(AppFileError::StaticRoot(path.to_string()));
            }
            let within = |inner: &&InnerPath| is_inside(inner, folder) && *inner != folder;
            if let Some(inner) = shared().find(within) {
                return Err(AppFileError::SharedInStatic {
                    path: path.to_string(),
                    shared: inner.to_string(),
                });
            }
        }
        let page = self.site.maintenance.as_ref();
        match page.filter(|page| shared().any(|shared| is_inside(page, shared))) {
            Some(_) => Err(AppFileError::SharedPage),
            None => Ok(()),
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
    fn shared_paths_do_not_overlap() {
        let mut file: AppFile = serde_json::from_str(SMALL).unwrap();
        file.shared.dirs = ["media", "media/x"]
            .map(|path| InnerPath::try_from(path.to_owned()).unwrap())
            .to_vec();
        assert!(matches!(file.check(), Err(AppFileError::SharedTwice(_))));
    }

    #[test]
    fn what_the_app_may_change_is_not_given_out_with_the_release() {
        let whole = |text: &str| {
            let file: AppFile = serde_json::from_str(&SMALL.replacen('{', text, 1)).unwrap();
            file.check()
        };
        let files = r#"{"static":{"/static/":"staticfiles","/media/":"media"},"#;
        let shared = |dirs: &str| whole(&format!("{files}\"shared\":{{\"dirs\":[{dirs}]}},"));
        assert_eq!(shared("\"media\""), Ok(()));
        assert!(shared("\"staticfiles/uploads\"").is_err());
        assert!(whole(r#"{"static":{"/":"public"},"#).is_err());
        let page = r#"{"site":{"maintenance":"media/x.html"},"shared":{"dirs":["media"]},"#;
        assert_eq!(whole(page), Err(AppFileError::SharedPage));
    }

    #[test]
    fn what_is_asked_to_end_is_one_program() {
        for (line, fine) in [
            ("a --b", true),
            ("A=1 a 'b; c'", true),
            ("sh -c 'a && b'", true),
            ("a && b", false),
            ("a; b", false),
            ("a | b", false),
            ("a 'b", true),
        ] {
            let line = Command::try_from(line.to_owned()).unwrap();
            assert_eq!(line.is_one_program(), fine, "{line}");
        }
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
}
