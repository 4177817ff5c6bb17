//! What a release does for its preview: where it does so, and how it takes that away again.

use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;

use crate::activate::live;
use crate::agent::Agent;
use crate::host::Host;
use crate::layout::AppLayout;
use crate::ledger::Made;
use crate::operation::{Operation, Trouble};
use crate::step_unit::StepUnit;

/// In the release, with a place to keep something in.
pub(super) fn unit<'a>(layout: &'a AppLayout, manifest: &'a Manifest) -> StepUnit<'a> {
    let mut unit = StepUnit::of_kept(layout, manifest, manifest.app_file.preview.timeout);
    let shared = layout.shared().display().to_string();
    unit.environment.push(("LONGSHORE_SHARED", shared));
    unit
}

/// What to say to try its end once more.
pub(super) fn again(app: &Instance) -> String {
    let environment = Host::load().map(|host| host.environment.to_string());
    let environment = environment.unwrap_or_else(|_| "ENV".to_owned());
    let slug = app.preview().map(ToString::to_string);
    format!(
        "longshore preview down {environment} {}",
        slug.unwrap_or_default()
    )
}

/// Has the release that made it take away what it made. From here on nobody can rely on it.
pub(super) fn undo(
    agent: &Agent,
    layout: &AppLayout,
    operation: &Operation,
) -> Result<(), Trouble> {
    let app = &layout.app;
    let row = agent.ledger.preview(app)?;
    if row.as_ref().is_some_and(|row| row.made == Made::Unknown) {
        return Err(Trouble::failed(
            format!(
                "what `create` printed for {app} could not be kept, so `destroy` is not run: it would find the app's own"
            ),
            format!(
                "take away by hand what it made, then: {} --without-hook",
                again(app)
            ),
        ));
    }
    agent.ledger.set_begun(app)?;
    let maker = row.and_then(|row| row.maker);
    let manifest = maker.and_then(|maker| live::manifest(layout, &maker).ok());
    let Some(manifest) = manifest else {
        return Err(Trouble::failed(
            format!(
                "the release that made what {app} needs is damaged on this host, so what it has made stays"
            ),
            format!(
                "take away by hand what it made, then: {} --without-hook",
                again(app)
            ),
        ));
    };
    let unit = unit(layout, &manifest);
    operation.step_to_the_end("destroy", || {
        let mut commands = manifest.app_file.preview.destroy.iter();
        commands.try_for_each(|command| unit.run(operation, "destroy", command.as_str()))
    })
}
