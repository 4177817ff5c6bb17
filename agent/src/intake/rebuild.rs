//! Builds a release's tree: what the host has is linked, what it lacks is received.
//!
//! Symlinks come last, so that no content is ever written through one.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use longshore_shared::digest::Digesting;
use longshore_shared::tree::{Entry, Kind, Tree};
use longshore_shared::wire::latest::Ask;

use super::arrival::{Arrival, Made, cut_off, drain};
use super::attempt::Attempt;
use super::base::{Base, mode};
use super::linking::link_what_is_here;
use super::pieces::FilePieces;
use super::room::room_problem;
use super::{Dialog, MEND_DISK, came_wrong, hostile};
use crate::layout::AppLayout;
use crate::operation::{Operation, Trouble};
use crate::peer::Data;

/// A pair of numbers takes a few bytes, and a message a quarter of a megabyte.
const MOST_RANGES: usize = 8000;
const BUFFER: usize = 128 * 1024;

/// A tree that is being made.
pub(super) struct Rebuild<'a> {
    pub(super) layout: &'a AppLayout,
    pub(super) tree: &'a Tree,
    pub(super) bases: &'a [Base],
    pub(super) attempt: &'a Attempt,
    pub(super) operation: &'a Operation,
}

impl<'a> Rebuild<'a> {
    /// Makes the tree. Gives back how many bytes of content the host lacked.
    pub(super) fn run(&self, dialog: &mut Dialog<'_>) -> Result<u64, Trouble> {
        let failed = |error: io::Error| Trouble::because(&error, MEND_DISK);
        let folder = self.attempt.release();
        let lacking = link_what_is_here(self.bases, self.tree, &folder).map_err(failed)?;
        let entries = self.tree.entries();
        let lacking_entries: Vec<&Entry> =
            lacking.iter().filter_map(|at| entries.get(*at)).collect();
        let bytes = lacking_entries.iter().map(|entry| entry.size).sum();
        self.make_sure_of_room(bytes).map_err(failed)??;
        let mut pieces = if dialog.recipes {
            FilePieces::like(&lacking_entries, self.tree, self.bases)
        } else {
            None
        };
        let mut targets = BTreeMap::new();
        let mut unfit = Vec::new();
        // What is lacking may be scattered over the tree; each question has to fit one message.
        for wanted in ranges(&lacking).chunks(MOST_RANGES) {
            unfit.extend(self.fetch(wanted, pieces.as_mut(), dialog, &mut targets)?);
        }
        // Where two pieces looked alike, or an old file changed meanwhile, all of it is sent.
        for wanted in ranges(&unfit).chunks(MOST_RANGES) {
            self.fetch(wanted, None, dialog, &mut targets)?;
        }
        self.tree
            .check_links(&targets)
            .map_err(|error| hostile(&error))?;
        for (path, target) in &targets {
            crate::links::make_in_private(&folder.join(path), Path::new(target)).map_err(failed)?;
        }
        Ok(bytes)
    }

    fn make_sure_of_room(&self, bytes: u64) -> io::Result<Result<(), Trouble>> {
        let lack = || {
            room_problem(
                &self.attempt.release(),
                bytes,
                self.tree.entries().len() as u64,
            )
        };
        if lack()?.is_some() {
            self.attempt.discard_earlier(self.layout);
        }
        Ok(match lack()? {
            None => Ok(()),
            Some(lack) => Err(Trouble::failed(
                lack,
                "make room on this host, then deploy again",
            )),
        })
    }

    /// Asks for contents and writes them. Gives back the entries that pieces of this host did not
    /// come together to.
    fn fetch(
        &self,
        wanted: &[(u64, u64)],
        held: Option<&mut FilePieces<'_>>,
        dialog: &mut Dialog<'_>,
        targets: &mut BTreeMap<&'a str, String>,
    ) -> Result<Vec<usize>, Trouble> {
        let entries: Vec<(usize, &Entry)> = wanted
            .iter()
            .flat_map(|(first, count)| *first..*first + *count)
            .filter_map(|at| {
                let at = usize::try_from(at).ok()?;
                Some((at, self.tree.entries().get(at)?))
            })
            .collect();
        let bytes = entries.iter().map(|(_, entry)| entry.size).sum();
        let ask = Ask::Contents {
            wanted: wanted.to_vec(),
            bytes,
            held: held.as_deref().map(FilePieces::told),
        };
        let recipes = held.is_some();
        let data = dialog
            .ask(self.operation, ask)
            .map_err(|error| Unusable::Came(io::Error::other(error)))?;
        match self.receive_all(&entries, data, held, targets) {
            Ok(unfit) => Ok(unfit),
            // Pieces of other lengths that looked alike: nothing that follows is where it should be.
            Err(Unusable::Came(error)) if recipes && cut_off(&error).is_none() => {
                drain(dialog.peer.rest(), bytes).map_err(Unusable::Came)?;
                for (_, entry) in &entries {
                    targets.remove(entry.path.as_str());
                    // Those that were not reached are not there.
                    let _none = fs_err::remove_file(self.attempt.release().join(&entry.path));
                }
                Ok(entries.into_iter().map(|(at, _)| at).collect())
            }
            Err(unusable) => Err(unusable.into()),
        }
    }

