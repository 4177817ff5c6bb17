//! The trust file that was installed last, and the three files that it is made of.
//!
//! The trust file is written first, under a name of its own; a change that was cut short is
//! finished at the agent's next start, so that no list ever stands beside a policy of another day.

use std::io;
use std::path::Path;
use std::sync::RwLock;

use longshore_shared::name::EnvironmentName;
use longshore_shared::signature::Trust;
use longshore_shared::trust_file::{TrustFile, TrustRules};
use longshore_shared::wire::latest::SignedTrust;

use super::{Policy, TrustError};
use crate::layout::{ALLOWED_SIGNERS, RELEASE_POLICY, REVOKED_SIGNERS, STATE, TRUST, TRUST_NEXT};
use crate::links::sync_folder;
use crate::system_file;
use crate::trusted_file::{self, TrustedFileError};

/// Whoever reads the three files sees those of one day.
pub(super) static LISTS: RwLock<()> = RwLock::new(());

/// Whether the files are those of the trust file that was installed last, and it is one for here.
pub(super) fn as_installed(environment: &EnvironmentName) -> Result<(), TrustError> {
    if Path::new(TRUST_NEXT).exists() {
        return Err(TrustError::Unfinished);
    }
    let Some(signed) = installed()? else {
        return Ok(());
    };
    let file = parse(&signed)?;
    if file.environment != *environment {
        return Err(TrustError::OtherEnvironment {
            here: environment.clone(),
            there: file.environment,
        });
    }
    let files = files_of(&file.rules).map_err(|error| of_trust(TRUST, error))?;
    for (path, content) in files {
        if trusted_file::read(Path::new(path))? != content {
            return Err(TrustError::Differs(path));
        }
    }
    Ok(())
}

/// Whom the trust file that was installed last trusts, whatever became of its files.
pub(super) fn rules_of(signed: &SignedTrust) -> Result<Trust, TrustedFileError> {
    let rules = parse(signed)?.rules;
    rules
        .read()
        .map_err(|error| of_trust(TRUST, io::Error::other(error)))
}

/// The signed trust file that was installed last, if there was one.
pub(crate) fn installed() -> Result<Option<SignedTrust>, TrustedFileError> {
    read(TRUST)
}

/// The serial number of what was installed last; 0 where nothing was.
pub(super) fn serial_of(installed: Option<&SignedTrust>) -> Result<u64, TrustedFileError> {
    installed.map_or(Ok(0), |signed| Ok(parse(signed)?.serial))
}

/// Installs what was verified.
pub(crate) fn install(signed: &SignedTrust, rules: &TrustRules) -> io::Result<()> {
    let text = serde_json::to_vec(signed).map_err(io::Error::other)?;
    system_file::put(Path::new(TRUST_NEXT), text)?;
    finish(rules)
}

/// Finishes an installation that was cut short. Whether there was one.
pub(crate) fn finish_interrupted() -> Result<bool, TrustedFileError> {
    let Some(signed) = read(TRUST_NEXT)? else {
        return Ok(false);
    };
    finish(&parse(&signed)?.rules).map_err(|source| of_trust(TRUST_NEXT, source))?;
    Ok(true)
}

/// Repeated after a stop, it comes to the same end.
fn finish(rules: &TrustRules) -> io::Result<()> {
    write_files(rules)?;
    fs_err::rename(TRUST_NEXT, TRUST)?;
    sync_folder(Path::new(STATE))
}

fn read(path: &str) -> Result<Option<SignedTrust>, TrustedFileError> {
    let text = match trusted_file::read(Path::new(path)) {
        Err(error) if error.is_missing() => return Ok(None),
        read => read?,
    };
    let signed = serde_json::from_slice(&text).map_err(|error| of_trust(path, error.into()))?;
    Ok(Some(signed))
}

fn parse(signed: &SignedTrust) -> Result<TrustFile, TrustedFileError> {
    TrustFile::parse(&signed.text).map_err(|error| of_trust(TRUST, io::Error::other(error)))
}

fn of_trust(path: &str, source: io::Error) -> TrustedFileError {
    TrustedFileError::Read {
        path: path.into(),
        source,
    }
}

/// Whoever is taken out is out first.
fn write_files(rules: &TrustRules) -> io::Result<()> {
    for (path, content) in files_of(rules)? {
        system_file::put(Path::new(path), content)?;
    }
    Ok(())
}

/// The three files that rules make.
pub(crate) fn files_of(rules: &TrustRules) -> io::Result<[(&'static str, Vec<u8>); 3]> {
    let policy = Policy {
        release_by: rules.release_by.clone(),
        forward_only: rules.forward_only,
    };
    let policy = toml::to_string(&policy).map_err(io::Error::other)?;
    let revoked = rules.revoked_signers().map_err(io::Error::other)?;
    Ok([
        (REVOKED_SIGNERS, revoked),
        (RELEASE_POLICY, policy.into_bytes()),
        (ALLOWED_SIGNERS, rules.allowed_signers.clone().into_bytes()),
    ])
}
