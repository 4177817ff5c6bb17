//! Signatures as `ssh-keygen -Y` makes them, and who may make them.
//!
//! `sshsig` reads and writes the format, `allowed` and `revoked` read who is trusted and who is not
//! any more, and here they meet: what was checked is a [`Verified`], and whoever acts on a release
//! accepts nothing else.

mod allowed;
mod certificate;
mod error;
mod krl;
mod listed_key;
mod principals;
mod public_key;
mod revoked;
mod sshsig;
mod validity;
mod wire_format;

pub use allowed::{AllowedSigners, AllowedSignersError};
pub use error::SshSigError;
pub use revoked::{Revoked, RevokedError};
pub use sshsig::{SshSig, armor, signed_data};

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::manifest::{Manifest, ManifestError};
use crate::name::EnvironmentName;
use allowed::Lack;
use validity::Outside;

/// What release signatures are made for. One made for anything else proves nothing here.
pub const RELEASE_NAMESPACE: &str = "longshore-release";
/// What the signature of a [`crate::trust_file::TrustFile`] is made for.
pub const SIGNERS_NAMESPACE: &str = "longshore-signers";

/// How far the clock of the machine where a commit was made may be ahead.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(24);

/// A value whose signature was checked.
#[derive(Debug, Clone)]
pub struct Verified<T> {
    value: T,
    signer: Signer,
    exact: Vec<u8>,
    signature: String,
}

impl<T> Verified<T> {
    /// What was signed.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Who signed.
    pub fn signer(&self) -> &Signer {
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

/// Whom to believe.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub allowed: AllowedSigners,
    pub revoked: Revoked,
    /// Who of them may release, as principals or patterns of them. Nothing means everyone.
    pub release_by: Option<Vec<String>>,
}

/// Who signed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// As the list of signers names them.
    pub principals: String,
    pub fingerprint: String,
}

/// Why a signature is not accepted.
#[derive(Debug, Error)]
pub enum VerifyError {
    #[error("the signature cannot be read")]
    Format(#[source] SshSigError),
    #[error("the signature was made for {found:?}, and {wanted:?} is wanted")]
    Namespace { found: String, wanted: &'static str },
    #[error("the signature does not fit what was signed and the key {fingerprint}")]
    Mismatch { fingerprint: String },
    #[error("the key {fingerprint} that signed it was revoked")]
    Revoked { fingerprint: String },
    #[error("the key {fingerprint} is not among the signers that are trusted ({trusted})")]
    NotTrusted {
        fingerprint: String,
        trusted: String,
    },
    #[error(
        "the key {fingerprint} is listed, but its namespaces leave out {wanted}: it may not sign for {wanted} (those who may: {trusted})"
    )]
    OtherNamespaces {
        fingerprint: String,
        wanted: &'static str,
        trusted: String,
    },
    #[error(
        "signed by {principals}, whose key {fingerprint} was to sign until {until} only (valid-before)"
    )]
    Expired {
        principals: String,
        fingerprint: String,
        until: Timestamp,
    },
    #[error(
        "signed by {principals}, whose key {fingerprint} is to sign from {from} on only (valid-after)"
    )]
    NotYet {
        principals: String,
        fingerprint: String,
        from: Timestamp,
    },
    #[error("signed by {principals}, who may not release to {environment}; allowed: {allowed}")]
    MayNotRelease {
        principals: String,
        environment: String,
        allowed: String,
    },
    #[error("the commit is of {made}, and it is {now}")]
    Future { made: Timestamp, now: Timestamp },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl VerifyError {
    /// Whether it is about who signed, and not about what was signed.
    pub fn is_about_rights(&self) -> bool {
        !matches!(
            self,
            Self::Format(_)
                | Self::Namespace { .. }
                | Self::Mismatch { .. }
                | Self::Future { .. }
                | Self::Manifest(_)
        )
    }
}

