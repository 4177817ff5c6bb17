//! The order to trust others.

use longshore_shared::wire::latest::{Reply, SignedTrust};

use super::session::Session;
use crate::host::Right;
use crate::operation::Trouble;
use crate::trust;

impl Session<'_> {
    pub(super) fn set_trust(&self, signed: &SignedTrust) -> Result<Reply, Trouble> {
        let host = self.allowed(Right::Deploy)?;
        let changed = trust::change(&self.agent.ledger, &host, signed)?;
        let (serial, signer) = (changed.serial, &changed.signer);
        if !matches!(
            changed.reply,
            Reply::Trusted {
                unchanged: true,
                ..
            }
        ) {
            let message = format!("signers number {serial}, signed by {signer}");
            self.agent
                .ledger
                .done("signers", None, &self.peer.person().name, &message)?;
        }
        Ok(changed.reply)
    }
}
