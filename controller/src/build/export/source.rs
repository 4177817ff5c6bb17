//! Where the objects of a repository are, and those of its submodules.

use std::path::{Path, PathBuf};

use longshore_shared::tree::check_path;

use super::ExportError;
use super::archive::{Borrower, Pinned};
use crate::build::git::{GitError, Repository};

/// One repository to export from.
#[derive(Debug)]
pub(super) struct Source {
    /// Its working tree, where it has one.
    root: Option<PathBuf>,
    git_dir: PathBuf,
    objects: PathBuf,
    lfs_objects: PathBuf,
    format: String,
}

impl Source {
    pub(super) fn of(repository: &Repository) -> Result<Self, GitError> {
        let ask = |words: &[&str]| {
            let mut all = vec!["rev-parse"];
            all.extend(words);
            let answer = repository.run(all)?;
            Ok::<_, GitError>(answer.trim_end_matches('\n').to_owned())
        };
        let path = |text: String| repository.root().join(text);
        let git_dir = path(ask(&["--git-common-dir"])?);
        let lfs = repository.path_setting("lfs.storage")?;
        Ok(Self {
            root: Some(repository.root().to_owned()),
            objects: path(ask(&["--git-path", "objects"])?),
            lfs_objects: git_dir
                .join(lfs.as_deref().unwrap_or("lfs"))
                .join("objects"),
            git_dir,
            format: ask(&["--show-object-format"])?,
        })
    }

    pub(super) fn borrower(&self, home: &Path) -> Result<Borrower, ExportError> {
        Borrower::new(home, &self.objects, &self.format)
    }

    /// Where Git LFS keeps what belongs to this repository's pointers.
    pub(super) fn lfs_objects(&self) -> &Path {
        &self.lfs_objects
    }

    /// The repositories that may hold a submodule: the one that is checked out, and the one that
    /// git keeps for it under its name.
    pub(super) fn of_submodule(&self, pinned: &Pinned, name: Option<&str>) -> Vec<Self> {
        let mut sources = Vec::new();
        let checked_out = self.root.as_ref().map(|root| root.join(&pinned.path));
        if let Some(root) = checked_out.filter(|root| root.join(".git").exists())
            && let Ok(source) = Repository::find(&root).and_then(|found| Self::of(&found))
        {
            sources.push(source);
        }
        if let Some(name) = name.filter(|name| check_path(name).is_ok()) {
            let git_dir = self.git_dir.join("modules").join(name);
            sources.push(Self {
                root: None,
                objects: git_dir.join("objects"),
                lfs_objects: git_dir.join("lfs/objects"),
                git_dir,
                format: self.format.clone(),
            });
        }
        sources
    }
}
