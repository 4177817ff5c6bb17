//! Orders about previews: that there is to be one, what makes it, and its end.

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{PreviewWish, Reply};
use semver::Version;

use super::session::Session;
use crate::operation::Trouble;
use crate::peer::PeerError;
use crate::preview;

/// Nothing means that the reply was sent by an operation.
type Carried = Result<Option<Result<Reply, Trouble>>, PeerError>;

impl Session<'_> {
    pub(super) fn keep_preview(&mut self, app: Instance, wish: PreviewWish) -> Carried {
        let locked = is_preview(&app).and_then(|()| self.has_lock(&app));
        let (host, share) = match locked {
            Ok(locked) => locked,
            Err(trouble) => return Ok(Some(Err(trouble))),
        };
        let new = self.about("preview", &app);
        let who = new.who.clone();
        self.run(&new, share, move |agent, operation| {
            let kept = preview::keep(agent, &host, &app, &wish, &who, operation);
            preview::expiry::watch(agent);
            kept
        })
    }

    pub(super) fn make_preview(&mut self, app: Instance, version: Version) -> Carried {
        let locked = is_preview(&app).and_then(|()| self.changes(&app));
        let (host, share) = match locked {
            Ok(locked) => locked,
            Err(trouble) => return Ok(Some(Err(trouble))),
        };
        let new = self.operation("create", &app, &version);
        self.run(&new, share, move |agent, operation| {
            preview::make(agent, &host, &app, &version, operation)
        })
    }

    pub(super) fn drop_preview(&mut self, app: Instance, without_hook: bool) -> Carried {
        let locked = is_preview(&app).and_then(|()| self.has_lock(&app));
        let (_, share) = match locked {
            Ok(locked) => locked,
            Err(trouble) => return Ok(Some(Err(trouble))),
        };
        let new = self.about("destroy", &app);
        self.run(&new, share, move |agent, operation| {
            preview::destroy(agent, &app, without_hook, operation)
        })
    }
}

fn is_preview(app: &Instance) -> Result<(), Trouble> {
    match app.preview() {
        Some(_) => Ok(()),
        None => Err(Trouble::refused(
            format!("{app} is no preview"),
            "name a preview, such as one of `longshore preview list ENV`",
        )),
    }
}
