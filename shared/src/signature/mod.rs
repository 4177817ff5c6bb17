//! Signatures as `ssh-keygen -Y` makes them, and who may make them.
//!
//! `sshsig` reads and writes the format, `allowed` reads who is trusted, and here the two meet:
//! what was checked is a [`Verified`], and whoever acts on a release accepts nothing else.

mod allowed;
mod sshsig;
mod wire_format;

pub use allowed::{AllowedSigners, AllowedSignersError};
pub use sshsig::{SshSig, SshSigError, armor, signed_data};

use thiserror::Error;

use crate::manifest::{Manifest, ManifestError};

/// What release signatures are made for. One made for anything else proves nothing here.
pub const RELEASE_NAMESPACE: &str = "longshore-release";

/// A value whose signature was checked.
#[derive(Debug, Clone)]
pub struct Verified<T> {
    value: T,
    signer: String,
    exact: Vec<u8>,
    signature: String,
}

impl<T> Verified<T> {
    /// What was signed.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Who signed, as the list of signers names them.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The exact bytes that were signed.
    pub fn exact(&self) -> &[u8] {
        &self.exact
    }

    /// The signature, as it came.
    pub fn signature(&self) -> &str {
        &self.signature
    }
}

/// Why a release is not accepted.
#[derive(Debug, Error)]
pub enum VerifyError {
    #[error("the signature cannot be read")]
    Format(#[source] SshSigError),
    #[error("the signature was made for {found:?}, and {wanted:?} is wanted")]
    Namespace { found: String, wanted: &'static str },
    #[error("the signature does not fit the manifest and the key {fingerprint}")]
    Mismatch { fingerprint: String },
    #[error("the key {fingerprint} is not among the signers that this host trusts ({trusted})")]
    NotTrusted {
        fingerprint: String,
        trusted: String,
    },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Checks who signed `manifest`, and reads it only then.
pub fn verify_manifest(
    allowed: &AllowedSigners,
    manifest: &[u8],
    signature: &str,
) -> Result<Verified<Manifest>, VerifyError> {
    let sshsig = SshSig::parse(signature).map_err(VerifyError::Format)?;
    if sshsig.namespace() != RELEASE_NAMESPACE {
        let found = sshsig.namespace().chars().take(80).collect();
        return Err(VerifyError::Namespace {
            found,
            wanted: RELEASE_NAMESPACE,
        });
    }
    let fingerprint = sshsig.fingerprint();
    let Some(signer) = allowed.signer(sshsig.key(), RELEASE_NAMESPACE) else {
        let trusted = allowed.names(RELEASE_NAMESPACE);
        return Err(VerifyError::NotTrusted {
            fingerprint,
            trusted,
        });
    };
    if !sshsig.fits(manifest) {
        return Err(VerifyError::Mismatch { fingerprint });
    }
    Ok(Verified {
        value: Manifest::parse(manifest)?,
        signer: signer.to_owned(),
        exact: manifest.to_vec(),
        signature: signature.to_owned(),
    })
}