    fn receive_all(
        &self,
        entries: &[(usize, &'a Entry)],
        data: Data<'_>,
        held: Option<&mut FilePieces<'_>>,
        targets: &mut BTreeMap<&'a str, String>,
    ) -> Result<Vec<usize>, Unusable> {
        let bytes = entries.iter().map(|(_, entry)| entry.size).sum();
        let mut arrival = Arrival::new(data, bytes, held).map_err(Unusable::Came)?;
        let mut unfit = Vec::new();
        for (at, entry) in entries {
            match self.receive(entry, &mut arrival, targets)? {
                Some(Made::OfWhatCame) => return Err(Unusable::NotSigned(not_signed(entry))),
                Some(Made::OfPieces) => unfit.push(*at),
                None => {}
            }
        }
        arrival.finish().map_err(Unusable::Came)?;
        Ok(unfit)
    }

    /// Writes one content. Where it is not the signed one, nothing of it stays, and what it was
    /// made of is given back.
    fn receive(
        &self,
        entry: &'a Entry,
        arrival: &mut Arrival<Data<'_>, &mut FilePieces<'_>>,
        targets: &mut BTreeMap<&'a str, String>,
    ) -> Result<Option<Made>, Unusable> {
        if entry.kind == Kind::Symlink {
            let mut target = Digesting::new(Vec::new());
            let made = arrival
                .next(entry.size, &mut target)
                .map_err(Unusable::Came)?;
            let (size, digest, target) = target.finish();
            if (size, digest) != (entry.size, entry.digest) {
                return Ok(Some(made));
            }
            let target = String::from_utf8(target);
            let target = target.map_err(|_| Unusable::NotSigned(not_signed(entry)))?;
            targets.insert(&entry.path, target);
            return Ok(None);
        }
        let path = self.attempt.release().join(&entry.path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode(entry.kind).unwrap_or(0o644))
            .open(&path)
            .map_err(Unusable::Disk)?;
        let mut out = Digesting::new(OnDisk {
            file: BufWriter::with_capacity(BUFFER, file),
            failure: None,
        });
        let arrived = arrival.next(entry.size, &mut out);
        let (size, digest, mut out) = out.finish();
        // Also what came before a cut is for the next try.
        let flushed = out.file.flush();
        if let Some(failure) = out.failure.or(flushed.err()) {
            return Err(Unusable::Disk(failure));
        }
        let made = arrived.map_err(Unusable::Came)?;
        if (size, digest) == (entry.size, entry.digest) {
            return Ok(None);
        }
        fs_err::remove_file(&path).map_err(Unusable::Disk)?;
        Ok(Some(made))
    }
}

/// Why contents are not there.
enum Unusable {
    /// The disk.
    Disk(io::Error),
    /// What came, or that nothing more came.
    Came(io::Error),
    /// What came is whole and is not what was signed.
    NotSigned(Trouble),
}

impl From<Unusable> for Trouble {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Disk(error) => Self::because(&error, MEND_DISK),
            Unusable::Came(error) => came_wrong(error),
            Unusable::NotSigned(trouble) => trouble,
        }
    }
}

/// A file, and why it could not be written: whose fault a copy that fails was, nobody else tells.
struct OnDisk {
    file: BufWriter<std::fs::File>,
    failure: Option<io::Error>,
}

impl Write for OnDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| {
            let told = error.kind().into();
            self.failure = Some(error);
            told
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn not_signed(entry: &Entry) -> Trouble {
    Trouble::refused(
        format!(
            "the content sent for {:?} is not the signed one",
            entry.path
        ),
        "nothing of it was kept; build the release again, then deploy",
    )
}

/// Runs of neighbours, as first and count.
fn ranges(places: &[usize]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for place in places.iter().map(|place| *place as u64) {
        match ranges.last_mut() {
            Some((first, count)) if *first + *count == place => *count += 1,
            _ => ranges.push((place, 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_asked_for_together() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), [(0, 3), (5, 1), (7, 2)]);
        assert!(ranges(&[]).is_empty());
    }
}
