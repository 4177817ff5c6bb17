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
    #[error(
        "its certificate cannot be read, was not signed by its authority, or is none for a user by name"
    )]
    Certificate,
    #[error("its key and its signature are of different kinds or of wrong length")]
    Signature,
}
