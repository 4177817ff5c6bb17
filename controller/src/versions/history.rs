//! What git knows about releases before a commit, and about the commits since.

use std::collections::HashSet;

use fs_err as fs;
use longshore_shared::digest::Sha256Digest;
use semver::Version;

use super::VersionError;
use super::conventional::{Change, Effect};
use crate::build::{GitError, Repository};

/// A tag such as `v1.4.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    pub version: Version,
}

/// One commit, as far as it decides about versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitMessage {
    pub hash: String,
    /// A merge says nothing that the commits which it brings do not say.
    pub merge: bool,
    pub change: Change,
}

/// What lies between the last release and a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    /// The highest release that the commit comes after or is.
    pub(super) release: Option<Tag>,
    /// The highest pre-release beyond that release, such as `v1.5.0-rc.1`.
    pub(super) pre_release: Option<Tag>,
    /// Not in the release, the newest first.
    pub(super) commits: Vec<CommitMessage>,
}

impl History {
    /// Asks for everything that the version of a build of this commit needs.
    pub(super) fn since_release(repository: &Repository, hash: &str) -> Result<Self, VersionError> {
        let tags = tags(repository, &format!("--merged={hash}"))?;
        let (releases, pre_releases): (Vec<Tag>, Vec<Tag>) =
            tags.into_iter().partition(|tag| tag.version.pre.is_empty());
        let release = highest(releases);
        let pre_release = highest(pre_releases).filter(|tag| {
            release
                .as_ref()
                .is_none_or(|release| tag.version > release.version)
        });
        let boundary = shallow_boundary(repository)?;
        let known = release.is_some() || pre_release.is_some();
        if !boundary.is_empty() && !known {
            return Err(VersionError::Shallow {
                unknown: "its last tag",
            });
        }
        if !known && let Some(remote) = remote_without_tags(repository)? {
            return Err(VersionError::WithoutTags { remote });
        }
        let commits = commits(repository, release.as_ref(), hash)?;
        if commits.iter().any(|commit| boundary.contains(&commit.hash)) {
            return Err(VersionError::Shallow {
                unknown: "the number of commits since the last tag",
            });
        }
        Ok(Self {
            release,
            pre_release,
            commits,
        })
    }

    /// What the commits together do to the version; without any, what one of them would do.
    pub(super) fn effect(&self) -> Effect {
        let effects = self.commits.iter().map(|commit| commit.change.effect);
        effects.max().unwrap_or(Effect::Patch)
    }
}

/// The version that a tag gives the commit; of several, the highest.
pub(super) fn tag_on(repository: &Repository, hash: &str) -> Result<Option<Tag>, GitError> {
    Ok(highest(tags(repository, &format!("--points-at={hash}"))?))
}

/// Whether there is such a tag anywhere in this repository.
pub(super) fn tag_exists(repository: &Repository, name: &str) -> Result<bool, GitError> {
    let name = format!("refs/tags/{name}");
    Ok(!repository.run(["for-each-ref", "--", &name])?.is_empty())
}

/// Tags that are versions with a `v`. Which ones, an option of `git for-each-ref` says.
fn tags(repository: &Repository, which: &str) -> Result<Vec<Tag>, GitError> {
    let text = repository.run(["for-each-ref", which, "--format=%(refname)", "refs/tags"])?;
    Ok(text
        .lines()
        .filter_map(|line| read_tag(line.strip_prefix("refs/tags/")?))
        .collect())
}

fn read_tag(name: &str) -> Option<Tag> {
    let version = Version::parse(name.strip_prefix('v')?).ok()?;
    Some(Tag {
        name: name.to_owned(),
        version,
    })
}

fn highest(tags: Vec<Tag>) -> Option<Tag> {
    tags.into_iter()
        .max_by(|one, other| one.version.cmp(&other.version))
}

fn commits(
    repository: &Repository,
    release: Option<&Tag>,
    hash: &str,
) -> Result<Vec<CommitMessage>, VersionError> {
    let range = match release {
        Some(tag) => format!("refs/tags/{}..{hash}", tag.name),
        None => hash.to_owned(),
    };
    let text = repository.run([
        "-c",
        "log.showSignature=false",
        "log",
        "-z",
        "--no-color",
        "--encoding=UTF-8",
        "--format=tformat:%H%x00%P%x00%B",
        &range,
        "--",
    ])?;
    let mut fields = text.split('\0');
    let mut commits = Vec::new();
    while let (Some(hash), Some(parents), Some(message)) =
        (fields.next(), fields.next(), fields.next())
    {
        commits.push(CommitMessage {
            hash: hash.to_owned(),
            merge: parents.contains(' '),
            change: Change::read(message),
        });
    }
    Ok(commits)
}

/// Commits whose parents this clone does not have.
fn shallow_boundary(repository: &Repository) -> Result<HashSet<String>, VersionError> {
    let path = repository.run(["rev-parse", "--git-path", "shallow"])?;
    let path = repository.root().join(path.trim_end_matches('\n'));
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HashSet::new()),
        Err(error) => Err(GitError::Start(error).into()),
    }
}

/// A remote that `git clone --no-tags` made, which would hide every release.
fn remote_without_tags(repository: &Repository) -> Result<Option<String>, GitError> {
    let remotes = repository.run(["remote"])?;
    for remote in remotes.lines() {
        let option = repository.setting(&format!("remote.{remote}.tagOpt"))?;
        if option.as_deref() == Some("--no-tags") {
            return Ok(Some(remote.to_owned()));
        }
    }
    Ok(None)
}

/// What tells one dirty tree of a commit from another.
pub(super) fn dirty_mark(repository: &Repository) -> Result<String, GitError> {
    let words = [
        "diff",
        "--no-ext-diff",
        "--no-color",
        "--binary",
        "HEAD",
        "--",
    ];
    let difference = repository.run(words)?;
    let digest = Sha256Digest::of(difference.as_bytes()).to_string();
    Ok(digest.chars().take(7).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_with_a_v_count_and_the_highest_wins() {
        let names = ["v1.9.0", "v1.10.0", "2.0.0", "v3", "vx", "v1.10.0-rc.1"];
        let tags = names.into_iter().filter_map(read_tag).collect();
        assert_eq!(highest(tags).unwrap().name, "v1.10.0");
        assert_eq!(read_tag("stable"), None);
    }
}
