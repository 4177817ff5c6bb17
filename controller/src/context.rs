//! What a command works with: where it prints, what was asked for, and the files that say the rest.

use std::borrow::Cow;
use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use longshore_shared::app_file::AppFile;

use crate::error::CommandError;
use crate::event::Report;
use crate::global_args::GlobalArgs;
use crate::inventory::{self, Environment, EnvironmentApp, Inventory};
use crate::rollout::Reach;
use crate::ssh::{AskPassphrase, Keyring, Surroundings};
use crate::toml_file;
use crate::ui::Ui;

/// The file at the root of an app's repository.
pub(crate) const APP_FILE: &str = "longshore.toml";

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) ui: Arc<Ui>,
    pub(crate) global: GlobalArgs,
}

impl Context {
    pub(crate) fn new(ui: Arc<Ui>, global: GlobalArgs) -> Self {
        Context { ui, global }
    }

    pub(crate) fn folder(&self) -> Result<PathBuf, CommandError> {
        env::current_dir().map_err(|error| {
            CommandError::configuration("cannot tell which folder this is").caused_by(error)
        })
    }

    pub(crate) fn inventory(&self) -> Result<Inventory, CommandError> {
        let path = inventory::locate(self.global.inventory.as_deref(), &self.folder()?)?;
        Ok(Inventory::read(&path)?)
    }

    /// The app file of this folder's repository, if this is one.
    pub(crate) fn app_file(&self) -> Result<Option<(PathBuf, AppFile)>, CommandError> {
        let Some(path) = inventory::find_upwards(&self.folder()?, APP_FILE) else {
            return Ok(None);
        };
        let file: AppFile = toml_file::read(&path)?;
        file.check().map_err(|error| {
            CommandError::configuration(format!("{} is not right", path.display())).caused_by(error)
        })?;
        Ok(Some((path, file)))
    }

    /// The app that a verb is about: `--app`, else the app file here, else the only one there is.
    pub(crate) fn app<'a>(
        &self,
        environment: &'a Environment,
    ) -> Result<Cow<'a, EnvironmentApp>, CommandError> {
        if let Some(name) = &self.global.app {
            return Ok(environment.instance(name)?);
        }
        let app = match self.app_file()? {
            Some((_, file)) => environment.app(file.app.name.as_str())?,
            None => environment.only_app()?,
        };
        Ok(Cow::Borrowed(app))
    }

    /// The same for verbs that bring an app a release, which previews have one of their own for.
    pub(crate) fn app_itself<'a>(
        &self,
        environment: &'a Environment,
    ) -> Result<Cow<'a, EnvironmentApp>, CommandError> {
        let app = self.app(environment)?;
        let Some(slug) = app.instance.preview() else {
            return Ok(app);
        };
        let name = &environment.name;
        Err(CommandError::usage(format!(
            "{} is a preview, and this is for apps",
            app.instance
        ))
        .hint(format!(
            "Bring a preview its branch: longshore preview up {name} --ref BRANCH --name {slug}"
        )))
    }

    /// Private keys of this person, who is asked for passphrases.
    pub(crate) fn keyring(&self) -> Keyring {
        let person: Arc<dyn AskPassphrase> = self.ui.clone();
        Keyring::new(person)
    }

    /// What is needed to reach the hosts of an environment.
    pub(crate) fn reach(&self, environment: &Environment, report: Arc<dyn Report>) -> Reach {
        Reach {
            around: Arc::new(Surroundings::of_this_process()),
            keyring: Arc::new(self.keyring()),
            report,
            environment: environment.name.clone(),
        }
    }

    /// The app if the person or the folder names one; `None` means all of the environment's.
    pub(crate) fn app_if_named<'a>(
        &self,
        environment: &'a Environment,
    ) -> Result<Option<Cow<'a, EnvironmentApp>>, CommandError> {
        match &self.global.app {
            Some(name) => Ok(Some(environment.instance(name)?)),
            None => Ok(None),
        }
    }
}
