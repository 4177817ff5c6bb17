//! One try to stage a release, and what earlier ones left that broke off: their trees, as far as
//! they had come, for the next one to go on from.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_shared::tree::Tree;

use super::base::Base;
use super::linking::link_what_is_here;
use super::room::room_problem;
use crate::layout::AppLayout;
use crate::trash;

/// The fullest holds nearly all of what the others have; one that broke off while it still copied
/// from another may not.
const MOST_LEFT: usize = 2;
/// Nobody comes back for what is older.
const LONGEST_LEFT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A folder of `staging/`, named by its operation.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    operation: u64,
    folder: PathBuf,
}

impl Attempt {
    /// Makes the folder of a new one.
    pub(super) fn begin(layout: &AppLayout, operation: u64) -> io::Result<Self> {
        let attempt = Self::in_folder(&layout.staging(), operation);
        // Numbers begin anew where the ledger was lost.
        attempt.discard();
        fs_err::create_dir(&attempt.folder)?;
        Ok(attempt)
    }

    pub(super) fn in_folder(staging: &Path, operation: u64) -> Self {
        let folder = staging.join(operation.to_string());
        Self { operation, folder }
    }

    /// Those that are there, the newest first.
    fn all(layout: &AppLayout) -> Vec<Self> {
        let Ok(entries) = fs_err::read_dir(layout.staging()) else {
            return Vec::new();
        };
        let of_name = |path: PathBuf| {
            let operation = path.file_name()?.to_str()?.parse().ok()?;
            let folder = path;
            Some(Self { operation, folder })
        };
        let mut all: Vec<Self> = entries
            .flatten()
            .filter_map(|entry| of_name(entry.path()))
            .collect();
        all.sort_by_key(|attempt| std::cmp::Reverse(attempt.operation));
        all
    }

    /// Those before this one that got as far as their tree.
    pub(super) fn earlier(&self, layout: &AppLayout) -> Vec<Self> {
        let mut all = Self::all(layout);
        all.retain(|other| other.operation != self.operation && other.tree().exists());
        all
    }

    /// The list of what belongs into `release`.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// What is there of the release.
    pub(super) fn release(&self) -> PathBuf {
        self.folder.join("release")
    }

    /// It broke off: what came is kept for the next one, and what only older ones have is not.
    pub(super) fn leave(&self, layout: &AppLayout) {
        // Nothing is worth a full disk.
        if !matches!(room_problem(&layout.staging(), 0, 0), Ok(None)) {
            return discard_all(Self::all(layout));
        }
        let kept = Self::fullest(layout);
        let others = Self::all(layout).into_iter();
        discard_all(others.filter(|one| kept.iter().all(|kept| kept.operation != one.operation)));
    }

    /// Those to keep. One that broke off as soon as it had begun is not to push out one that has
    /// something.
    fn fullest(layout: &AppLayout) -> Vec<Self> {
        let mut kept = Self::all(layout);
        kept.retain(Self::is_fresh);
        kept.sort_by_cached_key(|one| std::cmp::Reverse(size(&one.release())));
        kept.truncate(MOST_LEFT);
        kept
    }

    fn is_fresh(&self) -> bool {
        let written = fs_err::metadata(self.tree()).and_then(|about| about.modified());
        written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < LONGEST_LEFT))
    }

    /// Then the folder is the app's; or what the steps made is aside, and not yet deleted.
    fn had_steps(&self) -> bool {
        let is_apps = fs_err::symlink_metadata(self.release()).is_ok_and(|a| a.uid() != 0);
        is_apps || self.spoiled().exists()
    }

    fn spoiled(&self) -> PathBuf {
        self.folder.join("spoiled")
    }

    /// Steps of the release failed in it: what was signed is kept for the next one, in a folder that
    /// is root's, and what they made is not.
    pub(super) fn salvage(&self, layout: &AppLayout, tree: &Tree) {
        let spoiled = self.spoiled();
        let salvaged = || -> io::Result<()> {
            fs_err::rename(self.release(), &spoiled)?;
            let base = Base::open(&spoiled, &self.tree(), false);
            link_what_is_here(base.as_slice(), tree, &self.release())?;
            trash::delete(&spoiled)
        };
        match salvaged() {
            Ok(()) => self.leave(layout),
            Err(_) => self.discard(),
        }
    }

    /// It came to its end: nothing in `staging/` is of use any more.
    pub(super) fn end(self, layout: &AppLayout) {
        discard_all(Self::all(layout));
    }

    /// Takes this one alone away.
    pub(super) fn discard(&self) {
        discard_all([self.clone()]);
    }

    /// Makes room: a release that has to be sent again is better than none.
    pub(super) fn discard_earlier(&self, layout: &AppLayout) {
        let earlier = |other: &Self| other.operation != self.operation;
        discard_all(Self::all(layout).into_iter().filter(earlier));
    }
}

/// What in `staging/` is still of use after the agent was stopped at any moment.
pub(crate) fn worth_keeping(layout: &AppLayout) -> Vec<PathBuf> {
    let mut kept = Attempt::fullest(layout);
    kept.retain(|attempt| !attempt.had_steps());
    kept.into_iter().map(|attempt| attempt.folder).collect()
}

/// Whether steps of the release were at work when the agent was stopped in this operation.
pub(crate) fn stopped_in_steps(layout: &AppLayout, operation: u64) -> bool {
    Attempt::in_folder(&layout.staging(), operation).had_steps()
}

/// In bytes, as far as it can be read.
fn size(folder: &Path) -> u64 {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let of_entry = |entry: fs_err::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.map(of_entry).sum()
}

fn discard_all(attempts: impl IntoIterator<Item = Attempt>) {
    for Attempt { folder, .. } in attempts {
        // Most have nothing but a list in them, or are not there at all; only the rest of a release
        // is worth a program of its own.
        let _list = fs_err::remove_file(folder.join("tree"));
        if fs_err::remove_dir(&folder).is_err() && folder.exists() {
            trash::delete_or_say(&folder);
        }
    }
}
