//! The release that a deployment is about: read, and built and signed first where there is none.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use longshore_shared::name::AppName;
use semver::Version;
use thiserror::Error;

use super::git::{Commit, GitError, Repository};
use super::{BuildError, BuildEvent, BuildRequest, build_commit, dist};
use crate::release::{OpenError, ReleaseFiles, SignedRelease, Wanted, find};
use crate::ssh::AskPassphrase;
use crate::versions;

/// What the person named.
#[derive(Debug, Clone)]
pub enum WhichRelease {
    /// One of the three files of a release.
    File(PathBuf),
    /// A branch, tag or commit as it is here.
    Ref(String),
    /// In `dist/`.
    Version(Version),
    /// The newest commit of this branch at its remote; without a name, of the current branch.
    Branch(Option<String>),
}

/// What is to be deployed.
#[derive(Debug)]
pub struct ForDeploy<'a> {
    pub which: WhichRelease,
    pub app: &'a AppName,
    /// Anywhere in the app's repository; only a named file does without one.
    pub folder: &'a Path,
    pub key: Option<&'a Path>,
    pub person: &'a dyn AskPassphrase,
}

/// A release that can be shipped.
#[derive(Debug)]
pub struct Resolved {
    pub release: SignedRelease,
    /// Where the repository at hand knows it.
    pub commit: Option<Commit>,
    /// Whether it was built just now.
    pub built: bool,
}

/// Why there is nothing to deploy.
#[derive(Debug, Error)]
pub enum ResolveError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("no branch is checked out, and the inventory names none")]
    NoBranch,
    #[error("cannot fetch `{branch}` from `{remote}`")]
    Fetch {
        branch: String,
        remote: String,
        #[source]
        source: GitError,
    },
    #[error("{app} {version} is not in {}", dist.display())]
    NoVersion {
        app: AppName,
        version: Version,
        dist: PathBuf,
    },
    #[error("the release is of app {found}, and {wanted} is to be deployed")]
    OtherApp { found: AppName, wanted: AppName },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl ForDeploy<'_> {
    /// Finds or makes the release, and checks its signature. Blocks; a build can take minutes.
    pub fn resolve(self, on_event: &mut dyn FnMut(BuildEvent)) -> Result<Resolved, ResolveError> {
        let resolved = match &self.which {
            WhichRelease::File(path) => self.read(path, None, false)?,
            WhichRelease::Version(version) => {
                let repository = Repository::find(self.folder)?;
                let dist = dist(&repository);
                let files = find(&dist, self.app, Wanted::Version(version)).ok_or_else(|| {
                    ResolveError::NoVersion {
                        app: self.app.clone(),
                        version: version.clone(),
                        dist: dist.clone(),
                    }
                })?;
                self.read(&files.tarball, None, false)?
            }
            WhichRelease::Ref(name) => {
                let repository = Repository::find(self.folder)?;
                let commit = repository.resolve(name)?;
                self.of_commit(&repository, commit, name, on_event)?
            }
            WhichRelease::Branch(name) => {
                let repository = Repository::find(self.folder)?;
                let branch = match name {
                    Some(name) => name.clone(),
                    None => repository.branch()?.ok_or(ResolveError::NoBranch)?,
                };
                let commit = newest(&repository, &branch, on_event)?;
                self.of_commit(&repository, commit, &branch, on_event)?
            }
        };
        let found = &resolved.release.manifest().app;
        if found != self.app {
            return Err(ResolveError::OtherApp {
                found: found.clone(),
                wanted: self.app.clone(),
            });
        }
        Ok(resolved)
    }

    fn of_commit(
        &self,
        repository: &Repository,
        commit: Commit,
        git_ref: &str,
        on_event: &mut dyn FnMut(BuildEvent),
    ) -> Result<Resolved, ResolveError> {
        let there = self.built_already(repository, &commit)?;
        if let Some(files) = there {
            return self.read(&files.tarball, Some(commit), false);
        }
        let request = BuildRequest {
            folder: self.folder,
            git_ref: Some(git_ref),
            version: None,
            key: self.key,
            allow_dirty: false,
            no_cache: false,
            person: self.person,
        };
        let built = build_commit(repository, commit, true, &request, on_event)?;
        self.read(&built.files.tarball, Some(built.commit), true)
    }

    /// A tag makes a commit a release of its own, whatever it was called in a build before.
    fn built_already(
        &self,
        repository: &Repository,
        commit: &Commit,
    ) -> Result<Option<ReleaseFiles>, GitError> {
        let dist = dist(repository);
        Ok(match versions::of_tag(repository, &commit.hash)? {
            Some(tag) => find(&dist, self.app, Wanted::Both(&tag.version, &commit.hash)),
            None => find(&dist, self.app, Wanted::Commit(&commit.hash)),
        })
    }

    fn read(
        &self,
        path: &Path,
        commit: Option<Commit>,
        built: bool,
    ) -> Result<Resolved, ResolveError> {
        let release = SignedRelease::read(path)?;
        // A release file may well come from a repository that is not here.
        let commit = commit.or_else(|| {
            let repository = Repository::find(self.folder).ok()?;
            repository.commit(&release.manifest().commit).ok()
        });
        Ok(Resolved {
            release,
            commit,
            built,
        })
    }
}

