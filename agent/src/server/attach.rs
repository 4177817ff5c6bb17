//! Whoever comes back to an operation of another connection.

use longshore_shared::wire::latest::{Outcome, Reply, Switched};

use super::gate::load_host;
use super::session::Session;
use crate::agent::Agent;
use crate::events::Cursor;
use crate::host::Right;
use crate::layout::AppLayout;
use crate::ledger::OperationRow;
use crate::operation::Trouble;
use crate::peer::PeerError;
use crate::preview;
use crate::settings::{self, Tell};

impl Session<'_> {
    pub(super) fn attach(&mut self, id: u64) -> Result<Option<Result<Reply, Trouble>>, PeerError> {
        if let Err(trouble) = self.allowed(Right::Read) {
            return Ok(Some(Err(trouble)));
        }
        if let Some(operation) = self.agent.operations.get(id) {
            let may = self.allowed(Right::Deploy).is_ok();
            if may {
                let who = &self.peer.person().name;
                operation.come_back(who, self.claimant, &self.agent.locks);
            }
            return self
                .follow_as(&operation, Cursor::default(), may)
                .map(|()| None);
        }
        let known = self.agent.ledger.operation(id).map_err(Trouble::from);
        Ok(Some(known.and_then(|row| ended(self.agent, id, row))))
    }
}

/// The reply of an operation that ended before this agent was started.
fn ended(agent: &Agent, id: u64, row: Option<OperationRow>) -> Result<Reply, Trouble> {
    let Some(row) = row else {
        return Err(Trouble::refused(
            format!("there is no operation {id}"),
            "see `longshore status`",
        ));
    };
    let next = "see `longshore status` for what serves now, then deploy again";
    let unchanged = row.outcome == Outcome::Unchanged;
    if !matches!(row.outcome, Outcome::Done | Outcome::Unchanged) {
        let what = row
            .message
            .unwrap_or_else(|| "it did not succeed".to_owned());
        let goes_on = row.verb == "stage" && row.outcome == Outcome::TakenBack;
        return Err(if goes_on {
            Trouble::broken_off(what, next)
        } else {
            Trouble::failed(what, next)
        });
    }
    if let ("settings", Some(app)) = (row.verb.as_str(), &row.app) {
        return settings::state(agent, &AppLayout::new(app), Tell::Numbers);
    }
    if let ("preview", Some(app)) = (row.verb.as_str(), &row.app) {
        return preview::reply(agent, &load_host()?, app);
    }
    match (row.verb.as_str(), row.version) {
        ("stage", _) => Ok(Reply::Staged {
            unchanged,
            received: 0,
        }),
        ("leave", _) => Err(Trouble::failed(
            "which migrations it found and undid is not known any more",
            next,
        )),
        ("migrate", _) => Ok(Reply::Migrated {
            unchanged,
            applied: Vec::new(),
        }),
        ("create", _) => Ok(Reply::PreviewMade { unchanged }),
        ("destroy", _) => Ok(Reply::PreviewDropped { unchanged }),
        (_, Some(version)) => Ok(Reply::Switched(Switched {
            version,
            previous: row.previous,
            unchanged,
            milliseconds: 0,
            remarks: row.message.into_iter().collect(),
        })),
        (_, None) => Err(Trouble::failed("it is not known what it changed", next)),
    }
}
