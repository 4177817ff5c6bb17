//! A person's own repository of dotfiles, cloned into a new home by themselves.

use longshore_shared::setup::SetupFailure;

use super::talk::Talk;
use crate::command;

/// How long a clone and its script may take.
const PATIENCE: &str = "300";
const SCRIPT: &str = "cd && git clone --quiet -- \"$0\" .dotfiles && \
                      if [ -x .dotfiles/install.sh ]; then cd .dotfiles && ./install.sh; fi";

/// What a person's own script does wrong is theirs to mend: it is told, and the setup goes on.
pub(super) fn install(name: &str, repository: &str, talk: &mut Talk) -> Result<(), SetupFailure> {
    let words = [
        "--signal=KILL",
        PATIENCE,
        "runuser",
        "--login",
        name,
        "--command",
    ];
    let script = format!("sh -c '{SCRIPT}' {}", quoted(repository));
    let mut all: Vec<String> = words.iter().map(ToString::to_string).collect();
    all.push(script);
    let done = command::follow("timeout", &all, |line| talk.said(line));
    if !matches!(done, Ok(true)) {
        talk.said(&format!(
            "the dotfiles of {name} were not installed; {name} can do it"
        ));
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
