//! What hosts say whom they trust.

use std::time::Duration;

use jiff::Timestamp;
use longshore_shared::wire::latest::{Order, Reply, SignedTrust};

use super::{composed, newest};
use crate::fleet;
use crate::inventory::{Environment, Host, Inventory};
use crate::rollout::{HostFailure, HostLink, Interrupts, Reach};

/// How long the other hosts are asked whom they trust.
const PATIENCE: Duration = Duration::from_secs(5);

/// The signed file that a host has, if any, and the open link to it.
pub(crate) async fn ask(
    reach: &Reach,
    host: &Host,
) -> Result<(HostLink, Option<SignedTrust>), HostFailure> {
    let mut link = HostLink::open(reach, host)
        .await
        .map_err(|error| error.failure())?;
    let reply = link.order(Order::Trust, None, &Interrupts::never()).await;
    match reply.map_err(|error| error.failure())? {
        Reply::Trust { installed } => Ok((link, installed)),
        Reply::Refused { problems } => Err(HostFailure::of_problems(&problems)),
        _ => Err(unfitting()),
    }
}

pub(crate) fn unfitting() -> HostFailure {
    HostFailure {
        what: "the agent gave an answer that does not fit the order".to_owned(),
        ..HostFailure::default()
    }
}

/// What the environment's hosts trust by a signed file, where any of them can be asked: a host that was
/// rebuilt must not take an older one for news. A host that is alone has nobody to be behind.
pub(crate) async fn of_others(
    inventory: &Inventory,
    environment: &Environment,
    reach: &Reach,
) -> Option<SignedTrust> {
    if environment.hosts.len() < 2 {
        return None;
    }
    let trust = composed(inventory, Some(environment)).ok()?;
    // One whose key nobody has pinned was never bootstrapped: a login in vain would only be counted.
    let hosts = environment
        .hosts
        .iter()
        .filter(|host| !host.host_keys.is_empty());
    let asked = fleet::on_all(hosts.cloned(), |host| {
        let reach = reach.clone();
        async move {
            let ask = async {
                let (link, installed) = ask(&reach, &host).await.ok()?;
                link.close().await;
                installed
            };
            // Bare hosts and hosts that are down have nothing to say, and are not waited for.
            tokio::time::timeout(PATIENCE, ask).await.ok()?
        }
    })
    .await;
    let installed = asked.into_iter().flatten().collect();
    newest(&environment.name, &trust, installed, Timestamp::now())
}
