//! The keys that may open a sealed file: the one that is named, else the person's own.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use age::ssh::Identity;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;

use crate::error::CommandError;
use crate::ssh::{Keyring, Loaded};

/// A path, or the key itself.
const VARIABLE: &str = "LONGSHORE_IDENTITY";
const OWN: &str = ".ssh/id_ed25519";

/// Keys and what they are called in messages.
pub(crate) struct Identities {
    keys: Vec<Identity>,
    tried: Vec<String>,
}

impl Identities {
    /// `--identity`, else the variable, else the key that ssh takes, too.
    pub(crate) async fn find(
        named: Option<&Path>,
        keyring: &Keyring,
    ) -> Result<Self, CommandError> {
        let variable = std::env::var(VARIABLE).ok();
        let variable = variable.filter(|value| !value.trim().is_empty());
        let file = match (named, &variable) {
            (Some(path), _) => path.to_owned(),
            (None, Some(text)) if text.contains("-----BEGIN") => {
                let key = russh::keys::decode_secret_key(&crate::signing::mended(text), None);
                let key = key.map_err(|error| {
                    CommandError::configuration(format!("{VARIABLE} holds no key that can be used"))
                        .caused_by(error)
                })?;
                return Self::of_key(&key, VARIABLE.to_owned());
            }
            (None, Some(path)) => PathBuf::from(path.trim()),
            (None, None) => std::env::home_dir().unwrap_or_default().join(OWN),
        };
        let what = file.display().to_string();
        match keyring.private(&file).await {
            Loaded::Key(key) => Self::of_key(&key, what),
            Loaded::Missing if named.is_none() && variable.is_none() => Ok(Self {
                keys: Vec::new(),
                tried: vec![format!("{what} is not there")],
            }),
            Loaded::Missing => Err(CommandError::configuration(format!(
                "the key {what} is not there"
            ))),
            Loaded::Unusable(why) => {
                Err(CommandError::configuration(format!("the key {what} {why}"))
                    .hint("ssh-agent cannot open sealed settings: name a file with --identity"))
            }
        }
    }

    pub(super) fn of_key(key: &PrivateKey, what: String) -> Result<Self, CommandError> {
        let unfit = || CommandError::configuration(format!("the key {what} is no Ed25519 key"));
        let text = key.to_openssh(LineEnding::LF).map_err(|_| unfit())?;
        let identity = Identity::from_buffer(BufReader::new(text.as_bytes()), Some(what.clone()));
        match identity {
            Ok(identity @ Identity::Unencrypted(_)) => Ok(Self {
                keys: vec![identity],
                tried: vec![what],
            }),
            Ok(_) | Err(_) => Err(unfit()),
        }
    }

    pub(super) fn keys(&self) -> &[Identity] {
        &self.keys
    }

    pub(super) fn in_words(&self) -> String {
        self.tried.join(", ")
    }
}
