//! Every way in which a text can be no signature.

use thiserror::Error;

/// Why a text is no signature.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SshSigError {
    #[error("it is not one armoured SSH signature and nothing else")]
    Armor,
    #[error("its fields are cut short or go on after the end")]
    Fields,
    #[error("its version is {0}, and 1 is the only one")]
    Version(u32),
    #[error("its reserved field is not empty")]
    Reserved,
    #[error("its hash is neither sha256 nor sha512")]
    Hash,
    #[error("its key is of type {0:?}, and ed25519, ecdsa and their sk- kinds are read")]
    KeyKind(String),
    #[error("its key cannot be read, or is none that its type allows")]
    Key,
    #[error("its certificate cannot be read, or was not signed by its authority")]
    Certificate,
    #[error("its certificate is one of a host, and people sign")]
    NotOfUser,
    #[error("its certificate has a critical option, and none is understood")]
    CriticalOption,
    #[error("its certificate names nobody, or somebody by a pattern or with letters of no name")]
    CertificateNames,
    #[error(
        "the key that signed its certificate is of type {0:?}, and ed25519, ecdsa and their sk- kinds are read"
    )]
    AuthorityKind(String),
    #[error("its key and its signature are of different kinds or of wrong length")]
    Signature,
}
