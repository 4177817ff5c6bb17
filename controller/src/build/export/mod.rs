//! What a commit holds: its files, those of its submodules, and what Git LFS keeps for it.

mod archive;
mod lfs;
mod source;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use longshore_shared::tree::{Entry, Kind, Tree};
use tempfile::TempDir;
use thiserror::Error;

use super::found::{Content, Found};
use super::git::{Commit, GitError, Repository};
use crate::release::TarError;
use crate::release::tar_reader::Place;
use archive::{Borrower, Pinned};
pub use lfs::WhyLfs;
use source::Source;

/// Submodules in submodules; a commit cannot hold itself, but nobody has to believe that.
const DEEPEST: usize = 10;

/// Why a commit cannot be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("cannot write the export of the commit")]
    Write(#[source] io::Error),
    #[error("the commit cannot be exported")]
    Archive(#[source] TarError),
    #[error(
        "{path:?} is a submodule, and its commit {} is not in this clone",
        super::short(commit)
    )]
    Submodule { path: String, commit: String },
    #[error("{path:?} is a Git LFS pointer, and {why}")]
    LfsPointer { path: String, why: WhyLfs },
}

/// What is exported, in a private folder; all of it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Export {
    work: TempDir,
    found: Vec<Found>,
    time: SystemTime,
}

impl Export {
    /// Exports the commit.
    pub(super) fn of_commit(repository: &Repository, commit: &Commit) -> Result<Self, ExportError> {
        Self::new(repository, commit, |_| Ok(commit.hash.clone()))
    }

    /// Exports the tracked files as they are in the working tree.
    pub(super) fn of_working_tree(
        repository: &Repository,
        commit: &Commit,
    ) -> Result<Self, ExportError> {
        Self::new(repository, commit, |borrower| {
            let tree = borrower.tree_of_working_tree(repository)?;
            // A submodule that is not checked out is in the commit and not in the working tree.
            let kept = borrower.submodules(&tree)?;
            let here = |one: &Pinned| kept.iter().any(|other| one.path == other.path);
            match borrower
                .submodules(&commit.hash)?
                .into_iter()
                .find(|one| !here(one))
            {
                Some(Pinned { path, commit }) => Err(ExportError::Submodule { path, commit }),
                None => Ok(tree),
            }
        })
    }

    fn new(
        repository: &Repository,
        commit: &Commit,
        tree: impl FnOnce(&Borrower) -> Result<String, ExportError>,
    ) -> Result<Self, ExportError> {
        let work = tempfile::Builder::new()
            .prefix("longshore-build-")
            .tempdir()
            .map_err(ExportError::Write)?;
        let source = Source::of(repository)?;
        let borrower = source.borrower(work.path())?;
        let tree = tree(&borrower)?;
        tracing::debug!(root = %repository.root().display(), tree, "exporting");
        let mut collector = Collector {
            home: work.path(),
            all: Vec::new(),
        };
        collector.collect(&borrower, &source, &tree, "", DEEPEST)?;
        let mut all = collector.all;
        all.sort_by(|(one, _), (other, _)| one.path.as_bytes().cmp(other.path.as_bytes()));
        // Submodules and the commit around them must not be in each other's way.
        let (entries, found): (Vec<Entry>, Vec<Found>) = all.into_iter().unzip();
        Tree::from_entries(entries).map_err(|error| ExportError::Archive(error.into()))?;
        let seconds = u64::try_from(commit.time.as_second()).unwrap_or(0);
        Ok(Self {
            work,
            found,
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        })
    }

    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// The plain file at this path.
    pub(super) fn file(&self, path: &str) -> Option<&Content> {
        let found = self.found.iter().find(|found| found.path == path)?;
        matches!(found.kind, Kind::File | Kind::Executable).then_some(&found.content)
    }

    /// Writes all of it into a folder of this name. Every path was checked and none leads through a
    /// link, so all of it ends up there.
    pub(super) fn write_out(&self, name: &str) -> Result<PathBuf, ExportError> {
        let folder = self.work.path().join(name);
        self.write(&folder).map_err(ExportError::Write)?;
        Ok(folder)
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut made = BTreeSet::new();
        for found in &self.found {
            let path = folder.join(&found.path);
            let parent = match found.kind {
                Kind::EmptyFolder => Some(path.as_path()),
                _ => path.parent(),
            };
            if let Some(parent) = parent.filter(|parent| made.insert(parent.to_path_buf())) {
                fs::create_dir_all(parent)?;
            }
            match &found.content {
                Content::Nothing => {}
                Content::Target(target) => fs::os::unix::fs::symlink(target, &path)?,
                content => self.write_file(&path, found.kind, content)?,
            }
        }
        Ok(())
    }

    fn write_file(&self, path: &Path, kind: Kind, content: &Content) -> io::Result<()> {
        let mut file = fs::File::create_new(path)?;
        let (_, mut reader) = content.open()?;
        io::copy(&mut reader, &mut file)?;
        if kind == Kind::Executable {
            file.set_permissions(PermissionsExt::from_mode(0o755))?;
        }
        file.file().set_modified(self.time)
    }
}

struct Collector<'a> {
    home: &'a Path,
    all: Vec<(Entry, Found)>,
}

impl Collector<'_> {
    /// Adds what is in `tree` under `prefix`, and then what is in its submodules.
    fn collect(
        &mut self,
        borrower: &Borrower,
        source: &Source,
        tree: &str,
        prefix: &str,
        depth: usize,
    ) -> Result<(), ExportError> {
        let (tar, listing) = borrower.archive(tree)?;
        let tar = Arc::new(tar);
        for (entry, place) in listing.tree.entries().iter().zip(listing.places) {
            let mut entry = entry.clone();
            entry.path.insert_str(0, prefix);
            let content = match place {
                Place::Empty => Content::Nothing,
                Place::Target(target) => Content::Target(target),
                Place::At(at) => {
                    let (tar, size) = (Arc::clone(&tar), entry.size);
                    let archived = Content::Archived { tar, at, size };
                    lfs::resolve(&entry.path, archived, source.lfs_objects())?
                }
            };
            let found = Found {
                path: entry.path.clone(),
                kind: entry.kind,
                content,
            };
            self.all.push((entry, found));
        }
        for pinned in borrower.submodules(tree)? {
            let path = format!("{prefix}{}", pinned.path);
            // An archive has an empty folder in the place of a submodule, but for export-ignore.
            let folder = self
                .all
                .iter()
                .position(|(entry, _)| entry.path == path && entry.kind == Kind::EmptyFolder);
            let Some(folder) = folder else {
                continue;
            };
            self.all.swap_remove(folder);
            let name = borrower.name_of(tree, &pinned.path)?;
            let at_hand = self.at_hand(source.of_submodule(&pinned, name.as_deref()), &pinned)?;
            let (Some((borrower, inner)), Some(depth)) = (at_hand, depth.checked_sub(1)) else {
                let commit = pinned.commit;
                return Err(ExportError::Submodule { path, commit });
            };
            self.collect(
                &borrower,
                &inner,
                &pinned.commit,
                &format!("{path}/"),
                depth,
            )?;
        }
        Ok(())
    }

    /// The first of the sources that holds the submodule's commit.
    fn at_hand(
        &self,
        sources: Vec<Source>,
        pinned: &Pinned,
    ) -> Result<Option<(Borrower, Source)>, ExportError> {
        for source in sources {
            let borrower = source.borrower(self.home)?;
            if borrower.holds(&pinned.commit)? {
                return Ok(Some((borrower, source)));
            }
        }
        Ok(None)
    }
}
