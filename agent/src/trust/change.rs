//! A change of whom this host trusts: signed by somebody whom it trusts for that, for this
//! environment, newer than what stands, and never one after which nobody could change it again.

use jiff::Timestamp;
use longshore_shared::signature::{SIGNERS_NAMESPACE, Signer, verify};
use longshore_shared::trust_file::{LARGEST_STEP, TrustFile};
use longshore_shared::wire::latest::{Reply, SignedTrust};

use super::{HostTrust, store};
use crate::host::Host;
use crate::operation::{Trouble, chain};

const MEND: &str =
    "mend the inventory or its signers file, then push again; what was trusted before still is";

/// What a change comes to.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) reply: Reply,
    pub(crate) signer: String,
    pub(crate) serial: u64,
}

/// Installs a trust file, or refuses it.
pub(crate) fn change(host: &Host, signed: &SignedTrust) -> Result<Changed, Trouble> {
    let signer = verified(host, signed)?;
    let file = TrustFile::parse(&signed.text).map_err(|error| refused(&error))?;
    if file.environment != host.environment {
        return Err(Trouble::refused(
            format!(
                "the signers are those of {}, and this host belongs to {}",
                file.environment, host.environment
            ),
            "push the signers of the host's own environment",
        ));
    }
    let changed = |unchanged| Changed {
        reply: Reply::Trusted {
            serial: file.serial,
            unchanged,
        },
        signer: signer.principals,
        serial: file.serial,
    };
    let present = store::installed().map_err(|error| refused(&error))?;
    if present.is_some_and(|present| present.text == signed.text) {
        return Ok(changed(true));
    }
    let serial = store::serial().map_err(|error| refused(&error))?;
    if file.serial <= serial || file.serial - serial > LARGEST_STEP {
        return Err(Trouble::refused(
            format!(
                "the signers have serial number {}, and those of this host {serial}: an old list brings nobody back, and none may jump ahead",
                file.serial
            ),
            "run `longshore signers push` again: it takes the next number",
        ));
    }
    leaves_a_way_on(&file)?;
    store::install(signed, &file.rules).map_err(|error| {
        Trouble::because(&error, "look at the disk of this host, then push again")
    })?;
    Ok(changed(false))
}

fn verified(host: &Host, signed: &SignedTrust) -> Result<Signer, Trouble> {
    let trust = HostTrust::load(&host.environment)?.trust;
    let now = Timestamp::now();
    let text = signed.text.as_bytes();
    verify(&trust, SIGNERS_NAMESPACE, text, &signed.signature, now).map_err(|error| {
        Trouble::refused(
            format!("the signers are not accepted: {}", chain(&error)),
            format!(
                "sign them with a key that this host's /etc/longshore/allowed_signers lists for {SIGNERS_NAMESPACE}"
            ),
        )
    })
}

/// Refuses rules that this agent could not read, or that nobody could change afterwards.
fn leaves_a_way_on(file: &TrustFile) -> Result<(), Trouble> {
    let trust = file.rules.read().map_err(|error| refused(&error))?;
    if trust
        .allowed
        .anyone_may(SIGNERS_NAMESPACE, &trust.revoked, Timestamp::now())
    {
        return Ok(());
    }
    Err(Trouble::refused(
        format!(
            "with these signers nobody could change them again: no key may sign for {SIGNERS_NAMESPACE}"
        ),
        MEND,
    ))
}

fn refused(error: &dyn std::error::Error) -> Trouble {
    Trouble::refused(
        format!("the signers are not accepted: {}", chain(error)),
        MEND,
    )
}
