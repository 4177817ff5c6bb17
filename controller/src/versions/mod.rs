//! Which version a commit gets: that of its tag, else one that the last tag, the commits since and
//! the branch decide.
//!
//! `history` and `branch` ask git, `conventional` reads messages, `number` decides. `plan` says what
//! `longshore bump` would do; only `bump` changes anything.

mod branch;
mod bump;
mod bump_advice;
mod changelog;
mod conventional;
mod explain;
mod history;
mod number;
mod plan;
mod slug;

use semver::Version;
use thiserror::Error;

pub use branch::{Branch, Environment};
pub use conventional::{Change, Effect};
pub use history::{CommitMessage, Tag};
pub use plan::{Asked, BumpError, Plan};
pub(crate) use slug::slug;

use crate::build::{Commit, GitError, Repository};
use history::History;

/// What is to be named.
#[derive(Debug)]
pub struct Ask<'a> {
    pub commit: &'a Commit,
    /// The words that the person chose the commit with.
    pub git_ref: Option<&'a str>,
    /// The working tree is built, which differs from the commit.
    pub dirty: bool,
}

/// The version that a build gets, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextVersion {
    pub version: Version,
    /// The tag on the commit, where that is the version.
    pub tag: Option<String>,
    /// The last release that the commit is or comes after.
    pub last_tag: Option<String>,
    /// How many commits came since.
    pub commits: u64,
    /// The branch in the version's name.
    pub branch: Option<Branch>,
    /// In words for people, a sentence each.
    pub reasons: Vec<String>,
}

/// Why a build has no version.
#[derive(Debug, Error)]
pub enum VersionError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("no version: this clone is shallow, so {unknown} cannot be known")]
    Shallow { unknown: &'static str },
    #[error("no version: this clone was made without tags (remote.{remote}.tagOpt)")]
    WithoutTags { remote: String },
    #[error("no version: what follows {after} does not fit into {longest} characters", longest = number::LONGEST)]
    TooLong { after: String },
}

/// The version of a build of this commit.
pub fn next(repository: &Repository, ask: &Ask<'_>) -> Result<NextVersion, VersionError> {
    next_in(repository, ask, &Environment::of_this_process())
}

/// The version that a tag such as `v1.4.0` gives the commit.
pub fn of_tag(repository: &Repository, hash: &str) -> Result<Option<Tag>, GitError> {
    history::tag_on(repository, hash)
}

fn next_in(
    repository: &Repository,
    ask: &Ask<'_>,
    environment: &Environment,
) -> Result<NextVersion, VersionError> {
    let hash = ask.commit.hash.as_str();
    let tag = history::tag_on(repository, hash)?;
    if let Some(tag) = tag.filter(|_| !ask.dirty) {
        if tag.version.to_string().len() > number::LONGEST {
            return Err(VersionError::TooLong {
                after: "the `v` of the tag on this commit".to_owned(),
            });
        }
        return Ok(NextVersion {
            version: tag.version,
            reasons: vec![format!("The tag {} is on this commit.", tag.name)],
            last_tag: Some(tag.name.clone()),
            tag: Some(tag.name),
            commits: 0,
            branch: None,
        });
    }
    let history = History::since_release(repository, hash)?;
    let branch = branch::of(repository, ask, environment)?;
    let base = number::base(&history).ok_or_else(|| too_long(&history))?;
    let mark = ask
        .dirty
        .then(|| history::dirty_mark(repository))
        .transpose()?;
    let build = number::Build {
        base: &base,
        pre_release: history.pre_release.as_ref().map(|tag| &tag.version),
        branch: &branch.name,
        commits: history.commits.len() as u64,
        hash,
        dirty: mark.as_deref(),
    };
    let version = build.version().ok_or_else(|| too_long(&history))?;
    let reasons = explain::reasons(&history, &base, &branch, ask);
    Ok(NextVersion {
        version,
        tag: None,
        last_tag: history.release.map(|tag| tag.name),
        commits: history.commits.len() as u64,
        branch: Some(branch),
        reasons,
    })
}

fn too_long(history: &History) -> VersionError {
    let last = history.pre_release.as_ref().or(history.release.as_ref());
    VersionError::TooLong {
        after: last.map_or("0.0.0", |tag| tag.name.as_str()).to_owned(),
    }
}
