//! Whom this host trusts: `allowed_signers`, `revoked_signers` and `release_policy.toml`, read
//! anew for every order.
//!
//! All three have to be there; once a trust file was installed (`change`), just as it has them.

mod change;
mod store;

use std::path::Path;
use std::sync::PoisonError;

use jiff::Timestamp;
use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::EnvironmentName;
use longshore_shared::signature::{
    AllowedSigners, AllowedSignersError, Revoked, RevokedError, Trust, Verified, VerifyError,
    verify_manifest,
};
use longshore_shared::wire::latest::{SignedManifest, SwitchReason};
use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::activate::direction;
use crate::agent::Agent;
use crate::host::Host;
use crate::layout::{ALLOWED_SIGNERS, AppLayout, RELEASE_POLICY, REVOKED_SIGNERS, ReleaseFiles};
use crate::ledger::Ledger;
use crate::operation::{Trouble, chain};
use crate::trusted_file::{self, TrustedFileError};

pub(crate) use change::change;
pub(crate) use store::{files_of, finish_interrupted, install, installed};

const MEND: &str = "run `longshore bootstrap`, which puts it right, or mend the file as root";

/// `release_policy.toml`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// Nothing means everyone in `allowed_signers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) release_by: Option<Vec<String>>,
    /// Whether a deployment has to come after what serves.
    pub(crate) forward_only: bool,
}

/// Whom this host trusts, and for what.
#[derive(Debug)]
pub(crate) struct HostTrust {
    environment: EnvironmentName,
    trust: Trust,
    /// What keys and certificates expire by: a clock that fell back revives none.
    now: Timestamp,
    pub(crate) forward_only: bool,
}

