//! Orders that are refused are in the history too: who asked for what, and why it was not done.

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::Order;
use semver::Version;

use crate::activate;
use crate::agent::Agent;
use crate::journal;
use crate::ledger::Refusal;
use crate::operation::chain;

/// What the history says of an order that was refused.
pub(super) struct About {
    verb: &'static str,
    app: Option<Instance>,
    version: Option<Version>,
}

impl About {
    /// Nothing for what only asks: of a preflight, the preflight itself notes what matters.
    pub(super) fn of(order: &Order) -> Option<Self> {
        let about = |verb, app: &Instance, version: Option<&Version>| Self {
            verb,
            app: Some(app.clone()),
            version: version.cloned(),
        };
        match order {
            Order::Stage { app, .. } => Some(about("stage", app, None)),
            Order::Leave { app, version } => Some(about("leave", app, Some(version))),
            Order::Migrate { app, version, .. } => Some(about("migrate", app, Some(version))),
            Order::Switch {
                app, version, why, ..
            } => Some(about(activate::verb(*why), app, Some(version))),
            Order::KeepPreview { app, .. } => Some(about("preview", app, None)),
            Order::MakePreview { app, version } => Some(about("create", app, Some(version))),
            Order::DropPreview { app, .. } => Some(about("destroy", app, None)),
            Order::ChangeSettings { app, .. } => Some(about("settings", app, None)),
            Order::Maintenance { app, .. } => Some(about("maintenance", app, None)),
            Order::SetTrust { .. } => Some(Self {
                verb: "signers",
                app: None,
                version: None,
            }),
            _ => None,
        }
    }

    /// A refusal that cannot be written down is one all the same.
    pub(super) fn note(&self, agent: &Agent, who: &str, message: &str) {
        let refusal = Refusal {
            app: self.app.as_ref(),
            verb: self.verb,
            version: self.version.as_ref(),
            who,
            message,
        };
        if let Err(error) = agent.ledger.refused(&refusal) {
            journal::say(&chain(&error));
        }
    }
}
