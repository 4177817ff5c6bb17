//! The inventory: environments, their hosts and which app lives where. Belongs to ops.
//!
//! A value of these types has been checked: names are valid, hosts are unique, apps name hosts
//! that exist, pinned keys can be read.

mod address;
mod check;
mod edit;
mod file;
mod locate;
mod pattern;
mod select;
mod setup;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use longshore_shared::instance::{Instance, InstanceError, Slug};
use longshore_shared::name::{AppName, EnvironmentName, HostName};
use longshore_shared::setup::{OnLeave, PreviewRules};
use russh::keys::PublicKey;
use thiserror::Error;

pub use address::{Address, AddressError};
pub use edit::{Draft, EditError, NewHost, TextError, add_host, pin_host_key, pin_host_keys};
pub use locate::{LocateError, find_upwards, locate};
pub use pattern::{HostPattern, glob};
pub use select::{HostSelection, SelectionError};
pub use setup::Setup;
pub(crate) use words::{is_domain, is_user, is_word};

use crate::did_you_mean;
use crate::toml_file::{SourceText, TomlFileError};

/// Everything that `inventory.toml` says.
#[derive(Debug)]
pub struct Inventory {
    path: PathBuf,
    signers: Option<PathBuf>,
    revoked: Option<PathBuf>,
    people: BTreeMap<String, Person>,
    environments: BTreeMap<EnvironmentName, Environment>,
}

/// Somebody who may be given an account on hosts.
#[derive(Debug)]
pub struct Person {
    pub keys: Vec<PublicKey>,
    pub groups: Vec<String>,
    /// What their signatures are known by; else their name.
    pub principal: Option<String>,
    /// They sign releases with these.
    pub signing_keys: Vec<PublicKey>,
    /// A repository that is cloned into their new home.
    pub dotfiles: Option<String>,
    /// Whether an account of that name that was there before is theirs.
    pub adopt: bool,
}

/// One environment: a set of hosts that belong together.
#[derive(Debug)]
pub struct Environment {
    pub name: EnvironmentName,
    /// Who may release here, by principal or `@group`. Nothing means every signer.
    pub release_by: Option<Vec<String>>,
    /// Who may let a release serve whose key was revoked: names and `@groups`.
    pub overrule: Option<Vec<String>>,
    /// Who may see and change settings, in the same way.
    pub settings_by: Option<Vec<String>>,
    /// Whether a deployment has to come after what serves.
    pub forward_only: bool,
    /// Who has an account on its hosts.
    pub people: Vec<String>,
    /// Keys of CI that may do nothing but deploy.
    pub deploy_keys: Vec<PublicKey>,
    /// How bootstrap makes its hosts.
    pub setup: Setup,
    /// In the inventory's order; the first one of an app runs its migrations.
    pub hosts: Vec<Host>,
    pub apps: BTreeMap<AppName, EnvironmentApp>,
}

/// One server.
#[derive(Debug, Clone)]
pub struct Host {
    pub name: HostName,
    pub address: Address,
    pub user: Option<String>,
    pub roles: Vec<String>,
    /// Pinned keys, the preferred first. Empty means that `known_hosts` decides.
    pub host_keys: Vec<PublicKey>,
}

/// Where an app lives in an environment, and how people reach it there.
#[derive(Debug, Clone)]
pub struct EnvironmentApp {
    /// Whose releases it runs.
    pub name: AppName,
    /// Itself, or a preview of it.
    pub instance: Instance,
    /// In the order of the environment's hosts.
    pub hosts: Vec<HostName>,
    pub domain: Option<String>,
    pub tls: Option<Tls>,
    pub branch: Option<String>,
    pub on_leave: OnLeave,
    /// Nothing where its branches get no previews.
    pub preview: Option<PreviewRules>,
}

/// Where a site's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    Acme,
    /// Paths that can be opened from anywhere.
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// A word of the command line that this inventory does not know.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LookupError {
    #[error("no environment `{name}` in {}{meant}", path.display())]
    UnknownEnvironment {
        name: String,
        path: PathBuf,
        meant: String,
        known: Vec<String>,
    },
    #[error("no app `{name}` in environment `{environment}`{meant}")]
    UnknownApp {
        name: String,
        environment: EnvironmentName,
        meant: String,
        known: Vec<String>,
    },
    #[error("environment `{environment}` has more than one app: say which with --app")]
    SeveralApps {
        environment: EnvironmentName,
        known: Vec<String>,
    },
    #[error("`{name}` names neither an app nor a preview of one")]
    NoInstance {
        name: String,
        #[source]
        source: InstanceError,
    },
    #[error("branches of `{app}` get no previews in environment `{environment}`")]
    NoPreviews {
        app: AppName,
        environment: EnvironmentName,
    },
    #[error("environment `{environment}` has no app yet")]
    NoApps { environment: EnvironmentName },
}

impl Inventory {
    /// Reads and checks the file at `path`.
    pub fn read(path: &Path) -> Result<Self, TomlFileError> {
        Self::from_source(&SourceText::open(path)?)
    }

