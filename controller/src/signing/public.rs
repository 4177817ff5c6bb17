//! The public half of the key that would sign, for which nobody has to be asked.

use std::path::Path;

use russh::keys::{PrivateKey, PublicKey};

use super::source::{self, Secret, Source, VARIABLE};
use super::{KeyError, WhyFormat, agent, check_kind, read};
use crate::build::Repository;

/// Finds the key in the order in which a build does.
pub fn public_half(repository: Option<&Repository>) -> Result<PublicKey, KeyError> {
    let variable = std::env::var(VARIABLE).ok();
    let (key, what) = match source::choose(None, variable.as_deref(), repository)? {
        Source::File { path, named_by } => {
            let text = read(&path).map_err(|source| KeyError::Read {
                path: path.clone(),
                named_by,
                source,
            })?;
            (of_text(&text, &path)?, path.display().to_string())
        }
        Source::Private(Secret(text)) => {
            (of_text(&text, Path::new(VARIABLE))?, VARIABLE.to_owned())
        }
        Source::Public { text, named_by } => {
            (of_text(&text, Path::new(named_by))?, named_by.to_owned())
        }
        Source::OnlyKeyOfAgent => (agent::only_key()?, "the only key in ssh-agent".to_owned()),
    };
    check_kind(&key, &what)?;
    Ok(key)
}

/// A private key's file holds its public half unencrypted.
fn of_text(text: &str, path: &Path) -> Result<PublicKey, KeyError> {
    let read = if text.contains("-----BEGIN") {
        PrivateKey::from_openssh(source::mended(text)).map(|key| key.public_key().clone())
    } else {
        PublicKey::from_openssh(text.trim())
    };
    read.map_err(|error| KeyError::Format {
        what: path.display().to_string(),
        why: WhyFormat::of(text, &error),
    })
}
