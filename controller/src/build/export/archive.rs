//! What `git archive` says is in a commit.
//!
//! It runs in an empty repository that borrows the objects of another one: what a machine has in its
//! git configuration (line endings, filters, attributes) changes no byte, and `export-ignore` and
//! `export-subst` are respected.

use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fs_err as fs;

use super::ExportError;
use crate::build::git::{GitError, Repository, failed};
use crate::release::tar_reader::{self, Listing};

/// An empty repository with the objects of another one.
pub(super) struct Borrower {
    home: PathBuf,
    git_dir: PathBuf,
}

/// A submodule, as the commit that holds it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) path: String,
    pub(super) commit: String,
}

impl Borrower {
    /// Made in `home`, a private folder.
    pub(super) fn new(home: &Path, objects: &Path, format: &str) -> Result<Self, ExportError> {
        let git_dir = tempfile::Builder::new()
            .prefix("git-")
            .tempdir_in(home)
            .map_err(ExportError::Write)?
            .keep();
        let borrower = Self {
            home: home.to_owned(),
            git_dir,
        };
        let mut git = borrower.git();
        git.args(["init", "--quiet", "--bare", "--template="])
            .arg(format!("--object-format={format}"))
            .arg(&borrower.git_dir);
        done("init", git.output())?;
        let info = borrower.git_dir.join("objects/info");
        fs::create_dir_all(&info).map_err(ExportError::Write)?;
        let line = format!("{}\n", objects.display());
        fs::write(info.join("alternates"), line).map_err(ExportError::Write)?;
        Ok(borrower)
    }

    /// git without any configuration of this machine.
    fn git(&self) -> Command {
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                git.env_remove(name);
            }
        }
        git.env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", &self.home)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        git
    }

    fn here(&self) -> Command {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.git_dir);
        git
    }

    /// Writes the working tree's tracked files as objects of the borrowing repository alone.
    pub(super) fn tree_of_working_tree(
        &self,
        repository: &Repository,
    ) -> Result<String, ExportError> {
        let index = repository.run(["rev-parse", "--git-path", "index"])?;
        let index = repository.root().join(index.trim_end_matches('\n'));
        let copy = self.home.join("index");
        fs::copy(index, &copy).map_err(ExportError::Write)?;
        let run = |words: &[&str]| {
            let output = repository
                .git()
                .args(words)
                .env("GIT_INDEX_FILE", &copy)
                .env("GIT_OBJECT_DIRECTORY", self.git_dir.join("objects"))
                .output();
            done(&words.join(" "), output)
        };
        run(&["add", "--update", "."])?;
        Ok(run(&["write-tree"])?.trim().to_owned())
    }

    /// Whether the commit is among the objects.
    pub(super) fn holds(&self, commit: &str) -> Result<bool, ExportError> {
        let spec = format!("{commit}^{{tree}}");
        let output = self.here().args(["cat-file", "-e", &spec]).output();
        Ok(output.map_err(GitError::Start)?.status.success())
    }

    /// The submodules of a commit or tree.
    pub(super) fn submodules(&self, tree: &str) -> Result<Vec<Pinned>, ExportError> {
        let mut git = self.here();
        git.args(["ls-tree", "-r", "-z", "--full-tree", tree]);
        Ok(done("ls-tree", git.output())?
            .split('\0')
            .filter_map(|line| line.strip_prefix("160000 commit ")?.split_once('\t'))
            .map(|(commit, path)| Pinned {
                path: path.to_owned(),
                commit: commit.to_owned(),
            })
            .collect())
    }

    /// What `.gitmodules` of a commit or tree calls the submodule at `path`.
    pub(super) fn name_of(&self, tree: &str, path: &str) -> Result<Option<String>, ExportError> {
        let mut git = self.here();
        git.arg("config")
            .arg(format!("--blob={tree}:.gitmodules"))
            .args(["--null", "--get-regexp", r"^submodule\..*\.path$"]);
        let output = git.output().map_err(GitError::Start)?;
        // Without that file, or with nothing in it that fits, git fails.
        Ok(String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter_map(|item| item.split_once('\n'))
            .find(|(_, value)| *value == path)
            .and_then(|(key, _)| key.strip_prefix("submodule.")?.strip_suffix(".path"))
            .map(str::to_owned))
    }

    /// The archive of a commit or tree, and what is in it.
    pub(super) fn archive(&self, tree: &str) -> Result<(File, Listing), ExportError> {
        let mut tar = tempfile::tempfile_in(&self.home).map_err(ExportError::Write)?;
        let output = self
            .here()
            .args(["-c", "tar.umask=0022", "-c", "core.abbrev=12"])
            .args(["archive", "--format=tar", tree])
            .stdout(tar.try_clone().map_err(ExportError::Write)?)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output);
        done("archive", output)?;
        tar.rewind().map_err(ExportError::Write)?;
        let listing = tar_reader::read(io::BufReader::with_capacity(128 * 1024, &tar))
            .map_err(ExportError::Archive)?;
        Ok((tar, listing))
    }
}

fn done(command: &str, output: io::Result<Output>) -> Result<String, GitError> {
    let output = output.map_err(GitError::Start)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(command, &output))
    }
}
