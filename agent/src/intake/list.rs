//! The list of what belongs into a release: one that is here already, or one that is told by the
//! pieces of one that is here, or all of it.

use std::io;

use longshore_shared::manifest::{Manifest, ManifestError};
use longshore_shared::tree::Tree;
use longshore_shared::wire::latest::Ask;

use super::arrival::{Arrival, cut_off, drain};
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
    for list in bases.iter().filter_map(Base::list) {
        if list.len() as u64 == manifest.tree.size
            && let Ok(tree) = manifest.read_tree(&list)
        {
            return Ok((tree, list));
        }
    }
    let like = bases.first().filter(|_| dialog.recipes);
    let like = like.and_then(Base::list).unwrap_or_default();
    if !like.is_empty() {
        let held = TextPieces::of(&like);
        match ask(manifest, Some(held), operation, dialog) {
            Ok(Ok(told)) => return Ok(told),
            Err(error) if cut_off(&error).is_some() => return Err(came_wrong(error)),
            // Two pieces looked alike: all of it is sent.
            Ok(Err(_)) | Err(_) => {
                drain(dialog.peer.rest(), manifest.tree.size).map_err(came_wrong)?;
            }
        }
    }
    let told = ask(manifest, None, operation, dialog).map_err(came_wrong)?;
    told.map_err(|error| hostile(&error))
}

/// The inner error means that what came is not the signed list.
fn ask(
    manifest: &Manifest,
    held: Option<TextPieces<'_>>,
    operation: &Operation,
    dialog: &mut Dialog<'_>,
) -> io::Result<Result<(Tree, String), ManifestError>> {
    let ask = Ask::Tree {
        held: held.as_ref().map(TextPieces::told),
    };
    let data = dialog.ask(operation, ask).map_err(io::Error::other)?;
    let mut arrival = Arrival::new(data, manifest.tree.size, held)?;
    let mut text = Vec::new();
    arrival.next(manifest.tree.size, &mut text)?;
    arrival.finish()?;
    // What is no text has no digest that was signed either.
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(manifest.read_tree(&text).map(|tree| (tree, text)))
}
