//! Which branch a build is of. CI checks out commits, not branches, so git alone often cannot tell.

use std::collections::{BTreeMap, BTreeSet};

use super::Ask;
use crate::build::{GitError, Repository};

/// A branch, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub name: String,
    /// As the end of a sentence: "the branch that is checked out".
    pub from: String,
}

/// Where CI systems say which branch they build; of one system, a pull request's branch first.
const VARIABLES: [&str; 19] = [
    "GITHUB_HEAD_REF", // also Gitea, Forgejo
    "GITHUB_REF_NAME",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", // GitLab
    "CI_COMMIT_SOURCE_BRANCH",             // Woodpecker
    "CI_COMMIT_BRANCH",
    "CI_COMMIT_REF_NAME",
    "BUILDKITE_BRANCH",
    "BITBUCKET_BRANCH",
    "CIRCLE_BRANCH",
    "DRONE_SOURCE_BRANCH",
    "DRONE_BRANCH",
    "TRAVIS_PULL_REQUEST_BRANCH",
    "TRAVIS_BRANCH",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH", // Azure
    "BUILD_SOURCEBRANCH",
    "SEMAPHORE_GIT_BRANCH",
    "CHANGE_BRANCH", // Jenkins
    "BRANCH_NAME",
    "GIT_BRANCH",
];

/// Where they say that they build a tag; then the names above are those of a tag.
const TAGS: [(&str, &str); 2] = [("GITHUB_REF_TYPE", "tag"), ("CI_COMMIT_TAG", "")];

/// The name for a commit of which nobody knows a branch.
const DETACHED: &str = "detached";

/// What the variables of CI systems say.
#[derive(Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables that this program was started with.
    pub fn of_this_process() -> Self {
        let names = VARIABLES.into_iter().chain(TAGS.map(|(name, _)| name));
        names
            .filter_map(|name| Some((name, std::env::var(name).ok()?)))
            .collect()
    }

    fn branch(&self) -> Option<Branch> {
        let tag = TAGS.iter().any(|(name, value)| {
            let found = self.0.get(*name);
            found.is_some_and(|found| !found.is_empty() && (value.is_empty() || found == value))
        });
        if tag {
            return None;
        }
        VARIABLES.iter().find_map(|variable| {
            let value = self.0.get(*variable)?;
            let name = value.strip_prefix("refs/heads/").unwrap_or(value);
            // Jenkins names the remote too.
            let name = match *variable {
                "GIT_BRANCH" => name.strip_prefix("origin/").unwrap_or(name),
                _ => name,
            };
            // Azure also builds refs/tags/… and refs/pull/….
            let plain = !name.is_empty() && name != "HEAD" && !name.starts_with("refs/");
            plain.then(|| Branch {
                name: name.to_owned(),
                from: format!("as {variable} says"),
            })
        })
    }
}

impl<'a> FromIterator<(&'a str, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (&'a str, String)>>(pairs: T) -> Self {
        let pairs = pairs.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }
}

/// The branch that was asked for, is checked out, is built by CI, or alone holds the commit.
pub(super) fn of(
    repository: &Repository,
    ask: &Ask<'_>,
    environment: &Environment,
) -> Result<Branch, GitError> {
    let named = ask.git_ref.filter(|name| *name != "HEAD");
    if let Some(name) = named
        && let Some(name) = branch_called(repository, name)?
    {
        return Ok(Branch {
            name,
            from: "the branch that was named".to_owned(),
        });
    }
    let head = repository.resolve("HEAD").ok();
    // What is checked out and what CI says are about this commit, and about no other.
    if head.is_some_and(|head| head.hash == ask.commit.hash) {
        if let Some(name) = repository.branch()? {
            return Ok(Branch {
                name,
                from: "the branch that is checked out".to_owned(),
            });
        }
        if let Some(branch) = environment.branch() {
            return Ok(branch);
        }
    }
    Ok(match only_branch_with(repository, &ask.commit.hash)? {
        Some(name) => Branch {
            name,
            from: "the only branch that holds the commit".to_owned(),
        },
        None => Branch {
            name: DETACHED.to_owned(),
            from: "no branch is checked out or named, and none alone holds the commit".to_owned(),
        },
    })
}

/// `name` without its remote, if it is a branch here or at a remote.
fn branch_called(repository: &Repository, name: &str) -> Result<Option<String>, GitError> {
    let short = name.strip_prefix("refs/").unwrap_or(name);
    let short = short.strip_prefix("remotes/").unwrap_or(short);
    let short = short.strip_prefix("heads/").unwrap_or(short);
    for (folder, parts) in [("refs/heads", 2), ("refs/remotes", 3)] {
        let format = format!("--format=%(refname)%00%(refname:lstrip={parts})");
        let text = repository.run(["for-each-ref", &format, folder])?;
        for (whole, branch) in text.lines().filter_map(|line| line.split_once('\0')) {
            let spelled = whole.strip_prefix("refs/remotes/").unwrap_or(whole);
            if branch == short || spelled == short {
                return Ok(Some(branch.to_owned()));
            }
        }
    }
    Ok(None)
}

fn only_branch_with(repository: &Repository, hash: &str) -> Result<Option<String>, GitError> {
    let contains = format!("--contains={hash}");
    let mut names = BTreeSet::new();
    for (folder, parts) in [("refs/remotes", 3), ("refs/heads", 2)] {
        let format = format!("--format=%(refname:lstrip={parts})");
        let text = repository.run(["for-each-ref", &contains, &format, folder])?;
        let found = text
            .lines()
            .filter(|name| !name.is_empty() && *name != "HEAD");
        names.extend(found.map(str::to_owned));
    }
    let mut names = names.into_iter();
    Ok(names.next().filter(|_| names.next().is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(&'static str, &str)]) -> Option<String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let environment: Environment = pairs.collect();
        environment.branch().map(|branch| branch.name)
    }

    #[test]
    fn ci_systems_name_their_branch() {
        for (pairs, name) in [
            (
                vec![
                    ("GITHUB_HEAD_REF", "feature/x"),
                    ("GITHUB_REF_NAME", "7/merge"),
                ],
                "feature/x",
            ),
            (
                vec![
                    ("GITHUB_HEAD_REF", ""),
                    ("GITHUB_REF_NAME", "main"),
                    ("GITHUB_REF_TYPE", "branch"),
                ],
                "main",
            ),
            (vec![("CI_COMMIT_REF_NAME", "develop")], "develop"),
            (vec![("BUILDKITE_BRANCH", "b")], "b"),
            (vec![("BUILD_SOURCEBRANCH", "refs/heads/a/b")], "a/b"),
            (vec![("GIT_BRANCH", "origin/work")], "work"),
        ] {
            assert_eq!(said(&pairs).as_deref(), Some(name), "{pairs:?}");
        }
    }

    #[test]
    fn a_tag_is_no_branch() {
        assert_eq!(
            said(&[("GITHUB_REF_NAME", "nightly"), ("GITHUB_REF_TYPE", "tag")]),
            None
        );
        assert_eq!(
            said(&[
                ("CI_COMMIT_REF_NAME", "nightly"),
                ("CI_COMMIT_TAG", "nightly")
            ]),
            None
        );
        assert_eq!(said(&[("BUILD_SOURCEBRANCH", "refs/tags/nightly")]), None);
        assert_eq!(said(&[]), None);
    }
}
