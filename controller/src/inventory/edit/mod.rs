//! Edits of `inventory.toml` that touch nothing but what they are about: comments, order and the
//! person's own way of writing stay, byte by byte.

mod draft;
mod text;
#[cfg(test)]
mod text_tests;

use std::io;
use std::path::{Path, PathBuf};

use longshore_shared::name::{EnvironmentName, HostName};
use thiserror::Error;

pub use draft::Draft;
pub use text::{NewHost, TextError, add_host, pin_host_key};

use crate::toml_file::TomlFileError;

/// Why the inventory was left as it is.
#[derive(Debug, Error)]
pub enum EditError {
    #[error("{} cannot be read or written", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} cannot be edited", path.display())]
    Text {
        path: PathBuf,
        #[source]
        source: TextError,
    },
    #[error("somebody else changed {} in the meantime", path.display())]
    Changed { path: PathBuf },
    #[error("the inventory would not be right afterwards")]
    Wrong(#[from] TomlFileError),
}

/// Pins the keys that hosts were vouched for with.
pub fn pin_host_keys(
    path: &Path,
    environment: &EnvironmentName,
    keys: &[(HostName, String)],
) -> Result<(), EditError> {
    let draft = Draft::open(path)?;
    let mut text = draft.text().to_owned();
    for (host, key) in keys {
        text = pin_host_key(&text, environment, host, key).map_err(|error| draft.wrong(error))?;
    }
    draft.write(&text)
}
