//! The order to close a site for maintenance, or to open it again.

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::Reply;

use super::session::Session;
use crate::host::Right;
use crate::layout::AppLayout;
use crate::maintenance;
use crate::operation::Trouble;

impl Session<'_> {
    /// It needs no lock: whoever sees that a deployment does harm is not to wait for its end.
    pub(super) fn maintenance(&self, app: &Instance, on: bool) -> Result<Reply, Trouble> {
        let host = self.allowed(Right::Deploy)?;
        self.is_here(&host, app)?;
        let layout = AppLayout::new(app);
        let site = fs_err::read_to_string(layout.site()).unwrap_or_default();
        if on && site.is_empty() {
            return Err(Trouble::refused(
                format!("{app} has no site here that could be closed"),
                "deploy it first; without a `domain` in the inventory it has none",
            ));
        }
        // One that an agent of before has made does not look for the file.
        if on && !site.contains(&layout.maintenance().display().to_string()) {
            return Err(Trouble::refused(
                format!("the site of {app} was made by an earlier agent, and cannot be closed"),
                "restart the app, which makes it anew: `longshore restart`",
            ));
        }
        let who = &self.peer.person().name;
        let changed = maintenance::set(&layout, on, who)
            .map_err(|error| Trouble::because(&error, "look at the disk of this host"))?;
        if changed {
            let message = if on { "on" } else { "off" };
            self.agent
                .ledger
                .done("maintenance", Some(app), who, message)?;
        }
        Ok(Reply::Maintenance {
            unchanged: !changed,
        })
    }
}