/// Checks who signed `message` for `namespace`, and that they may now. Who may release is a rule
/// about releases alone, and not asked here.
pub fn verify(
    trust: &Trust,
    namespace: &'static str,
    message: &[u8],
    signature: &str,
    now: Timestamp,
) -> Result<Signer, VerifyError> {
    check(trust, namespace, None, message, signature, now)
}

/// Checks who signed `manifest`, that they may release to `environment` now, and reads it only
/// then. Without an environment only the signature counts.
pub fn verify_manifest(
    trust: &Trust,
    environment: Option<&EnvironmentName>,
    manifest: &[u8],
    signature: &str,
    now: Timestamp,
) -> Result<Verified<Manifest>, VerifyError> {
    let rule = environment.zip(trust.release_by.as_deref());
    let signer = check(trust, RELEASE_NAMESPACE, rule, manifest, signature, now)?;
    let value = Manifest::parse(manifest)?;
    if value.time.duration_since(now) > CLOCKS_DIFFER {
        let made = value.time;
        return Err(VerifyError::Future { made, now });
    }
    Ok(Verified {
        value,
        signer,
        exact: manifest.to_vec(),
        signature: signature.to_owned(),
    })
}

/// Which environment it is, and who may release there.
type Rule<'a> = (&'a EnvironmentName, &'a [String]);

fn check(
    trust: &Trust,
    namespace: &'static str,
    rule: Option<Rule<'_>>,
    message: &[u8],
    signature: &str,
    now: Timestamp,
) -> Result<Signer, VerifyError> {
    let sshsig = SshSig::parse(signature).map_err(VerifyError::Format)?;
    let fingerprint = sshsig.fingerprint();
    if trust.revoked.refuses(&sshsig) {
        return Err(VerifyError::Revoked { fingerprint });
    }
    if sshsig.namespace() != namespace {
        let found = sshsig.namespace().chars().take(80).collect();
        let wanted = namespace;
        return Err(VerifyError::Namespace { found, wanted });
    }
    // Before anything is said of rights: anybody can write a signature that names another's key, and
    // what is said here goes into histories.
    if !sshsig.fits(message) {
        return Err(VerifyError::Mismatch { fingerprint });
    }
    let wanted = |principals: &str| {
        let named = |release_by: &[String]| {
            let mut entries = release_by.iter();
            entries.any(|entry| principals::may_act_as(principals, entry))
        };
        rule.is_none_or(|(_, release_by)| named(release_by))
    };
    let allowed = &trust.allowed;
    let principals = match sshsig.certificate() {
        Some(certificate) => allowed.names_by_authority(certificate, namespace, now, wanted),
        None => allowed
            .line_for(sshsig.key(), namespace, now, wanted)
            .map(|line| line.principals.clone()),
    };
    let principals =
        principals.map_err(|lack| lacking(lack, trust, namespace, rule, fingerprint.clone()))?;
    Ok(Signer {
        principals,
        fingerprint,
    })
}

fn lacking(
    lack: Lack<'_>,
    trust: &Trust,
    wanted: &'static str,
    rule: Option<Rule<'_>>,
    fingerprint: String,
) -> VerifyError {
    let trusted = trust.allowed.names(wanted);
    match (lack, rule) {
        (Lack::NotWanted(principals), Some((environment, release_by))) => {
            VerifyError::MayNotRelease {
                principals: principals.into_owned(),
                environment: environment.to_string(),
                allowed: release_by.join(", "),
            }
        }
        (Lack::NotListed | Lack::NotWanted(_), _) => VerifyError::NotTrusted {
            fingerprint,
            trusted,
        },
        (Lack::Namespace, _) => VerifyError::OtherNamespaces {
            fingerprint,
            wanted,
            trusted,
        },
        (Lack::Outside(principals, Outside::Expired(until)), _) => VerifyError::Expired {
            principals: principals.into_owned(),
            fingerprint,
            until,
        },
        (Lack::Outside(principals, Outside::NotYet(from)), _) => VerifyError::NotYet {
            principals: principals.into_owned(),
            fingerprint,
            from,
        },
    }
}
