//! What a preview needs beside its release: a copy of what its app shares, and what the release itself
//! makes, such as a database. Once, after it is staged and before it migrates. What `create` prints as
//! `NAME=value` are settings of the preview alone, and is told nowhere.

use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;
use longshore_shared::settings::Settings;
use longshore_shared::wire::latest::{Reply, SwitchReason};
use semver::Version;

use super::heard::Heard;
use super::{copy, hook};
use crate::activate::{Wanted, may_serve, migrate};
use crate::agent::Agent;
use crate::command::Outputs;
use crate::host::Host;
use crate::layout::AppLayout;
use crate::ledger::Made;
use crate::operation::{Operation, Trouble};
use crate::settings::{self, files};

const STEP: &str = "create";

/// Makes what is not there yet. What a try that never came to serve has made is taken away first.
pub(crate) fn make(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    version: &Version,
    operation: &Operation,
) -> Result<Reply, Trouble> {
    let layout = AppLayout::new(app);
    let (_, manifest) = migrate::staged(agent, &layout, version)?;
    let wanted = Wanted {
        app,
        version,
        why: SwitchReason::Deploy,
        even_revoked: false,
    };
    may_serve(agent, host, wanted)?;
    let hooks = &manifest.app_file.preview;
    let row = agent.ledger.preview(app)?;
    let made = row.as_ref().map_or(Made::Nothing, |row| row.made);
    let fits = row.and_then(|row| row.recipe) == Some(hooks.recipe());
    let is_as_wanted = !hooks.makes_something() || (made == Made::All && fits);
    // Somebody works with it, and what runs would find the app's own where it is gone.
    if !is_as_wanted && !agent.ledger.servings(app)?.is_empty() {
        return Err(Trouble::refused(
            format!(
                "what {app} has was not made by the `copy` and `create` in [preview] of {version}, and data may be in it by now"
            ),
            format!(
                "take it away, and bring the branch again: {}",
                hook::again(app)
            ),
        ));
    }
    if matches!(made, Made::Begun | Made::Unknown) || (made == Made::All && !is_as_wanted) {
        let undone = hook::undo(agent, &layout, operation);
        undone.map_err(|trouble| trouble.and("so it cannot be made anew"))?;
        // Before its settings go: with others it is not run again.
        agent.ledger.set_unmade(app)?;
        // What comes is empty: whatever migrated what went has to migrate again.
        agent.ledger.forget_migrated(app)?;
        settings::give(&layout, &Settings::new())?;
    } else if made == Made::All {
        return Ok(Reply::PreviewMade { unchanged: true });
    }
    if !hooks.makes_something() {
        return Ok(Reply::PreviewMade { unchanged: true });
    }
    agent.ledger.begin_making(app, version)?;
    if !hooks.copy.is_empty() {
        copy::copy(&layout, hooks, operation)?;
    }
    let unusable = create(agent, &layout, &manifest, operation)?;
    if let Some(what) = unusable {
        return Err(Trouble::failed(
            what,
            "correct what it prints; what is longer has its place in a file of $LONGSHORE_SHARED",
        ));
    }
    let lacking = files::not_set(&layout, &manifest.app_file.settings.files);
    if let Some(name) = lacking.first() {
        return Err(Trouble::failed(
            format!(
                "[settings] `files` names {name}, which neither the app's settings nor `create` have set"
            ),
            format!(
                "have `create` print it, or set it: longshore settings set ENV --app {app} {name}"
            ),
        ));
    }
    agent.ledger.set_made(app, &hooks.recipe())?;
    Ok(Reply::PreviewMade { unchanged: false })
}

/// What it prints is kept as soon as it is heard: whatever stops this, what takes it away is not to take
/// the app's own for it. Where it cannot be kept, nothing is taken away. What of it cannot be used.
fn create(
    agent: &Agent,
    layout: &AppLayout,
    manifest: &Manifest,
    operation: &Operation,
) -> Result<Option<String>, Trouble> {
    let commands = &manifest.app_file.preview.create;
    if commands.is_empty() {
        return Ok(None);
    }
    let of_app = layout.base().map(|base| settings::names(&base));
    let mut heard = Heard::over(of_app.unwrap_or_default());
    let (mut given, mut not_kept) = (Settings::new(), None);
    let unit = hook::unit(layout, manifest);
    let created = operation.step(STEP, || {
        commands.iter().try_for_each(|command| {
            let line = command.as_str();
            let ran = unit.run_hiding(operation, STEP, line, Outputs::Apart, |said| {
                let hides = heard.hides(said);
                if heard.given != given && not_kept.is_none() {
                    given.clone_from(&heard.given);
                    not_kept = keep(agent, layout, &given).err();
                }
                hides
            });
            for note in heard.end_of_command() {
                operation.note(STEP, &note);
            }
            ran
        })
    });
    if let Some(trouble) = not_kept {
        return Err(trouble.and("what `create` printed is not kept as settings"));
    }
    created.map(|()| heard.problem())
}

/// In between, nobody knows with which settings to take it away.
fn keep(agent: &Agent, layout: &AppLayout, given: &Settings) -> Result<(), Trouble> {
    agent.ledger.set_unknown(&layout.app)?;
    settings::give(layout, given)?;
    Ok(agent.ledger.set_begun(&layout.app)?)
}
