//! `longshore-agent rollback APP [VERSION]`

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{FromAgent, Order, Reply, StepState, SwitchReason, Switched};
use semver::Version;

use super::LocalError;
use super::client::Client;
use crate::host::Host;

/// Goes back to `version`, or to the newest good release before the live one. `told` hears each
/// step.
pub(crate) fn rollback(
    app: &Instance,
    version: Option<Version>,
    even_revoked: bool,
    mut told: impl FnMut(&str),
) -> Result<Switched, LocalError> {
    let environment = Host::load()?.environment;
    let mut client = Client::connect()?;
    let lock = Order::Lock {
        environment,
        app: app.clone(),
        verb: "rollback".to_owned(),
        release: None,
    };
    match client.order(lock, |_| {})? {
        Reply::Locked => {}
        reply => return Err(client.unexpected(reply)),
    }
    let version = match version {
        Some(version) => version,
        None => earlier(&mut client, app)?,
    };
    let switch = Order::Switch {
        app: app.clone(),
        version,
        why: SwitchReason::Rollback,
        even_revoked,
    };
    let reply = client.order(switch, |message| {
        if let FromAgent::Event(event) = message
            && event.state != StepState::Begun
        {
            let detail = event
                .detail
                .map(|detail| format!(": {detail}"))
                .unwrap_or_default();
            told(&format!("{}{detail}", event.step));
        }
    })?;
    match reply {
        Reply::Switched(switched) => Ok(switched),
        reply => Err(client.unexpected(reply)),
    }
}

fn earlier(client: &mut Client, app: &Instance) -> Result<Version, LocalError> {
    match client.order(
        Order::Status {
            app: Some(app.clone()),
            previews: false,
        },
        |_| {},
    )? {
        Reply::Status { apps } => apps
            .into_iter()
            .find_map(|status| status.previous)
            .ok_or_else(|| LocalError::NothingEarlier {
                app: app.to_string(),
            }),
        reply => Err(client.unexpected(reply)),
    }
}
