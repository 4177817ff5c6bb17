//! Signs with an SSH key that the person or CI already has.

mod agent;
mod public;
mod source;

use std::io;
use std::path::{Path, PathBuf};

use longshore_shared::signature::{SshSig, SshSigError, armor, signed_data};
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::{self, Signature};
use russh::keys::{Algorithm, PrivateKey, PublicKey};
use thiserror::Error;

pub use public::public_half;
pub(crate) use source::mended;

use self::source::{Secret, Source, VARIABLE};
use crate::build::{GitError, Repository};
use crate::ssh::AskPassphrase;

const PASSPHRASE_TRIES: usize = 3;
const LARGEST_KEY: usize = 64 * 1024;

/// Why nothing can be signed.
#[derive(Debug, Error)]
pub enum KeyError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("no signing key: none was named, and ssh-agent holds none")]
    None,
    #[error("no signing key: none was named, and ssh-agent holds {}: {}", held.len(), held.join(", "))]
    Several { held: Vec<String> },
    #[error(
        "LONGSHORE_SIGNING_KEY names no file that is there, and holds no key (its value is not shown)"
    )]
    Variable,
    #[error("cannot read the signing key {} (from {named_by})", path.display())]
    Read {
        path: PathBuf,
        named_by: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{what} is no SSH key in OpenSSH's own format: {why}")]
    Format { what: String, why: WhyFormat },
    #[error(
        "{what} is of type {kind}, and releases are signed with ed25519, ecdsa or their sk- kinds"
    )]
    Kind { what: String, kind: String },
    #[error("{what} has a passphrase, and there is no terminal to ask for it")]
    NobodyToAsk { what: String },
    #[error("{what} has another passphrase than those typed")]
    Passphrase { what: String },
    #[error("{what} is a public key, and ssh-agent does not hold the private half of it")]
    NotInAgent { what: String },
    #[error("cannot talk to ssh-agent")]
    Agent(#[source] russh::keys::Error),
    #[error("ssh-agent gives no answer")]
    AgentSilent,
    #[error("cannot start what talks to ssh-agent")]
    Runtime(#[source] io::Error),
    #[error("the key does not sign")]
    Sign(#[source] russh::keys::signature::Error),
    #[error("the signature cannot be written down")]
    Encode(#[source] ssh_key::Error),
    #[error("the signature that was just made cannot be read")]
    Own(#[source] SshSigError),
    #[error(
        "the signature that was just made does not fit: the key's halves do not belong together"
    )]
    OwnMismatch,
}

/// What is wrong with a text that should be a key.
#[derive(Debug)]
pub enum WhyFormat {
    /// A variable of a CI system often keeps a key so.
    OneLine,
    /// PEM, as OpenSSL writes it.
    Pem,
    Other(String),
}

impl WhyFormat {
    fn of(text: &str, error: &ssh_key::Error) -> Self {
        if !text.starts_with("-----BEGIN") {
            return Self::Other(error.to_string());
        }
        match text.lines().next() {
            Some(line) if text.trim().lines().count() == 1 && line.contains("-----END") => {
                Self::OneLine
            }
            Some(line) if !line.contains("OPENSSH") => Self::Pem,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl std::fmt::Display for WhyFormat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OneLine => out.write_str("its line breaks were lost"),
            Self::Pem => out.write_str("it is in PEM"),
            Self::Other(why) => out.write_str(why),
        }
    }
}

/// A key that can sign.
#[derive(Debug)]
pub struct SigningKey(Half);

#[derive(Debug)]
enum Half {
    Private(Box<PrivateKey>),
    /// ssh-agent holds the other one.
    Public(PublicKey),
}

impl SigningKey {
    /// Finds the key; asks for its passphrase where it has one.
    pub fn find(
        key: Option<&Path>,
        repository: Option<&Repository>,
        person: &dyn AskPassphrase,
    ) -> Result<Self, KeyError> {
        let variable = std::env::var(VARIABLE).ok();
        match source::choose(key, variable.as_deref(), repository)? {
            Source::File { path, named_by } => Self::of_file(&path, named_by, person),
            Source::Private(Secret(text)) => Self::of_text(&text, Path::new(VARIABLE), person),
            Source::Public { text, named_by } => Self::of_public(&text, named_by),
            Source::OnlyKeyOfAgent => Self::only_key_of_agent(),
        }
    }

    /// The key's fingerprint, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        let key = match &self.0 {
            Half::Private(key) => key.public_key(),
            Half::Public(key) => key,
        };
        key.fingerprint(ssh_key::HashAlg::Sha256).to_string()
    }

    /// The armoured signature of a message. It is read back and checked before it is given out.
    pub fn sign(&self, namespace: &str, message: &[u8]) -> Result<String, KeyError> {
        let data = signed_data(namespace, message);
        let (key, signature) = match &self.0 {
            Half::Private(key) => {
                let signature: Signature = key.try_sign(&data).map_err(KeyError::Sign)?;
                (key.public_key(), signature)
            }
            Half::Public(key) => (key, agent::sign(key, &data)?),
        };
        let key = key.to_bytes().map_err(KeyError::Encode)?;
        let signature = Vec::<u8>::try_from(signature).map_err(KeyError::Encode)?;
        let text = armor(&key, namespace, &signature);
        let own = SshSig::parse(&text).map_err(KeyError::Own)?;
        if own.key() == key && own.fits(message) {
            Ok(text)
        } else {
            Err(KeyError::OwnMismatch)
        }
    }

    fn of_file(
        path: &Path,
        named_by: &'static str,
        person: &dyn AskPassphrase,
    ) -> Result<Self, KeyError> {
        let text = read(path).map_err(|source| KeyError::Read {
            path: path.to_owned(),
            named_by,
            source,
        })?;
        if text.contains("-----BEGIN") {
            return Self::of_text(&source::mended(&text), path, person);
        }
        match Self::of_public(text.trim(), &path.display().to_string()) {
            Err(KeyError::NotInAgent { what }) => {
                // `ssh-keygen -Y sign` takes the private file beside it too.
                let private = path.with_extension("");
                match read(&private) {
                    Ok(text) if path.extension().is_some_and(|ending| ending == "pub") => {
                        Self::of_text(&source::mended(&text), &private, person)
                    }
                    _ => Err(KeyError::NotInAgent { what }),
                }
            }
            other => other,
        }
    }

    fn of_text(text: &str, file: &Path, person: &dyn AskPassphrase) -> Result<Self, KeyError> {
        let what = file.display().to_string();
        let key = PrivateKey::from_openssh(text).map_err(|error| KeyError::Format {
            what: what.clone(),
            why: WhyFormat::of(text, &error),
        })?;
        check_kind(key.public_key(), &what)?;
        if !key.is_encrypted() {
            return Ok(Self(Half::Private(Box::new(key))));
        }
        for _ in 0..PASSPHRASE_TRIES {
            let Some(passphrase) = person.ask(file) else {
                return Err(KeyError::NobodyToAsk { what });
            };
            if let Ok(key) = key.decrypt(passphrase) {
                return Ok(Self(Half::Private(Box::new(key))));
            }
        }
        Err(KeyError::Passphrase { what })
    }

    fn of_public(text: &str, what: &str) -> Result<Self, KeyError> {
        let what = what.to_owned();
        let key = PublicKey::from_openssh(text).map_err(|error| KeyError::Format {
            what: what.clone(),
            why: WhyFormat::of(text, &error),
        })?;
        check_kind(&key, &what)?;
        let held = agent::keys()?;
        match held
            .into_iter()
            .find(|held| held.key_data() == key.key_data())
        {
            Some(key) => Ok(Self(Half::Public(key))),
            None => Err(KeyError::NotInAgent { what }),
        }
    }

    fn only_key_of_agent() -> Result<Self, KeyError> {
        let key = agent::only_key()?;
        check_kind(&key, "the only key in ssh-agent")?;
        Ok(Self(Half::Public(key)))
    }
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    // The error names the path itself.
    std::fs::File::open(path)?
        .take(LARGEST_KEY as u64)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn check_kind(key: &PublicKey, what: &str) -> Result<(), KeyError> {
    let kind = key.algorithm();
    let signs = matches!(
        kind,
        Algorithm::Ed25519
            | Algorithm::Ecdsa { .. }
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256
    );
    if signs {
        return Ok(());
    }
    Err(KeyError::Kind {
        what: what.to_owned(),
        kind: kind.to_string(),
    })
}
