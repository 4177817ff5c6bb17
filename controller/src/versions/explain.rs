//! Why a version is what it is, and what to do where there is none, in words for people.

use semver::Version;

use super::branch::Branch;
use super::conventional::Effect;
use super::history::{CommitMessage, History};
use super::{Ask, VersionError};
use crate::error::ErrorKind;
use crate::terminal_text::one_line;

const SHOWN_SUBJECT: usize = 60;

/// A sentence for the release that comes next, and one for this build's place before it.
pub(super) fn reasons(
    history: &History,
    base: &Version,
    branch: &Branch,
    ask: &Ask<'_>,
) -> Vec<String> {
    let mut reasons = vec![release(history, base)];
    if let Some(tag) = &history.pre_release {
        reasons.push(format!(
            "The tag {} is the last pre-release before it.",
            tag.name
        ));
    }
    reasons.push(format!(
        "This is a build of {}: {}.",
        one_line(&branch.name),
        branch.from
    ));
    if ask.dirty {
        reasons.push("The working tree differs from the commit.".to_owned());
    }
    reasons
}

pub(super) fn release(history: &History, base: &Version) -> String {
    let count = commits(history.commits.len());
    let Some(tag) = &history.release else {
        return match &history.pre_release {
            Some(tag) => format!("{} announces {base}; {count} so far.", tag.name),
            None => format!(
                "No tag such as v1.4.0 comes before this commit, so {base} is the first release; {count} so far."
            ),
        };
    };
    let effect = history.effect();
    let decides = history
        .commits
        .iter()
        .rev()
        .find(|commit| commit.change.effect == effect);
    let Some(commit) = decides else {
        return format!(
            "No commit since {}, so at least {base} would come next.",
            tag.name
        );
    };
    let why = match effect {
        Effect::Major if tag.version.major == 0 => {
            "breaks something, which before 1.0.0 is a minor version"
        }
        Effect::Major => "breaks something",
        Effect::Minor => "is a feature",
        Effect::Patch => {
            return format!(
                "{count} since {}, none of them a feature or breaking: {base} comes next.",
                tag.name
            );
        }
    };
    format!(
        "{count} since {}, and {} {why}: {base} comes next.",
        tag.name,
        shown(commit)
    )
}

pub(super) fn commits(count: usize) -> String {
    match count {
        1 => "1 commit".to_owned(),
        count => format!("{count} commits"),
    }
}

/// `1a2b3c4 (log in by mail)`
fn shown(commit: &CommitMessage) -> String {
    let hash: String = commit.hash.chars().take(7).collect();
    let subject = one_line(&commit.change.summary);
    let mut short: String = subject.chars().take(SHOWN_SUBJECT).collect();
    if short.len() < subject.len() {
        short.push('…');
    }
    format!("{hash} ({short})")
}

impl VersionError {
    /// The kind of failure, and what to do.
    pub(crate) fn advice(&self) -> (ErrorKind, Vec<String>) {
        let name_it = "Or name the version: longshore build --version X.Y.Z";
        let hints: Vec<&str> = match self {
            Self::Git(_) => return (ErrorKind::Failed, Vec::new()),
            Self::Shallow { .. } => vec![
                "Fetch the rest: git fetch --unshallow --tags",
                "In GitHub Actions: `fetch-depth: 0` under `with:` of actions/checkout. In GitLab CI: `GIT_DEPTH: 0` under `variables:`.",
                name_it,
            ],
            Self::WithoutTags { remote } => {
                return (
                    ErrorKind::Usage,
                    vec![
                        "Fetch them: git fetch --tags".to_owned(),
                        format!(
                            "If there is no tag such as v1.4.0 yet: git config --unset remote.{remote}.tagOpt"
                        ),
                        name_it.to_owned(),
                    ],
                );
            }
            Self::TooLong { .. } => vec!["Name the version: longshore build --version X.Y.Z"],
        };
        (
            ErrorKind::Usage,
            hints.into_iter().map(str::to_owned).collect(),
        )
    }
}
