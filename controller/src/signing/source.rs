//! Where the signing key is, by the order that the design fixes.

use std::path::{Path, PathBuf};

use super::KeyError;
use crate::build::Repository;

/// The variable that holds a path, or the key itself.
pub(super) const VARIABLE: &str = "LONGSHORE_SIGNING_KEY";

/// A place to take the key from, and what it is called in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File {
        path: PathBuf,
        named_by: &'static str,
    },
    /// A private key's text. Never shown.
    Private(Secret),
    /// A public key's text; ssh-agent holds the other half.
    Public {
        text: String,
        named_by: &'static str,
    },
    OnlyKeyOfAgent,
}

/// A text that no message and no log shows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("[REDACTED]")
    }
}

/// `--key`, else the variable, else git's `user.signingkey` where git signs with SSH, else ssh-agent.
pub(super) fn choose(
    key: Option<&Path>,
    variable: Option<&str>,
    repository: Option<&Repository>,
) -> Result<Source, KeyError> {
    if let Some(path) = key {
        // A shell leaves `--key=~/id` as it is.
        return Ok(Source::File {
            path: path.to_str().map_or_else(|| path.to_owned(), at_home),
            named_by: "--key",
        });
    }
    if let Some(value) = variable.filter(|value| !value.trim().is_empty()) {
        return of_variable(value);
    }
    if let Some(repository) = repository
        && repository.setting("gpg.format")?.as_deref() == Some("ssh")
        && let Some(value) = repository.setting("user.signingkey")?
    {
        let named_by = "git's user.signingkey";
        let literal = value
            .strip_prefix("key::")
            .or_else(|| value.starts_with("ssh-").then_some(value.as_str()));
        if let Some(text) = literal {
            let text = text.to_owned();
            return Ok(Source::Public { text, named_by });
        }
        let path = repository.path_setting("user.signingkey")?.unwrap_or(value);
        // As git has it: relative to the folder that it works in.
        let path = repository.root().join(path);
        return Ok(Source::File { path, named_by });
    }
    Ok(Source::OnlyKeyOfAgent)
}

/// What is neither a key nor a file that is there may well be a key that was mangled on its way, so
/// it is not shown.
fn of_variable(value: &str) -> Result<Source, KeyError> {
    if value.contains("-----BEGIN") {
        return Ok(Source::Private(Secret(mended(value))));
    }
    let text = value.trim().to_owned();
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
        return Ok(Source::Public {
            text,
            named_by: VARIABLE,
        });
    }
    let path = at_home(&text);
    if !path.exists() {
        return Err(KeyError::Variable);
    }
    Ok(Source::File {
        path,
        named_by: VARIABLE,
    })
}

fn at_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

/// CI systems add carriage returns to a secret, or take its last newline.
pub(crate) fn mended(key: &str) -> String {
    let mut text = key.replace("\r\n", "\n").trim().to_owned();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_holds_a_path_or_a_key() {
        let here = std::env::current_exe().unwrap();
        let here = of_variable(here.to_str().unwrap());
        assert!(matches!(here, Ok(Source::File { .. })));
        let nowhere = of_variable("/home/a/id");
        assert!(matches!(nowhere, Err(KeyError::Variable)));
        assert!(matches!(
            of_variable("ssh-ed25519 AAAA me"),
            Ok(Source::Public { .. })
        ));
        let private = of_variable("-----BEGIN OPENSSH PRIVATE KEY-----\r\nAA\r\n-----END");
        assert_eq!(
            *private.as_ref().unwrap(),
            Source::Private(Secret(
                "-----BEGIN OPENSSH PRIVATE KEY-----\nAA\n-----END\n".to_owned()
            ))
        );
        assert!(!format!("{private:?}").contains("AA"));
    }
}
