//! The list of what belongs into a release: one that is here already, or one that is told by the
//! pieces of one that is here, or all of it.

use std::io;

use longshore_shared::manifest::{Manifest, ManifestError};
use longshore_shared::tree::Tree;
use longshore_shared::wire::latest::Ask;

use super::arrival::Arrival;
use super::base::Base;
use super::pieces::TextPieces;
use super::{Dialog, came_wrong, hostile};
use crate::operation::{Operation, Trouble};

/// A tree that is the signed one, and its exact text.
pub(super) fn receive(
    manifest: &Manifest,
    bases: &[Base],
    operation: &Operation,
    dialog: &mut Dialog<'_>,
) -> Result<(Tree, String), Trouble> {
    for list in bases.iter().map(Base::list) {
        if list.len() as u64 == manifest.tree.size
            && let Ok(tree) = manifest.read_tree(list)
        {
            return Ok((tree, list.to_owned()));
        }
    }
    let like = bases.first().filter(|_| dialog.recipes);
    if let Some(held) = like.map(|base| TextPieces::of(base.list()))
        && let Ok(told) = ask(manifest, Some(held), operation, dialog)?
    {
        return Ok(told);
    }
    ask(manifest, None, operation, dialog)?.map_err(|error| hostile(&error))
}

/// The inner error means that what came is not the signed list.
fn ask(
    manifest: &Manifest,
    held: Option<TextPieces<'_>>,
    operation: &Operation,
    dialog: &mut Dialog<'_>,
) -> Result<Result<(Tree, String), ManifestError>, Trouble> {
    let ask = Ask::Tree {
        held: held.as_ref().map(TextPieces::told),
    };
    let data = dialog
        .ask(operation, ask)
        .map_err(|error| came_wrong(io::Error::other(error)))?;
    let mut arrival = Arrival::new(data, held).map_err(came_wrong)?;
    let mut text = Vec::new();
    arrival
        .next(manifest.tree.size, &mut text)
        .map_err(came_wrong)?;
    arrival.finish().map_err(came_wrong)?;
    // What is no text has no digest that was signed either.
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(manifest.read_tree(&text).map(|tree| (tree, text)))
}
