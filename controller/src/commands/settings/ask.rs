//! What the settings are, asked of all chosen hosts.

use std::sync::Arc;

use longshore_shared::instance::Instance;
use longshore_shared::name::HostName;
use longshore_shared::settings::Settings;
use longshore_shared::wire::latest::{Order, Reply, SettingsState};

use crate::commands::asking::{Quiet, answer_of, unknown_answer};
use crate::commands::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::fleet;
use crate::inventory::{Environment, EnvironmentApp, Host};
use crate::plan::Plan;
use crate::rollout::{HostFailure, Reach};

/// What one host said.
pub(super) struct Asked {
    pub(super) host: HostName,
    pub(super) said: Result<SettingsState, HostFailure>,
}

pub(super) async fn ask(
    environment: &Environment,
    app: &EnvironmentApp,
    hosts: &HostArgs,
    values: bool,
    context: &Context,
) -> Result<Vec<Asked>, CommandError> {
    let plan = Plan::new(environment, app, &hosts.selection())?;
    let reach = context.reach(environment, Arc::new(Quiet));
    let all = fleet::on_all(plan.hosts, |host: Host| {
        let (reach, app) = (reach.clone(), plan.app.clone());
        async move {
            let said = one(&reach, &host, app, values).await;
            let host = host.name;
            Asked { host, said }
        }
    });
    Ok(all.await)
}

async fn one(
    reach: &Reach,
    host: &Host,
    app: Instance,
    values: bool,
) -> Result<SettingsState, HostFailure> {
    let order = Order::Settings { app, values };
    match answer_of(reach, host, order).await? {
        (_, Reply::Settings(state)) => Ok(state),
        _ => Err(unknown_answer()),
    }
}

/// The values that a host told.
pub(super) fn values(state: &SettingsState) -> Settings {
    let one = |setting: &longshore_shared::wire::latest::SettingState| {
        Some((setting.name.clone(), setting.value.clone()?))
    };
    state.settings.iter().filter_map(one).collect()
}
