//! What a preview's release needs beside it: without it, it would be the app's own that it changes.

use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;
use semver::Version;

use crate::agent::Agent;
use crate::ledger::{Ledger, LedgerError, Made};
use crate::operation::Trouble;

/// Refuses to let a release use what was not made for it, or was made in another way than its own.
pub(super) fn is_made(agent: &Agent, app: &Instance, manifest: &Manifest) -> Result<(), Trouble> {
    let hooks = &manifest.app_file.preview;
    if app.preview().is_none() || !hooks.makes_something() {
        return Ok(());
    }
    let row = agent.ledger.preview(app)?;
    let recipe = row
        .filter(|row| row.made == Made::All)
        .and_then(|row| row.recipe);
    if recipe == Some(hooks.recipe()) {
        return Ok(());
    }
    Err(Trouble::refused(
        format!(
            "what {app} {} needs beside it is not made",
            manifest.version
        ),
        "bring it its branch, which makes it: longshore preview up",
    ))
}

/// The release that is kept to take away what it made.
pub(super) fn maker(ledger: &Ledger, app: &Instance) -> Result<Option<Version>, LedgerError> {
    Ok(ledger.preview(app)?.and_then(|row| row.maker))
}
