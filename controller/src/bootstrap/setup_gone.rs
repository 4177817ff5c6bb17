//! Why `longshore-agent setup` ended before it had said so, as far as the host told.

use super::outcome::{Outcome, Stopped};
use crate::rollout::HostFailure;
use crate::ssh::CommandEnd;
use crate::terminal_text::last_lines;

const SHOWN_LINES: usize = 10;
const AGAIN: &str =
    "bootstrap again: it goes on where it stopped, and the host stays usable meanwhile";

/// What happened, with the last lines that the host printed.
pub(super) fn why(end: &CommandEnd, printed: &[String], user: &str) -> Stopped {
    let what = match end.status {
        Some(status) => format!("setup ended with status {status} before it was done"),
        None if end.by_signal => "a signal ended setup before it was done".to_owned(),
        None => "the connection was lost while the host was set up".to_owned(),
    };
    let all = format!("{}\n{}", printed.join("\n"), end.complaint.trim());
    Stopped {
        outcome: Outcome::Failed,
        failure: Box::new(HostFailure {
            what,
            hints: vec![hint(end.status, &all, user)],
            log: last_lines(all.trim(), SHOWN_LINES),
            ..HostFailure::default()
        }),
    }
}

fn hint(status: Option<u32>, said: &str, user: &str) -> String {
    let has = |words: &str| said.contains(words);
    let no_program = ["gzip", "mktemp", "sha256sum", "head"]
        .into_iter()
        .find(|program| {
            has(&format!("{program}: not found")) || has(&format!("{program}: command not found"))
        });
    if let Some(program) = no_program {
        let package = if program == "gzip" {
            "gzip"
        } else {
            "coreutils"
        };
        return format!(
            "the host has no {program}, which bootstrap needs: apt-get install {package}"
        );
    }
    if has("sudo: not found") || has("sudo: command not found") {
        return "the host has no sudo: log in with --login root".to_owned();
    }
    if has("No space left on device") {
        return "the disk of the host is full: make room there (df -h), and bootstrap again"
            .to_owned();
    }
    let sudo_says_no = [
        "password is required",
        "incorrect password",
        "not in the sudoers",
        "not allowed to execute",
        "must have a tty",
    ];
    if sudo_says_no.iter().any(|words| has(words)) {
        return format!(
            "{user} may not become root that way: log in with --login as root, or as somebody in group sudo"
        );
    }
    // By the shell, or by sudo, which then ends with 1.
    if status == Some(126) || has("ermission denied") {
        return format!(
            "no program may be run from the home folder of {user}, it seems (findmnt -T ~ says noexec): log in with --login as somebody with another home"
        );
    }
    AGAIN.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: Option<u32>, complaint: &str) -> Stopped {
        let end = CommandEnd {
            status,
            by_signal: false,
            complaint: complaint.to_owned(),
        };
        why(&end, &["Welcome!".to_owned()], "ops1")
    }

    #[test]
    fn what_the_host_said_is_shown_and_what_to_do_fits_it() {
        for (status, complaint, next) in [
            (
                126,
                "sh: 1: /home/ops1/.longshore.a/longshore-agent: Permission denied",
                "noexec",
            ),
            (
                1,
                "sudo: unable to execute /home/ops1/x: Permission denied",
                "noexec",
            ),
            (127, "sh: 1: gzip: not found", "apt-get install gzip"),
            (127, "sh: 1: sudo: not found", "--login root"),
            (1, "ops1 is not in the sudoers file.", "group sudo"),
            (
                1,
                "sh: 1: cannot create x: No space left on device",
                "df -h",
            ),
            (101, "something else", "bootstrap again"),
        ] {
            let failure = told(Some(status), complaint).failure;
            assert!(failure.what.contains(&status.to_string()), "{failure:?}");
            assert_eq!(failure.log, ["Welcome!", complaint]);
            assert!(failure.hints[0].contains(next), "{complaint}: {failure:?}");
        }
        assert!(told(None, "").failure.what.contains("connection was lost"));
    }
}
