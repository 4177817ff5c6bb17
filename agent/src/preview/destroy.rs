//! The end of a preview: it stops, its release takes away what it had made, and then nothing of it
//! stays. Each part can be done again, so a stop at any moment is made good by doing all of it.

use std::error::Error;

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::Reply;

use super::{hook, remains};
use crate::activate::{live, site};
use crate::agent::Agent;
use crate::layout::AppLayout;
use crate::ledger::Made;
use crate::operation::{Operation, Trouble};

/// Takes a preview away; `without_hook` passes over what its release would do at the end.
pub(crate) fn destroy(
    agent: &Agent,
    app: &Instance,
    without_hook: bool,
    operation: &Operation,
) -> Result<Reply, Trouble> {
    let layout = AppLayout::new(app);
    let Some(row) = agent.ledger.preview(app)? else {
        return Ok(Reply::PreviewDropped { unchanged: true });
    };
    // Whatever stops this, it is begun anew, and as it was meant.
    operation.go_to_the_end();
    let undoes = row.made != Made::Nothing && !without_hook;
    if !undoes {
        agent.ledger.set_unmade(app)?;
    }
    agent.ledger.end_preview(app)?;
    let failed = |error: &dyn Error| {
        let next = format!("mend what it says on this host, then: {}", hook::again(app));
        Trouble::because(error, next)
    };
    operation.step_to_the_end("stop", || {
        remains::stop(&layout).map_err(|error| failed(&error))?;
        site::forget(&layout).map_err(|error| failed(&error))?;
        // The next boot does not bring it back, and whoever brings it back begins from nothing.
        live::forget(&layout).map_err(|error| failed(&error))?;
        Ok(agent.ledger.forget_servings(app)?)
    })?;
    if undoes {
        let undone = hook::undo(agent, &layout, operation);
        undone.map_err(|trouble| trouble.and(&kept_for_another_try(app)))?;
    }
    // What it names by its settings is gone: with others it is not run again.
    agent.ledger.set_unmade(app)?;
    // Whoever brings it back in the middle of this is not told that its release is here.
    agent.ledger.forget_releases(app)?;
    operation.step_to_the_end("remove", || {
        remains::remove(&layout).map_err(|error| failed(&error))?;
        Ok(agent.ledger.forget_preview(app)?)
    })?;
    operation.remember(format!("{}, by {}", row.git_ref, row.who));
    Ok(Reply::PreviewDropped { unchanged: false })
}

fn kept_for_another_try(app: &Instance) -> String {
    let again = hook::again(app);
    format!(
        "the preview is stopped, and its releases and settings are kept for another try, by the agent within the hour or by you: {again}; or, if what it made may stay: {again} --without-hook"
    )
}