    pub(crate) fn from_source(source: &SourceText) -> Result<Self, TomlFileError> {
        Ok(check::check(source, source.parse()?)?)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The signers file that bootstrap installs, as a path that can be opened from anywhere.
    pub fn signers(&self) -> Option<PathBuf> {
        self.signers.as_ref().map(|file| self.beside(file))
    }

    /// The file of keys that must not be trusted any more.
    pub fn revoked(&self) -> Option<PathBuf> {
        self.revoked.as_ref().map(|file| self.beside(file))
    }

    fn beside(&self, file: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).join(file)
    }

    pub fn people(&self) -> &BTreeMap<String, Person> {
        &self.people
    }

    pub fn environments(&self) -> impl Iterator<Item = &Environment> {
        self.environments.values()
    }

    pub fn environment(&self, name: &str) -> Result<&Environment, LookupError> {
        let found = EnvironmentName::new(name)
            .ok()
            .and_then(|name| self.environments.get(&name));
        found.ok_or_else(|| {
            let known: Vec<String> = self.environments.keys().map(ToString::to_string).collect();
            LookupError::UnknownEnvironment {
                name: name.to_owned(),
                path: self.path.clone(),
                meant: did_you_mean::suffix(name, known.iter().map(String::as_str)),
                known,
            }
        })
    }
}

impl Environment {
    /// An app, or a preview of one.
    pub fn instance(&self, name: &str) -> Result<Cow<'_, EnvironmentApp>, LookupError> {
        let Some((app, _)) = name.split_once("--") else {
            return Ok(Cow::Borrowed(self.app(name)?));
        };
        let app = self.app(app)?;
        let instance: Instance = name.parse().map_err(|source| LookupError::NoInstance {
            name: name.to_owned(),
            source,
        })?;
        match instance.preview() {
            Some(slug) => Ok(Cow::Owned(app.preview_called(slug))),
            None => Ok(Cow::Borrowed(app)),
        }
    }

    /// Refuses an app whose branches get no previews here.
    pub fn allows_previews(&self, app: &EnvironmentApp) -> Result<(), LookupError> {
        app.preview
            .as_ref()
            .map(drop)
            .ok_or_else(|| LookupError::NoPreviews {
                app: app.name.clone(),
                environment: self.name.clone(),
            })
    }

    pub fn app(&self, name: &str) -> Result<&EnvironmentApp, LookupError> {
        let found = AppName::new(name)
            .ok()
            .and_then(|name| self.apps.get(&name));
        found.ok_or_else(|| {
            let known = self.app_names();
            LookupError::UnknownApp {
                name: name.to_owned(),
                environment: self.name.clone(),
                meant: did_you_mean::suffix(name, known.iter().map(String::as_str)),
                known,
            }
        })
    }

    /// The app when there is but one to choose from.
    pub fn only_app(&self) -> Result<&EnvironmentApp, LookupError> {
        let mut apps = self.apps.values();
        match (apps.next(), apps.next()) {
            (Some(app), None) => Ok(app),
            (None, _) => Err(LookupError::NoApps {
                environment: self.name.clone(),
            }),
            (Some(_), Some(_)) => Err(LookupError::SeveralApps {
                environment: self.name.clone(),
                known: self.app_names(),
            }),
        }
    }

    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == *name)
    }

    fn app_names(&self) -> Vec<String> {
        self.apps.keys().map(ToString::to_string).collect()
    }
}

impl EnvironmentApp {
    /// A preview of it: on its first host, under a name of its own. One may be there that would not be
    /// allowed any more.
    pub fn preview_called(&self, slug: &Slug) -> EnvironmentApp {
        let rules = self.preview.as_ref();
        let own = rules.and_then(|rules| rules.domain.as_ref());
        let domain = own.or(self.domain.as_ref());
        EnvironmentApp {
            instance: Instance::preview_of(&self.name, slug.clone()),
            hosts: self.hosts.iter().take(1).cloned().collect(),
            domain: domain.map(|domain| format!("{slug}.{domain}")),
            tls: self
                .tls
                .clone()
                .filter(|_| rules.is_some_and(|rules| rules.https)),
            branch: None,
            ..self.clone()
        }
    }
}

impl LookupError {
    /// What could have been said instead.
    pub fn hints(&self) -> Vec<String> {
        let (what, known) = match self {
            LookupError::UnknownEnvironment { known, .. } => ("environments", known),
            LookupError::UnknownApp { known, .. } | LookupError::SeveralApps { known, .. } => {
                ("apps", known)
            }
            LookupError::NoInstance { .. } => {
                return vec![
                    "A preview is named after its app, such as cortico--login-form.".to_owned(),
                ];
            }
            LookupError::NoPreviews { app, environment } => {
                return vec![format!(
                    "Allow them: preview = {{ max = 5 }} under [environments.{environment}.apps.{app}] of the inventory, then longshore bootstrap {environment}."
                )];
            }
            LookupError::NoApps { environment } => {
                return vec![format!(
                    "Add one to the inventory: [environments.{environment}.apps.NAME] with hosts = [\"@web\"]."
                )];
            }
        };
        if known.is_empty() {
            vec![format!("The inventory has no {what} yet.")]
        } else {
            vec![format!("Known {what}: {}", known.join(", "))]
        }
    }
}
