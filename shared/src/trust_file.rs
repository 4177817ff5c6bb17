//! Whom the hosts of one environment trust to release, as one signed file.
//!
//! It is signed like a release, with a key that the host already trusts for
//! [`crate::signature::SIGNERS_NAMESPACE`]. The serial number rises with every change, so that an
//! old file, taken from a log or a backup, brings nobody back.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::EnvironmentName;
use crate::signature::{AllowedSigners, AllowedSignersError, Revoked, RevokedError, Trust};

/// The only format so far.
const FORMAT: u32 = 1;
/// Checked before anything is parsed.
pub const LARGEST_TRUST_FILE: usize = 128 * 1024;
/// A serial number that is raised by more at once would leave no number above it.
pub const LARGEST_STEP: u64 = 1_000_000;

/// Who may release to an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    format: u32,
    pub environment: EnvironmentName,
    pub serial: u64,
    pub rules: TrustRules,
}

/// What a trust file rules, apart from where and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustRules {
    /// In the format of OpenSSH.
    pub allowed_signers: String,
    /// Plain keys or a binary list of `ssh-keygen -k`, in base64.
    pub revoked_signers: String,
    /// `null` means everyone in `allowed_signers`. It has to be said: a rule that got lost on the way
    /// must not widen what it ruled.
    #[serde(deserialize_with = "Option::deserialize")]
    pub release_by: Option<Vec<String>>,
    pub forward_only: bool,
}

/// Why bytes are no trust file.
#[derive(Debug, Error)]
pub enum TrustFileError {
    #[error("it is larger than {LARGEST_TRUST_FILE} bytes")]
    TooLarge,
    #[error("it cannot be read")]
    Read(#[source] serde_json::Error),
    #[error("it is of format {0}, and {FORMAT} is the only one")]
    Format(u32),
    #[error("its revoked signers are not base64")]
    Base64,
    #[error("its allowed signers are refused")]
    Allowed(#[from] AllowedSignersError),
    #[error("its revoked signers are refused")]
    Revoked(#[from] RevokedError),
}

impl TrustRules {
    pub fn new(
        allowed_signers: String,
        revoked_signers: &[u8],
        release_by: Option<Vec<String>>,
        forward_only: bool,
    ) -> Self {
        Self {
            allowed_signers,
            revoked_signers: BASE64_STANDARD.encode(revoked_signers),
            release_by,
            forward_only,
        }
    }

    /// What the rules mean, if they can be read.
    pub fn read(&self) -> Result<Trust, TrustFileError> {
        Ok(Trust {
            allowed: AllowedSigners::parse(&self.allowed_signers)?,
            revoked: Revoked::parse(&self.revoked_signers()?)?,
            release_by: self.release_by.clone(),
        })
    }

    pub fn revoked_signers(&self) -> Result<Vec<u8>, TrustFileError> {
        BASE64_STANDARD
            .decode(&self.revoked_signers)
            .map_err(|_| TrustFileError::Base64)
    }
}

impl TrustFile {
    pub fn new(environment: EnvironmentName, serial: u64, rules: TrustRules) -> Self {
        Self {
            format: FORMAT,
            environment,
            serial,
            rules,
        }
    }

    /// The exact text that is signed and sent.
    pub fn to_text(&self) -> Result<String, TrustFileError> {
        let mut text = serde_json::to_string_pretty(self).map_err(TrustFileError::Read)?;
        text.push('\n');
        if text.len() > LARGEST_TRUST_FILE {
            return Err(TrustFileError::TooLarge);
        }
        Ok(text)
    }

    /// Reads a file. Who signed it is for [`crate::signature`] to say.
    pub fn parse(text: &str) -> Result<Self, TrustFileError> {
        if text.len() > LARGEST_TRUST_FILE {
            return Err(TrustFileError::TooLarge);
        }
        let file: Self = serde_json::from_str(text).map_err(TrustFileError::Read)?;
        if file.format != FORMAT {
            return Err(TrustFileError::Format(file.format));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_text_it_writes_and_nothing_beside_it() {
        let rules = TrustRules::new("a b c\n".to_owned(), b"\0\xff", None, true);
        let environment = EnvironmentName::new("production").unwrap();
        let file = TrustFile::new(environment, 7, rules);
        let text = file.to_text().unwrap();
        let read = TrustFile::parse(&text).unwrap();
        assert_eq!(read, file);
        assert_eq!(read.rules.revoked_signers().unwrap(), b"\0\xff");
        for (from, to) in [
            ("\"format\": 1", "\"format\": 2"),
            ("\"serial\": 7", "\"serial\": -1"),
            ("\"serial\": 7", "\"serial\": 7, \"serial\": 8"),
            ("\"serial\": 7", "\"serial\": 7, \"more\": 1"),
            (",\n    \"forward_only\": true", ""),
            ("\n    \"release_by\": null,", ""),
            ("production", "../x"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(TrustFile::parse(&changed).is_err(), "{from} → {to}");
        }
        assert!(TrustFile::parse(&" ".repeat(LARGEST_TRUST_FILE + 1)).is_err());
    }
}
