//! The first `longshore.toml` and `inventory.toml` of a repository, from what lies in it.
//!
//! `look`, `python` and `node` find out what the app is, `app_text` and `inventory_text` write it
//! down, `files` puts it where nothing is yet.

mod app_text;
mod django;
mod files;
mod inventory_text;
mod look;
mod node;
mod procfile;
mod project;
mod python;
mod sources;

use std::path::{Path, PathBuf};

use longshore_shared::app_file::AppFile;
use russh::keys::PublicKey;

pub use files::{InitError, Written};
pub use look::look;
pub use project::{Kind, Project};

use crate::inventory::Inventory;
use crate::toml_file::{SourceText, TomlFileError};

pub(crate) const APP_FILE: &str = "longshore.toml";
pub(crate) const INVENTORY_FILE: &str = "inventory.toml";
const SIGNERS_FILE: &str = "allowed_signers";

/// What a person says, or leaves as it is offered.
#[derive(Debug, Clone)]
pub struct Answers {
    pub name: String,
    pub address: String,
    pub domain: String,
    /// The branch that production follows.
    pub branch: String,
}

/// Who signs releases: the first line of `allowed_signers`.
#[derive(Debug, Clone)]
pub struct Signer {
    pub principal: String,
    pub key: PublicKey,
}

/// Where the files go.
#[derive(Debug, Clone)]
pub struct Places {
    pub app_file: PathBuf,
    pub inventory: PathBuf,
    pub signers: PathBuf,
    pub gitignore: PathBuf,
}

impl Places {
    /// In the app's repository; the inventory may be somewhere else.
    pub fn new(root: &Path, inventory: Option<&Path>) -> Self {
        let inventory = inventory.map_or_else(|| root.join(INVENTORY_FILE), Path::to_owned);
        Self {
            app_file: root.join(APP_FILE),
            signers: inventory.with_file_name(SIGNERS_FILE),
            inventory,
            gitignore: root.join(".gitignore"),
        }
    }
}

/// The texts of both files. They are read as every other verb reads them before they are given out,
/// so a wrong answer is told with its place.
pub fn texts(project: &Project, answers: &Answers) -> Result<(String, String), InitError> {
    let app = app_text::render(project, answers);
    let file: AppFile = SourceText::from_text(Path::new(APP_FILE), app.clone())
        .parse()
        .map_err(TomlFileError::from)?;
    file.check().map_err(InitError::Rules)?;
    let inventory = inventory_text::render(answers);
    let source = SourceText::from_text(Path::new(INVENTORY_FILE), inventory.clone());
    Inventory::from_source(&source)?;
    Ok((app, inventory))
}

/// Writes what is not there yet.
pub fn write(
    places: &Places,
    (app, inventory): &(String, String),
    signer: Option<&Signer>,
) -> Result<Written, InitError> {
    let mut written = Written::default();
    written.add(&places.app_file, app)?;
    written.add(&places.inventory, inventory)?;
    if let Some(signer) = signer {
        written.add(&places.signers, &files::signers_text(signer)?)?;
    }
    written.ignore_dist(&places.gitignore)?;
    Ok(written)
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}
