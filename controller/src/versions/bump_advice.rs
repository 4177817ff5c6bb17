//! What a person is told when no release was made.

use super::plan::BumpError;
use crate::build::{not_committed, with_causes};
use crate::error::{CommandError, ErrorKind};
use crate::terminal_text::one_line;

impl From<BumpError> for CommandError {
    fn from(error: BumpError) -> Self {
        let (kind, hints) = match &error {
            BumpError::Version(_) => {
                return match error {
                    BumpError::Version(error) => error.into(),
                    other => Self::failed(other.to_string()),
                };
            }
            other => advice(other),
        };
        with_causes(Self::new(kind, one_line(&error.to_string())), &error).hints(hints)
    }
}

fn advice(error: &BumpError) -> (ErrorKind, Vec<String>) {
    let refused = |hint: String| (ErrorKind::Refused, vec![hint]);
    match error {
        BumpError::Version(_) => (ErrorKind::Failed, Vec::new()),
        BumpError::Detached => {
            refused("Check out the branch that is released: git switch main".to_owned())
        }
        BumpError::Unfinished { what } => refused(format!(
            "Finish it (git commit), or leave it: git {what} --abort"
        )),
        BumpError::Dirty { paths } => {
            let mut hints = not_committed(paths);
            hints.push("Commit, stash or ignore them; a release is what is committed.".to_owned());
            (ErrorKind::Refused, hints)
        }
        BumpError::Behind { .. } => {
            refused("Take those commits first: git pull --rebase".to_owned())
        }
        BumpError::Nothing { .. } => refused(
            "Commit something first. To deploy what is there: longshore deploy ENV --ref TAG"
                .to_owned(),
        ),
        BumpError::TagExists { tag } => refused(format!(
            "See what it is: git show {tag}. Merge that branch into this one, or name another number: longshore bump minor"
        )),
        BumpError::Told { version, .. } => refused(format!(
            "Take that section out, for bump writes it; or keep it and tag by hand: git tag --annotate v{version}"
        )),
        BumpError::NoFile { .. } => refused("Make it a file of the repository.".to_owned()),
        BumpError::Read { .. } => (ErrorKind::Configuration, Vec::new()),
        BumpError::NoRemote => (
            ErrorKind::Usage,
            vec!["Add one (git remote add origin URL), or leave out --push.".to_owned()],
        ),
        BumpError::Fetch { .. } => (
            ErrorKind::Failed,
            vec![
                "Try again, or leave out --push and push later: git push --follow-tags".to_owned(),
            ],
        ),
        BumpError::Undone { .. } => (
            ErrorKind::Failed,
            vec!["Mend what git says, and try again.".to_owned()],
        ),
        BumpError::Stuck { .. } => (
            ErrorKind::Failed,
            vec!["Look with git status and git log, and put it right by hand.".to_owned()],
        ),
        BumpError::Push { commands, .. } => (
            ErrorKind::Failed,
            vec![
                "Nothing is lost: the commit and the tag are here.".to_owned(),
                format!("To push again: {}", commands[0]),
                format!("To take the release back: {}", commands[1]),
            ],
        ),
    }
}
