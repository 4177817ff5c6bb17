//! What `longshore bump` is about to do, decided before anything is changed.

use std::io;
use std::path::PathBuf;

use fs_err as fs;
use semver::Version;
use thiserror::Error;

use super::changelog::{self, Section};
use super::conventional::Effect;
use super::history::{self, History};
use super::{VersionError, explain, number, too_long};
use crate::build::{GitError, Repository, remote_of};

const CHANGELOG: &str = "CHANGELOG.md";
/// Files of git's own that are there while something waits to be finished.
const UNFINISHED: [(&str, &str); 3] = [
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
];

/// What a person asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Nothing means that the commits decide.
    pub effect: Option<Effect>,
    pub push: bool,
    /// Today, as `2026-01-02`.
    pub date: &'a str,
}

/// A release that can be made.
#[derive(Debug)]
pub struct Plan {
    pub(super) repository: Repository,
    pub branch: String,
    /// The commit that the release's own will follow.
    pub(super) head: String,
    pub last_tag: Option<String>,
    pub version: Version,
    pub reason: String,
    pub(super) section: Section,
    pub(super) file: PathBuf,
    pub(super) before: Option<Vec<u8>>,
    pub(super) after: Vec<u8>,
    pub(super) target: Option<Target>,
}

/// Where a push goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) remote: String,
    /// The branch's name there.
    pub(super) branch: String,
}

/// Why no release is made, or how far it came.
#[derive(Debug, Error)]
pub enum BumpError {
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error("no branch is checked out, so a release's commit would belong to none")]
    Detached,
    #[error("a {what} is not finished")]
    Unfinished { what: &'static str },
    #[error("the working tree differs from the commit")]
    Dirty { paths: Vec<String> },
    #[error("{branch} is behind {upstream} by {count}")]
    Behind {
        branch: String,
        upstream: String,
        count: String,
    },
    #[error("nothing to release: no commit since {tag}")]
    Nothing { tag: String },
    #[error("there is a tag {tag} already, and this branch does not come after it")]
    TagExists { tag: String },
    #[error("{} tells of {version} already", file.display())]
    Told { file: PathBuf, version: Version },
    #[error("{} is no file", file.display())]
    NoFile { file: PathBuf },
    #[error("cannot read {}", file.display())]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no remote to push to")]
    NoRemote,
    #[error("cannot ask {remote} what is new; nothing was changed")]
    Fetch {
        remote: String,
        #[source]
        source: GitError,
    },
    #[error("cannot {step}; everything is as it was before")]
    Undone {
        step: &'static str,
        #[source]
        source: StepError,
    },
    #[error("cannot {step}, and could not take back what was done before: {state}")]
    Stuck {
        step: &'static str,
        state: String,
        #[source]
        source: StepError,
    },
    #[error("{tag} is made and not pushed: {remote} did not take it")]
    Push {
        tag: String,
        remote: String,
        /// How to push again, and how to take the release back.
        commands: Box<[String; 2]>,
        #[source]
        source: GitError,
    },
}

/// What stopped a step.
#[derive(Debug, Error)]
pub enum StepError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl From<GitError> for BumpError {
    fn from(error: GitError) -> Self {
        VersionError::from(error).into()
    }
}

impl Plan {
    /// Looks at the repository, and refuses what could not be made or pushed.
    pub fn new(repository: Repository, asked: &Asked<'_>) -> Result<Self, BumpError> {
        let branch = repository.branch()?.ok_or(BumpError::Detached)?;
        let head = repository.resolve("HEAD")?.hash;
        check_tree(&repository)?;
        let target = asked
            .push
            .then(|| target(&repository, &branch))
            .transpose()?;
        if let Some(target) = &target {
            fetch(&repository, target)?;
        }
        check_upstream(&repository, &branch)?;
        let history = History::since_release(&repository, &head)?;
        if let (Some(tag), true) = (&history.release, history.commits.is_empty()) {
            let tag = tag.name.clone();
            return Err(BumpError::Nothing { tag });
        }
        let version = match asked.effect {
            Some(effect) => number::asked_for(&history, effect),
            None => number::base(&history),
        };
        let version = version.ok_or_else(|| too_long(&history))?;
        let tag = format!("v{version}");
        if history::tag_exists(&repository, &tag)? {
            return Err(BumpError::TagExists { tag });
        }
        let (file, before) = read_changelog(&repository)?;
        if let Some(text) = &before
            && changelog::tells_of(text, &version)
        {
            return Err(BumpError::Told { file, version });
        }
        let section = Section::new(&version, asked.date, &history.commits);
        Ok(Self {
            reason: match asked.effect {
                Some(_) => format!("{version} was asked for."),
                None => explain::release(&history, &version),
            },
            after: changelog::with_section(before.as_deref(), &section),
            last_tag: history.release.map(|tag| tag.name),
            repository,
            branch,
            head,
            version,
            section,
            file,
            before,
            target,
        })
    }

