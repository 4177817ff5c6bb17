//! From the export of a commit to what its release is made of.

use longshore_shared::app_file::Build;

use super::found::{Found, walk};
use super::selection::select;
use super::steps::{self, About};
use super::{BuildError, BuildEvent};

/// Runs the steps in the export, and chooses what goes into the release.
pub(super) fn make(
    build: &Build,
    about: &About<'_>,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<Vec<Found>, BuildError> {
    steps::run(build, about, on_event)?;
    let mut found = walk(about.folder).map_err(BuildError::Pack)?;
    let mut chosen = select(build, found.iter().map(|one| one.path.as_str()))?.into_iter();
    found.retain(|_| chosen.next().unwrap_or(false));
    Ok(found)
}
