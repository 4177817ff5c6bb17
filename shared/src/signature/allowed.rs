//! `allowed_signers`, in the format of OpenSSH.
//!
//! A line that is not understood in full trusts nobody: an option that would have narrowed a key's
//! rights must never be passed over.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use thiserror::Error;

/// Who may sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Signer>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signer {
    principals: String,
    /// Nothing means any.
    namespaces: Option<Vec<String>>,
    key: Vec<u8>,
}

/// Why a list of signers is refused as a whole.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AllowedSignersError {
    #[error("it names no signer, so nothing could be accepted")]
    Empty,
    #[error("line {0} is not `principals [options] key-type key [comment]`")]
    Line(usize),
    #[error("line {line} has the option {option:?}, which this version does not read")]
    Option { line: usize, option: String },
}

impl AllowedSigners {
    /// Reads the whole list, or refuses it.
    pub fn parse(text: &str) -> Result<Self, AllowedSignersError> {
        let mut signers = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                signers.push(parse_line(at + 1, line)?);
            }
        }
        if signers.is_empty() {
            Err(AllowedSignersError::Empty)
        } else {
            Ok(Self(signers))
        }
    }

    /// The principals of a key that may sign in `namespace`.
    pub(super) fn signer(&self, key: &[u8], namespace: &str) -> Option<&str> {
        let signer = self
            .0
            .iter()
            .find(|signer| signer.key == key && signer.may(namespace))?;
        Some(&signer.principals)
    }

    /// Everyone who may sign in `namespace`, for a message.
    pub fn names(&self, namespace: &str) -> String {
        let trusted = self.0.iter().filter(|signer| signer.may(namespace));
        let names: Vec<&str> = trusted.map(|signer| signer.principals.as_str()).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }
}

impl Signer {
    fn may(&self, namespace: &str) -> bool {
        let Some(namespaces) = &self.namespaces else {
            return true;
        };
        namespaces.iter().any(|allowed| allowed == namespace)
    }
}

fn parse_line(line: usize, text: &str) -> Result<Signer, AllowedSignersError> {
    let wrong = || AllowedSignersError::Line(line);
    let (principals, mut rest) = word(text).ok_or_else(wrong)?;
    let mut namespaces = None;
    loop {
        let (next, after) = word(rest).ok_or_else(wrong)?;
        if is_key_type(next) {
            let (key, _comment) = word(after).ok_or_else(wrong)?;
            let key = BASE64_STANDARD.decode(key).map_err(|_| wrong())?;
            let named = super::wire_format::Strings(&key).take();
            if named != Some(next.as_bytes()) {
                return Err(wrong());
            }
            return Ok(Signer {
                principals: principals.to_owned(),
                namespaces,
                key,
            });
        }
        let list = next
            .strip_prefix("namespaces=\"")
            .and_then(|list| list.strip_suffix('"'))
            .filter(|list| !list.contains(['"', '*', '?', '!']));
        match list {
            Some(list) if namespaces.is_none() => {
                namespaces = Some(list.split(',').map(str::to_owned).collect());
            }
            _ => {
                let option = next.chars().take(80).collect();
                return Err(AllowedSignersError::Option { line, option });
            }
        }
        rest = after;
    }
}

/// The next word, in which quotes may hold spaces, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let mut quoted = false;
    let end = text
        .find(|c: char| {
            quoted ^= c == '"';
            c.is_whitespace() && !quoted
        })
        .unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    (!word.is_empty() && !quoted).then_some((word, rest))
}

fn is_key_type(word: &str) -> bool {
    word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn comments_options_and_comments_behind_keys() {
        let list = AllowedSigners::parse(&format!(
            "# who may release\n\nrelease@example.com namespaces=\"longshore-release,git\" {KEY} a laptop\n"
        ))
        .unwrap();
        assert_eq!(list.names("longshore-release"), "release@example.com");
        assert_eq!(list.names("file"), "none");
    }

    #[test]
    fn what_is_not_understood_trusts_nobody() {
        for text in [
            String::new(),
            "# nobody\n".to_owned(),
            format!("a cert-authority {KEY}"),
            format!("a valid-before=\"20200101\" {KEY}"),
            format!("a namespaces=\"*\" {KEY}"),
            format!("a namespaces=\"x\" namespaces=\"longshore-release\" {KEY}"),
            format!("a namespaces=\"longshore-release {KEY}"),
            "a ssh-ed25519".to_owned(),
            "a ssh-ed25519 AAAA".to_owned(),
            KEY.to_owned(),
            format!("a {}", KEY.replace("ssh-ed25519 ", "ssh-rsa ")),
            format!("good {KEY}\nbad line\n"),
        ] {
            assert!(AllowedSigners::parse(&text).is_err(), "{text:?} passed");
        }
    }
}
