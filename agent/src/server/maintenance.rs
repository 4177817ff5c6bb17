//! The order to close a site for maintenance, or to open it again.

use longshore_shared::name::AppName;
use longshore_shared::wire::latest::Reply;

use super::orders::{Session, knows};
use crate::host::Right;
use crate::layout::AppLayout;
use crate::maintenance;
use crate::operation::Trouble;

impl Session<'_> {
    /// It needs no lock: whoever sees that a deployment does harm is not to wait for its end.
    pub(super) fn maintenance(&self, app: &AppName, on: bool) -> Result<Reply, Trouble> {
        let host = self.allowed(Right::Deploy)?;
        knows(&host, app)?;
        let layout = AppLayout::new(app);
        if !layout.home().is_dir() {
            return Err(Trouble::refused(
                format!("{app} was never deployed here, so there is no site to close"),
                "deploy it first",
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
