//! Writes new files, and never over one that is there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use longshore_shared::app_file::AppFileError;
use thiserror::Error;

use super::Signer;
use crate::error::CommandError;
use crate::toml_file::TomlFileError;

const IGNORED: &str = "dist/";

/// Why files were not written.
#[derive(Debug, Error)]
pub enum InitError {
    #[error(transparent)]
    Toml(#[from] TomlFileError),
    #[error("the app file would not be right")]
    Rules(#[source] AppFileError),
    #[error("the signing key cannot be written down")]
    Key(#[source] russh::keys::ssh_key::Error),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What became of each file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Written {
    pub new: Vec<PathBuf>,
    /// There before, and left alone.
    pub left: Vec<PathBuf>,
    /// `dist/` was added to it.
    pub gitignore: Option<PathBuf>,
}

impl Written {
    /// Writes the file unless something of this name is there.
    pub(super) fn add(&mut self, path: &Path, text: &str) -> Result<(), InitError> {
        let wrong = |source| InitError::Write {
            path: path.to_owned(),
            source,
        };
        // A link that leads nowhere counts as something too.
        let opened = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path);
        match opened {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).map_err(wrong)?;
                self.new.push(path.to_owned());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.left.push(path.to_owned());
                Ok(())
            }
            Err(error) => Err(wrong(error)),
        }
    }

    /// Has git ignore what builds write, where there is a list of what it ignores.
    pub(super) fn ignore_dist(&mut self, path: &Path) -> Result<(), InitError> {
        let wrong = |source| InitError::Write {
            path: path.to_owned(),
            source,
        };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(wrong(error)),
        };
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let mut known =
            lines.filter(|line| matches!(*line, b"dist" | b"dist/" | b"/dist" | b"/dist/"));
        if known.next().is_some() {
            return Ok(());
        }
        let newline = if text.is_empty() || text.ends_with(b"\n") {
            ""
        } else {
            "\n"
        };
        let added = format!("{newline}{IGNORED}\n");
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(wrong)?;
        file.write_all(added.as_bytes()).map_err(wrong)?;
        self.gitignore = Some(path.to_owned());
        Ok(())
    }
}

/// The list with its first signer, who may also change the list on hosts.
pub(super) fn signers_text(signer: &Signer) -> Result<String, InitError> {
    // The comment of a key can hold anything; the name is before it.
    let key = russh::keys::PublicKey::from(signer.key.key_data().clone());
    let key = key.to_openssh().map_err(InitError::Key)?;
    Ok(format!(
        "# Who may sign releases, one a line: see ALLOWED SIGNERS in ssh-keygen(1). The second namespace is for\n\
         # those who may change this list on hosts: longshore signers push ENV.\n\
         {} namespaces=\"longshore-release,longshore-signers\" {}\n",
        signer.principal,
        key.trim()
    ))
}

impl From<InitError> for CommandError {
    fn from(error: InitError) -> Self {
        match error {
            InitError::Toml(error) => {
                Self::from(error).hint("Nothing was written. Give other answers.")
            }
            InitError::Rules(source) => {
                Self::configuration("the app file would not be right; nothing was written")
                    .caused_by(source)
            }
            InitError::Key(source) => {
                Self::failed("the signing key cannot be written down").caused_by(source)
            }
            InitError::Write { ref path, .. } => {
                let message = format!("cannot write {}", path.display());
                match error {
                    InitError::Write { source, .. } => Self::failed(message).caused_by(source),
                    _ => Self::failed(message),
                }
                .hint("What was written before is whole; run it again to have the rest.")
            }
        }
    }
}