    /// The name of the tag.
    pub fn tag(&self) -> String {
        format!("v{}", self.version)
    }

    /// All that will be done, a line each, before it is done.
    pub fn lines(&self) -> Vec<String> {
        let tag = self.tag();
        let mut lines = vec![
            format!("{} on {}. {}", self.version, self.branch, self.reason),
            format!("  {} gets this section:", self.file_name()),
            String::new(),
        ];
        let text = format!("{}\n\n{}", self.section.heading, self.section.body);
        lines.extend(
            text.lines()
                .map(|line| format!("    {line}").trim_end().to_owned()),
        );
        lines.push(String::new());
        if self.section.left_out > 0 {
            lines.push(format!(
                "  Left out, as nothing for those who use the app: {} of build, chore, ci, docs, style or test.",
                explain::commits(self.section.left_out)
            ));
        }
        lines.push(format!(
            "  That is committed as \"Release {}\" and gets the tag {tag}.",
            self.version
        ));
        lines.push(match &self.target {
            Some(Target { remote, branch }) => {
                format!(
                    "  Both are pushed to {remote}, as branch {branch} and tag {tag}, or neither."
                )
            }
            None => "  Nothing is pushed.".to_owned(),
        });
        lines
    }

    /// The changelog's name at the root of the repository.
    pub fn file_name(&self) -> String {
        let name = self.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

fn check_tree(repository: &Repository) -> Result<(), BumpError> {
    for (file, what) in UNFINISHED {
        let path = repository.run(["rev-parse", "--git-path", file])?;
        if repository.root().join(path.trim_end()).exists() {
            return Err(BumpError::Unfinished { what });
        }
    }
    let paths = repository.differences()?;
    if paths.is_empty() {
        Ok(())
    } else {
        Err(BumpError::Dirty { paths })
    }
}

/// Where the branch is pushed to: its upstream, else under its own name to the usual remote.
fn target(repository: &Repository, branch: &str) -> Result<Target, BumpError> {
    let remote = remote_of(repository, branch)?.ok_or(BumpError::NoRemote)?;
    let there = repository.setting(&format!("branch.{branch}.merge"))?;
    let there = there
        .as_deref()
        .and_then(|name| name.strip_prefix("refs/heads/"));
    Ok(Target {
        remote,
        branch: there.unwrap_or(branch).to_owned(),
    })
}

/// Asks for the remote's commits and tags, so that a push that cannot succeed is refused at once.
fn fetch(repository: &Repository, target: &Target) -> Result<(), BumpError> {
    let remote = &target.remote;
    repository
        .run(["fetch", "--quiet", "--tags", "--", remote])
        .map_err(|source| BumpError::Fetch {
            remote: remote.clone(),
            source,
        })?;
    Ok(())
}

fn check_upstream(repository: &Repository, branch: &str) -> Result<(), BumpError> {
    let format = "--format=%(upstream:short)%00%(upstream:track,nobracket)";
    let name = format!("refs/heads/{branch}");
    let text = repository.run(["for-each-ref", format, &name])?;
    let (upstream, state) = text.trim_end().split_once('\0').unwrap_or_default();
    match state
        .split(", ")
        .find_map(|part| part.strip_prefix("behind "))
    {
        None => Ok(()),
        Some(count) => Err(BumpError::Behind {
            branch: branch.to_owned(),
            upstream: upstream.to_owned(),
            count: explain::commits(count.parse().unwrap_or_default()),
        }),
    }
}

/// The changelog at the root, however its name is written.
fn read_changelog(repository: &Repository) -> Result<(PathBuf, Option<Vec<u8>>), BumpError> {
    let root = repository.root();
    let wrong = |source| BumpError::Read {
        file: root.to_owned(),
        source,
    };
    for item in fs::read_dir(root).map_err(wrong)? {
        let item = item.map_err(wrong)?;
        let name = item.file_name();
        if !name.eq_ignore_ascii_case(CHANGELOG) {
            continue;
        }
        let file = root.join(name);
        // What a link leads to may be no part of the commit.
        if !item.file_type().is_ok_and(|kind| kind.is_file()) {
            return Err(BumpError::NoFile { file });
        }
        let text = fs::read(&file).map_err(|source| BumpError::Read {
            file: file.clone(),
            source,
        })?;
        return Ok((file, Some(text)));
    }
    Ok((root.join(CHANGELOG), None))
}
