//! Orders about an app's settings.

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{Reply, SettingsChange};

use super::session::Session;
use crate::host::Right;
use crate::layout::AppLayout;
use crate::operation::Trouble;
use crate::peer::PeerError;
use crate::settings::{self, Tell};

impl Session<'_> {
    /// Even their digests are not for everybody: a short value is soon guessed.
    pub(super) fn settings(&self, app: &Instance, values: bool) -> Result<Reply, Trouble> {
        let host = self.allowed(Right::Settings)?;
        self.is_here(&host, app)?;
        let tell = if values { Tell::Values } else { Tell::Digests };
        settings::state(self.agent, &AppLayout::new(app), tell)
    }

    /// Nothing means that the reply was sent by an operation.
    pub(super) fn change_settings(
        &mut self,
        app: Instance,
        change: SettingsChange,
    ) -> Result<Option<Result<Reply, Trouble>>, PeerError> {
        let allowed = self.allowed(Right::Settings);
        let share = match allowed.and_then(|_| self.changes(&app)) {
            Ok((_, share)) => share,
            Err(trouble) => return Ok(Some(Err(trouble))),
        };
        let new = self.about("settings", &app);
        let who = new.who.clone();
        self.run(&new, share, move |agent, operation| {
            settings::change(agent, &AppLayout::new(&app), &change, &who, operation)
        })
    }
}
