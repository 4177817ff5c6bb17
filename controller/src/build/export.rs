//! A clean copy of a commit in a private folder.
//!
//! `git archive` writes it, so `export-ignore` and `export-subst` are respected. It runs in an empty
//! repository that borrows the objects: what a machine has in its git configuration (line endings,
//! filters, attributes) changes no byte.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Seek, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use longshore_shared::tree::{Entry, Kind};
use tempfile::TempDir;
use thiserror::Error;

use super::git::{Commit, GitError, Repository, failed};
use crate::release::Section;
use crate::release::tar_reader::{self, Listing, Place, TarError};

const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Why a commit cannot be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("cannot write the export of the commit")]
    Write(#[source] io::Error),
    #[error("the commit cannot be exported")]
    Archive(#[source] TarError),
    #[error("{path:?} is a submodule, and `git archive` leaves submodules out")]
    Submodule { path: String },
    #[error("{path:?} is a Git LFS pointer, and its content is not in the commit")]
    LfsPointer { path: String },
}

/// A folder that only this build uses; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Export {
    work: TempDir,
}

impl Export {
    /// Exports the commit.
    pub(super) fn of_commit(repository: &Repository, commit: &Commit) -> Result<Self, ExportError> {
        let lender = Lender::new(repository)?;
        lender.export(repository, &commit.hash, commit)
    }

    /// Exports the tracked files as they are in the working tree.
    pub(super) fn of_working_tree(
        repository: &Repository,
        commit: &Commit,
    ) -> Result<Self, ExportError> {
        let lender = Lender::new(repository)?;
        let tree = lender.tree_of_working_tree(repository)?;
        lender.export(repository, &tree, commit)
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.work.path().join("export")
    }
}

/// An empty repository with the objects of another one.
struct Lender {
    work: TempDir,
    git_dir: PathBuf,
}

impl Lender {
    fn new(repository: &Repository) -> Result<Self, ExportError> {
        let work = tempfile::Builder::new()
            .prefix("longshore-build-")
            .tempdir()
            .map_err(ExportError::Write)?;
        let git_dir = work.path().join("git");
        let format = repository.run(["rev-parse", "--show-object-format"])?;
        let objects = repository.run(["rev-parse", "--git-path", "objects"])?;
        let objects = repository.root().join(objects.trim_end_matches('\n'));
        let lender = Self { work, git_dir };
        let output = lender
            .git()
            .args(["init", "--quiet", "--bare", "--template="])
            .arg(format!("--object-format={}", format.trim()))
            .arg(&lender.git_dir)
            .output()
            .map_err(GitError::Start)?;
        if !output.status.success() {
            return Err(failed("init", &output).into());
        }
        let info = lender.git_dir.join("objects/info");
        fs::create_dir_all(&info).map_err(ExportError::Write)?;
        let line = format!("{}\n", objects.display());
        fs::write(info.join("alternates"), line).map_err(ExportError::Write)?;
        Ok(lender)
    }

