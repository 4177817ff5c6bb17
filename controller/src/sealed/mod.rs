//! Settings in the repository, for the eyes of those who may see them: `settings.ENV.age`, a file of
//! the age format that SSH keys open.

mod identity;

use std::io::{Read as _, Write as _};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::ssh::Recipient;
use longshore_shared::name::EnvironmentName;
use longshore_shared::settings::{FileError, MOST_BYTES, Settings, parse};
use russh::keys::PublicKey;
use thiserror::Error;

pub(crate) use identity::Identities;

const BEGIN: &str = "settings.";
const END: &str = ".age";
/// Armour and headers for many people, beside the largest settings that there can be.
pub(crate) const LARGEST: u64 = 4 * MOST_BYTES as u64;

/// Why a sealed file cannot be made or read.
#[derive(Debug, Error)]
pub(crate) enum SealError {
    #[error("nobody has an Ed25519 key that it could be sealed for")]
    Nobody,
    #[error("it cannot be sealed")]
    Encrypt(#[source] age::EncryptError),
    #[error("it cannot be written")]
    Write(#[source] std::io::Error),
    #[error("it is no file of the age format")]
    Format(#[source] age::DecryptError),
    #[error("none of your keys opens it: {tried}")]
    NotForYou { tried: String },
    #[error("it was changed, or is not whole")]
    Damaged(#[source] std::io::Error),
    #[error("what is in it are no settings")]
    Settings(#[source] FileError),
}

/// Where the settings of an environment lie, at the root of an app's repository.
pub(crate) fn file_name(environment: &EnvironmentName) -> String {
    format!("{BEGIN}{environment}{END}")
}

/// The environment that a path at the root of a repository holds sealed settings for.
pub(crate) fn environment_of(path: &str) -> Option<EnvironmentName> {
    let name = path.strip_prefix(BEGIN)?.strip_suffix(END)?;
    EnvironmentName::new(name).ok()
}

/// Seals a text for these keys, of which others than Ed25519 are passed over.
pub(crate) fn seal(text: &str, keys: &[PublicKey]) -> Result<String, SealError> {
    let recipients: Vec<Recipient> = keys.iter().filter_map(recipient).collect();
    if recipients.is_empty() {
        return Err(SealError::Nobody);
    }
    let each = recipients.iter().map(|one| one as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(each).map_err(SealError::Encrypt)?;
    let write = || -> std::io::Result<Vec<u8>> {
        let armour = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut sealed = encryptor.wrap_output(armour)?;
        sealed.write_all(text.as_bytes())?;
        sealed.finish()?.finish()
    };
    let bytes = write().map_err(SealError::Write)?;
    String::from_utf8(bytes).map_err(|_| SealError::Write(std::io::ErrorKind::InvalidData.into()))
}

/// Whether a key can open what is sealed for it.
pub(crate) fn can_open(key: &PublicKey) -> bool {
    recipient(key).is_some()
}

fn recipient(key: &PublicKey) -> Option<Recipient> {
    if !key.algorithm().is_ed25519() {
        return None;
    }
    key.to_openssh().ok()?.parse().ok()
}

/// Opens a sealed file.
pub(crate) fn open(sealed: &[u8], identities: &Identities) -> Result<String, SealError> {
    let armour = ArmoredReader::new(sealed);
    let decryptor = age::Decryptor::new_buffered(armour).map_err(SealError::Format)?;
    let keys = identities.keys();
    let each = keys.iter().map(|key| key as &dyn age::Identity);
    let mut opened = decryptor.decrypt(each).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => SealError::NotForYou {
            tried: identities.in_words(),
        },
        other => SealError::Format(other),
    })?;
    let mut text = String::new();
    opened
        .read_to_string(&mut text)
        .map_err(SealError::Damaged)?;
    Ok(text)
}

/// The settings in a sealed file.
pub(crate) fn settings(sealed: &[u8], identities: &Identities) -> Result<Settings, SealError> {
    parse(&open(sealed, identities)?).map_err(SealError::Settings)
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
    }

    fn identity(key: &PrivateKey) -> Identities {
        Identities::of_key(key, "mine".to_owned()).unwrap()
    }

    #[test]
    fn only_whom_it_is_for_opens_it() {
        let (own, other) = (key(), key());
        let sealed = seal("A=\"one\"\nB=two\n", &[own.public_key().clone()]).unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
        let settings = settings(sealed.as_bytes(), &identity(&own)).unwrap();
        assert_eq!(settings, parse("A=one\nB=two\n").unwrap());
        let error = open(sealed.as_bytes(), &identity(&other));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("none of your keys opens it: mine"),
            "{error}"
        );
        assert!(matches!(seal("A=1\n", &[]), Err(SealError::Nobody)));
    }

    #[test]
    fn what_was_changed_is_refused() {
        let key = key();
        let sealed = seal("A=one\n", &[key.public_key().clone()]).unwrap();
        let own = identity(&key);
        let lines: Vec<&str> = sealed.lines().collect();
        let cut = [&lines[..lines.len() - 2], &lines[lines.len() - 1..]].concat();
        for bad in [
            cut.join("\n"),
            sealed.replacen("AGE", "EGA", 1),
            String::new(),
        ] {
            assert!(open(bad.as_bytes(), &own).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_say_for_which_environment() {
        let production = EnvironmentName::new("production").unwrap();
        assert_eq!(file_name(&production), "settings.production.age");
        assert_eq!(environment_of("settings.production.age"), Some(production));
        for path in [
            "settings.age",
            "a/settings.x.age",
            "settings.X.age",
            "x.age",
        ] {
            assert_eq!(environment_of(path), None, "{path}");
        }
    }
}