/// Why nothing can be trusted.
#[derive(Debug, Error)]
pub(crate) enum TrustError {
    #[error(transparent)]
    File(#[from] TrustedFileError),
    #[error("{ALLOWED_SIGNERS} is refused: nothing can be accepted until it is mended")]
    Signers(#[source] AllowedSignersError),
    #[error("{REVOKED_SIGNERS} is refused: nothing can be accepted until it is mended")]
    Revoked(#[source] RevokedError),
    #[error("a change of whom this host trusts was begun and not finished")]
    Unfinished,
    #[error("{0} is not as the signed trust file has it")]
    Differs(&'static str),
    #[error("this host belongs to {here}, and trusts the signers of {there}")]
    OtherEnvironment {
        here: EnvironmentName,
        there: EnvironmentName,
    },
}

impl HostTrust {
    /// Reads what stands now, or nothing is accepted.
    pub(crate) fn load(ledger: &Ledger, environment: &EnvironmentName) -> Result<Self, Trouble> {
        let now = Self::now(ledger)?;
        let _whole = store::LISTS.read().unwrap_or_else(PoisonError::into_inner);
        Self::of_files(environment, now)
    }

    /// What keys expire by.
    fn now(ledger: &Ledger) -> Result<Timestamp, Trouble> {
        Ok(Timestamp::now().max(ledger.signed_until()?))
    }

    fn of_files(environment: &EnvironmentName, now: Timestamp) -> Result<Self, Trouble> {
        Self::read(environment, now).map_err(|error| Trouble::refused(chain(&error), MEND))
    }

    fn read(environment: &EnvironmentName, now: Timestamp) -> Result<Self, TrustError> {
        store::as_installed(environment)?;
        let allowed = trusted_file::read_text(Path::new(ALLOWED_SIGNERS))?;
        let allowed = AllowedSigners::parse(&allowed).map_err(TrustError::Signers)?;
        let revoked = trusted_file::read(Path::new(REVOKED_SIGNERS))?;
        let revoked = Revoked::parse(&revoked).map_err(TrustError::Revoked)?;
        let policy: Policy = trusted_file::read_toml(Path::new(RELEASE_POLICY))?;
        Ok(Self {
            environment: environment.clone(),
            trust: Trust {
                allowed,
                revoked,
                release_by: policy.release_by,
            },
            now,
            forward_only: policy.forward_only,
        })
    }

    /// Checks who signed a release, and that they may release here.
    fn accept(&self, manifest: &[u8], signature: &str) -> Result<Verified<Manifest>, Trouble> {
        verify_manifest(
            &self.trust,
            Some(&self.environment),
            manifest,
            signature,
            self.now,
        )
        .map_err(|error| Trouble::refused(not_accepted(&error), next(&error)))
    }

    /// Why what this signature stands for is not to be trusted any more, if so.
    pub(crate) fn revocation(&self, signature: &Path) -> Option<String> {
        match trusted_file::read_text(signature) {
            Ok(text) => self.trust.revoked.reason(&text),
            Err(error) => Some(chain(&error)),
        }
    }

    /// A release whose key was revoked does not run again without a word from a person. An expired
    /// or departed signer is no reason: the host found the release good.
    pub(crate) fn not_revoked(&self, layout: &AppLayout, version: &Version) -> Result<(), Trouble> {
        let signature = ReleaseFiles::of(&layout.release(version)).signature();
        let Some(reason) = self.revocation(&signature) else {
            return Ok(());
        };
        let app = &layout.app;
        Err(Trouble::refused(
            format!("{app} {version} is not to be trusted any more: {reason}"),
            format!(
                "go back to another release, or, if this one must be: longshore rollback {} {version} --app {app} --even-revoked",
                self.environment
            ),
        ))
    }
}

/// Checks who signed a release, that it is one of `app`, and that it may come here now: before a
/// byte of it is received.
pub(crate) fn accept(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    release: &SignedManifest,
) -> Result<Verified<Manifest>, Trouble> {
    let trust = HostTrust::load(&agent.ledger, &host.environment)?;
    let verified = trust.accept(release.manifest.as_bytes(), &release.signature)?;
    let manifest = verified.value();
    if manifest.app != *app.app() {
        return Err(Trouble::refused(
            format!("the release is one of {}, not of {app}", manifest.app),
            "name the release's own app",
        ));
    }
    if trust.forward_only {
        let (layout, why) = (AppLayout::new(app), SwitchReason::Deploy);
        direction::check(agent, &host.environment, &layout, &manifest.version, why)?;
    }
    Ok(verified)
}

/// Asks once more for a release that was accepted before it was received. Gives back whom the host
/// trusts now.
pub(crate) fn still_accepted(
    agent: &Agent,
    release: &Verified<Manifest>,
) -> Result<HostTrust, Trouble> {
    let host = Host::load().map_err(|error| Trouble::refused(chain(&error), MEND))?;
    let trust = HostTrust::load(&agent.ledger, &host.environment)?;
    trust.accept(release.exact(), release.signature())?;
    Ok(trust)
}

/// Checks a release again that was accepted when it was staged: rights may have changed since.
pub(crate) fn accept_kept(
    trust: &HostTrust,
    layout: &AppLayout,
    version: &Version,
) -> Result<(), Trouble> {
    let files = ReleaseFiles::of(&layout.release(version));
    let damaged = |error: TrustedFileError| {
        let what = format!("{} {version} is damaged on this host: ", layout.app);
        Trouble::refused(what + &chain(&error), "deploy it under a new version")
    };
    let manifest = trusted_file::read(&files.manifest()).map_err(damaged)?;
    let signature = trusted_file::read_text(&files.signature()).map_err(damaged)?;
    trust.accept(&manifest, &signature).map(drop)
}

fn not_accepted(error: &VerifyError) -> String {
    format!("the release is not accepted: {}", chain(error))
}

fn next(error: &VerifyError) -> String {
    let what = if matches!(error, VerifyError::Future { .. }) {
        "set the clock right that is wrong: this host's, or that of the machine where the commit was made (then commit and build again)"
    } else if error.is_about_rights() {
        "have it built and signed by somebody who may release here, or change who may with `longshore signers push`"
    } else {
        "build it again with `longshore build`; nothing of it was kept"
    };
    what.to_owned()
}
