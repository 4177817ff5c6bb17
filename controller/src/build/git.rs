//! Questions to git about the app's repository.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jiff::Timestamp;
use thiserror::Error;

use crate::did_you_mean;

/// What git lets its own environment override; here the folder alone decides.
const OVERRIDES: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
];

/// Why git gave no answer.
#[derive(Debug, Error)]
pub enum GitError {
    #[error("cannot run git")]
    Start(#[source] io::Error),
    #[error("{} is not in a git repository with a working tree", folder.display())]
    NoRepository { folder: PathBuf },
    #[error("no branch, tag or commit `{name}` in this repository{meant}")]
    UnknownRef { name: String, meant: String },
    #[error("this repository has no commit yet")]
    NoCommit,
    #[error("`git {command}` failed: {words}")]
    Failed { command: String, words: String },
    #[error("`git {command}` gave an answer that cannot be read")]
    Answer { command: &'static str },
}

/// The repository that a build is of.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The full hash.
    pub hash: String,
    pub author: String,
    pub subject: String,
    pub time: Timestamp,
}

impl Repository {
    /// The repository around `folder`.
    pub fn find(folder: &Path) -> Result<Self, GitError> {
        let here = Self {
            root: folder.to_owned(),
        };
        let no_repository = || GitError::NoRepository {
            folder: folder.to_owned(),
        };
        let output = here.output(["rev-parse", "--show-toplevel"])?;
        let words = String::from_utf8_lossy(&output.stderr);
        if words.contains("dubious ownership") {
            return Err(failed("rev-parse", &output));
        }
        let root = one_line(output).ok_or_else(no_repository)?;
        if root.is_empty() {
            return Err(no_repository());
        }
        Ok(Self {
            root: PathBuf::from(root),
        })
    }

    /// The top folder of the working tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The commit that a branch, tag or hash names.
    pub fn resolve(&self, name: &str) -> Result<Commit, GitError> {
        let spec = format!("{name}^{{commit}}");
        let found = (!name.starts_with('-'))
            .then(|| self.ask(["rev-parse", "--verify", "--quiet", &spec]))
            .transpose()?
            .flatten();
        match found {
            Some(hash) => self.commit(&hash),
            None if name == "HEAD" => Err(GitError::NoCommit),
            None => Err(GitError::UnknownRef {
                name: name.to_owned(),
                meant: did_you_mean::suffix(name, self.names()?.iter().map(String::as_str)),
            }),
        }
    }

    /// What is known about the commit of this hash.
    pub fn commit(&self, hash: &str) -> Result<Commit, GitError> {
        let format = "--format=%H%x00%ct%x00%an%x00%s";
        let text = self.run([
            "-c",
            "log.showSignature=false",
            "show",
            "--no-patch",
            format,
            hash,
        ])?;
        let wrong = || GitError::Answer { command: "show" };
        let mut fields = text.trim_end_matches('\n').splitn(4, '\0');
        let mut next = || fields.next().map(str::to_owned).ok_or_else(wrong);
        let (hash, seconds, author, subject) = (next()?, next()?, next()?, next()?);
        let seconds: i64 = seconds.parse().map_err(|_| wrong())?;
        Ok(Commit {
            hash,
            author,
            subject,
            time: Timestamp::from_second(seconds).map_err(|_| wrong())?,
        })
    }

    /// The branch that is checked out, if one is.
    pub fn branch(&self) -> Result<Option<String>, GitError> {
        self.ask(["symbolic-ref", "--quiet", "--short", "HEAD"])
    }

    /// What the branch of this name is called without doubt, in the first of the places that has it: a tag
    /// may have its name, too. `HEAD` is no branch.
    pub fn branch_called(&self, name: &str, places: &[&str]) -> Result<Option<String>, GitError> {
        for place in places {
            let called = format!("refs/{place}/{name}");
            let there = self.ask(["show-ref", "--verify", "--hash", &called])?;
            let Some(hash) = there.filter(|_| name != "HEAD") else {
                continue;
            };
            let plain = self.ask(["rev-parse", "--verify", "--quiet", name])?;
            return Ok(Some(match plain == Some(hash) {
                true => name.to_owned(),
                false => format!("{place}/{name}"),
            }));
        }
        Ok(None)
    }

    /// A setting of git, where it is set.
    pub fn setting(&self, key: &str) -> Result<Option<String>, GitError> {
        self.ask(["config", "--get", key])
    }

    /// A setting that is a path, with `~` expanded.
    pub fn path_setting(&self, key: &str) -> Result<Option<String>, GitError> {
        self.ask(["config", "--type=path", "--get", key])
    }

    /// What differs from the commit that is checked out: changed files and new ones that are not
    /// ignored. `dist/` is where builds go and does not count.
    pub fn differences(&self) -> Result<Vec<String>, GitError> {
        let text = self.run([
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=normal",
            "--ignore-submodules=none",
        ])?;
        let mut differences = Vec::new();
        let mut items = text.split('\0');
        while let Some(item) = items.next() {
            let Some((state, path)) = item.split_at_checked(3) else {
                continue;
            };
            if state.starts_with(['R', 'C']) {
                // The name that it had before follows as an item of its own.
                items.next();
            }
            if !(state == "?? " && (path == "dist/" || path.starts_with("dist/"))) {
                differences.push(path.to_owned());
            }
        }
        Ok(differences)
    }

    /// Runs git here and takes what it prints.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = S> + Clone,
    ) -> Result<String, GitError> {
        let output = self.output(words.clone())?;
        if !output.status.success() {
            let command = words.into_iter().map(|word| shown(word.as_ref()));
            return Err(failed(&command.collect::<Vec<_>>().join(" "), &output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// git, in this repository and no other.
    pub(super) fn git(&self) -> Command {
        let mut git = Command::new("git");
        for name in OVERRIDES {
            git.env_remove(name);
        }
        git.arg("-C")
            .arg(&self.root)
            .env("LC_ALL", "C")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null());
        git
    }

    fn output<S: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Output, GitError> {
        self.git().args(words).output().map_err(GitError::Start)
    }

    /// One line, or nothing where git says that there is none.
    fn ask<const N: usize>(&self, words: [&str; N]) -> Result<Option<String>, GitError> {
        Ok(one_line(self.output(words)?).filter(|line| !line.is_empty()))
    }

    fn names(&self) -> Result<Vec<String>, GitError> {
        let text = self.run(["for-each-ref", "--format=%(refname:short)"])?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// The answer of a git that ended well.
fn one_line(output: Output) -> Option<String> {
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

pub(super) fn failed(command: &str, output: &Output) -> GitError {
    let words = String::from_utf8_lossy(&output.stderr);
    let words = words.trim();
    GitError::Failed {
        command: command.to_owned(),
        words: if words.is_empty() {
            output.status.to_string()
        } else {
            words.chars().take(2000).collect()
        },
    }
}

fn shown(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}