    /// git without any configuration of this machine.
    fn git(&self) -> Command {
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                git.env_remove(name);
            }
        }
        git.env("HOME", self.work.path())
            .env("XDG_CONFIG_HOME", self.work.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        git
    }

    /// Writes the working tree's tracked files as objects of the borrowing repository alone.
    fn tree_of_working_tree(&self, repository: &Repository) -> Result<String, ExportError> {
        let index = repository.run(["rev-parse", "--git-path", "index"])?;
        let index = repository.root().join(index.trim_end_matches('\n'));
        let copy = self.work.path().join("index");
        fs::copy(index, &copy).map_err(ExportError::Write)?;
        let run = |words: &[&str]| {
            let output = repository
                .git()
                .args(words)
                .env("GIT_INDEX_FILE", &copy)
                .env("GIT_OBJECT_DIRECTORY", self.git_dir.join("objects"))
                .output()
                .map_err(GitError::Start)?;
            if output.status.success() {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            } else {
                Err(failed(&words.join(" "), &output))
            }
        };
        run(&["add", "--update", "."])?;
        Ok(run(&["write-tree"])?)
    }

    fn export(
        self,
        repository: &Repository,
        tree: &str,
        commit: &Commit,
    ) -> Result<Export, ExportError> {
        // A submodule that is not checked out is in the commit and not in the working tree.
        for tree in [commit.hash.as_str(), tree] {
            let submodules = Repository::submodules_in(self.git(), &self.git_dir, tree)?;
            if let Some(path) = submodules.into_iter().next() {
                return Err(ExportError::Submodule { path });
            }
        }
        tracing::debug!(root = %repository.root().display(), tree, "exporting");
        let mut tar = tempfile::tempfile_in(self.work.path()).map_err(ExportError::Write)?;
        let output = self
            .git()
            .arg("--git-dir")
            .arg(&self.git_dir)
            .args(["-c", "tar.umask=0022", "-c", "core.abbrev=12"])
            .args(["archive", "--format=tar", tree])
            .stdout(tar.try_clone().map_err(ExportError::Write)?)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output)
            .map_err(GitError::Start)?;
        if !output.status.success() {
            return Err(failed("archive", &output).into());
        }
        tar.rewind().map_err(ExportError::Write)?;
        let listing = tar_reader::read(io::BufReader::with_capacity(128 * 1024, &tar))
            .map_err(ExportError::Archive)?;
        let export = Export { work: self.work };
        write(&export.folder(), &tar, &listing, commit)?;
        fs::remove_dir_all(&self.git_dir).map_err(ExportError::Write)?;
        Ok(export)
    }
}

/// Every path was checked and none leads through a link, so all of this ends up in `folder`.
fn write(
    folder: &Path,
    tar: &std::fs::File,
    listing: &Listing,
    commit: &Commit,
) -> Result<(), ExportError> {
    fs::create_dir(folder).map_err(ExportError::Write)?;
    let seconds = u64::try_from(commit.time.as_second()).unwrap_or(0);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut made = BTreeSet::new();
    for (entry, place) in listing.tree.entries().iter().zip(&listing.places) {
        let path = folder.join(&entry.path);
        let parent = match entry.kind {
            Kind::EmptyFolder => Some(path.as_path()),
            _ => path.parent(),
        };
        if let Some(parent) = parent.filter(|parent| made.insert(parent.to_path_buf())) {
            fs::create_dir_all(parent).map_err(ExportError::Write)?;
        }
        match place {
            Place::Empty => {}
            Place::Target(target) => {
                fs::os::unix::fs::symlink(target, &path).map_err(ExportError::Write)?;
            }
            Place::At(at) => write_file(&path, entry, tar, *at, time)?,
        }
    }
    Ok(())
}

fn write_file(
    path: &Path,
    entry: &Entry,
    tar: &std::fs::File,
    at: u64,
    time: SystemTime,
) -> Result<(), ExportError> {
    let mut content = Section {
        file: tar,
        at,
        left: entry.size,
    };
    let mut start = Vec::new();
    (&mut content)
        .take(LFS_POINTER.len() as u64)
        .read_to_end(&mut start)
        .map_err(ExportError::Write)?;
    if start == LFS_POINTER && entry.size < 1024 {
        return Err(ExportError::LfsPointer {
            path: entry.path.clone(),
        });
    }
    let mut file = fs::File::create_new(path).map_err(ExportError::Write)?;
    file.write_all(&start).map_err(ExportError::Write)?;
    io::copy(&mut content, &mut file).map_err(ExportError::Write)?;
    if entry.kind == Kind::Executable {
        let mode = PermissionsExt::from_mode(0o755);
        file.set_permissions(mode).map_err(ExportError::Write)?;
    }
    file.file().set_modified(time).map_err(ExportError::Write)
}