/// The branch's newest commit: the remote's word where there is a remote.
fn newest(
    repository: &Repository,
    branch: &str,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<Commit, ResolveError> {
    let Some(remote) = remote_of(repository, branch)? else {
        return Ok(repository
            .resolve(&format!("refs/heads/{branch}"))
            .map_err(|error| match error {
                GitError::UnknownRef { meant, .. } => GitError::UnknownRef {
                    name: branch.to_owned(),
                    meant,
                },
                other => other,
            })?);
    };
    on_event(BuildEvent::Fetching {
        remote: remote.clone(),
        branch: branch.to_owned(),
    });
    let tracking = format!("refs/remotes/{remote}/{branch}");
    let refspec = format!("+refs/heads/{branch}:{tracking}");
    repository
        .run(["fetch", "--quiet", "--", &remote, &refspec])
        .map_err(|source| ResolveError::Fetch {
            branch: branch.to_owned(),
            remote,
            source,
        })?;
    Ok(repository.resolve(&tracking)?)
}

/// The remote that a branch comes from, or would be pushed to.
pub(crate) fn remote_of(repository: &Repository, branch: &str) -> Result<Option<String>, GitError> {
    if let Some(remote) = repository.setting(&format!("branch.{branch}.remote"))? {
        // "." means that the branch follows another one of this repository.
        return Ok(Some(remote).filter(|remote| remote != "."));
    }
    let remotes = repository.run(["remote"])?;
    let remotes: Vec<&str> = remotes.lines().collect();
    Ok(match remotes.as_slice() {
        [only] => Some((*only).to_owned()),
        several if several.contains(&"origin") => Some("origin".to_owned()),
        _ => None,
    })
}

impl Commit {
    /// How long ago the commit was made, in words.
    pub fn age(&self, now: Timestamp) -> String {
        let seconds = now.as_second().saturating_sub(self.time.as_second());
        let (number, unit) = match seconds {
            ..60 => return "just now".to_owned(),
            60..3600 => (seconds / 60, "minute"),
            3600..86_400 => (seconds / 3600, "hour"),
            _ => (seconds / 86_400, "day"),
        };
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {unit}{plural} ago")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_in_words() {
        let commit = Commit {
            hash: String::new(),
            author: String::new(),
            subject: String::new(),
            time: Timestamp::from_second(1_000_000).unwrap(),
        };
        let after = |seconds: i64| commit.age(Timestamp::from_second(1_000_000 + seconds).unwrap());
        assert_eq!(after(-5), "just now");
        assert_eq!(after(60), "1 minute ago");
        assert_eq!(after(7300), "2 hours ago");
        assert_eq!(after(90_000), "1 day ago");
    }
}
