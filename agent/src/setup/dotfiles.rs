//! A person's own repository of dotfiles, cloned into a new home by themselves.
//!
//! Whoever still waits for them is in a list from before their account is made, so that what was
//! cut short is tried again.

use longshore_shared::setup::SetupFailure;

use super::lists;
use super::talk::Talk;
use crate::command;
use crate::layout::SETUP_DOTFILES;

/// How long a clone or its script may take, in seconds, and the login around it.
const PATIENCE: &str = "300";
const LOGIN_PATIENCE: &str = "310";
/// Whole or not at all, for a clone that was cut short is in the way of the next.
const CLONE: &str = "cd && { [ -e .dotfiles ] || { rm -rf .dotfiles.longshore && \
                     git clone --quiet -- \"$0\" .dotfiles.longshore && \
                     mv .dotfiles.longshore .dotfiles; }; }";
const SCRIPT: &str = "cd && if [ -x .dotfiles/install.sh ]; then cd .dotfiles && ./install.sh; fi";

/// What a person's own script does wrong is theirs to mend: it is told, and not tried again.
pub(super) fn install(name: &str, repository: &str, talk: &mut Talk) -> Result<(), SetupFailure> {
    let cloned = as_them(name, &[CLONE, repository], talk);
    if !matches!(cloned, Ok(true)) {
        return Err(SetupFailure {
            what: format!("{repository} could not be cloned by {name}"),
            next: format!(
                "see that {name} can read it from this host without a password, or take dotfiles out of [people.{name}]; the next bootstrap tries again"
            ),
        });
    }
    if !matches!(as_them(name, &[SCRIPT], talk), Ok(true)) {
        talk.said(&format!(
            "the install.sh of {name}'s dotfiles failed; {name} can run it again"
        ));
    }
    lists::forget(SETUP_DOTFILES, name)
}

fn as_them(name: &str, script: &[&str], talk: &mut Talk) -> Result<bool, command::CommandError> {
    let inner = ["timeout", "--signal=KILL", PATIENCE, "sh", "-c"];
    let quoted: Vec<String> = script.iter().map(|word| quoted(word)).collect();
    let outer = [
        "--signal=KILL",
        LOGIN_PATIENCE,
        "runuser",
        "--login",
        name,
        "--command",
    ];
    let mut words: Vec<String> = outer.iter().map(ToString::to_string).collect();
    words.push(format!("{} {}", inner.join(" "), quoted.join(" ")));
    command::follow("timeout", &words, |line| talk.said(line))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn clone(home: &Path, repository: &str) -> bool {
        let done = Command::new("sh")
            .args(["-c", CLONE, repository])
            .env("HOME", home)
            .output()
            .unwrap();
        done.status.success()
    }

    #[test]
    fn a_clone_that_was_cut_short_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("it's here");
        let made = Command::new("git")
            .args(["init", "--quiet"])
            .arg(&repository)
            .status();
        assert!(made.unwrap().success());
        let home = folder.path().join("home");
        std::fs::create_dir_all(home.join(".dotfiles.longshore/half")).unwrap();
        assert!(!clone(&home, "/nowhere"));
        assert!(!home.join(".dotfiles").exists());
        assert!(clone(&home, repository.to_str().unwrap()));
        assert!(home.join(".dotfiles/.git").is_dir());
        assert!(!home.join(".dotfiles.longshore").exists());
        // What is there is theirs.
        assert!(clone(&home, "/nowhere"));
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
