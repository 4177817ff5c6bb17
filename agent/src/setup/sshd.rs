//! sshd: nobody comes in with a password; root not at all, once somebody else can become root.

use longshore_shared::setup::{Desired, DesiredSshd, SetupFailure};

use super::facts::Facts;
use super::files::{self, Wanted};
use super::guard::Guard;
use super::plan::{Planned, failed};
use crate::command;

/// sshd takes the first value that it reads, and reads these in order.
const FILE: &str = "/etc/ssh/sshd_config.d/00-longshore.conf";
const RELOAD: [&str; 3] = ["systemctl", "try-reload-or-restart", "ssh.service"];
/// Without waiting: at boot the unit that takes back comes before sshd, and would wait for itself.
const RELOAD_SOON: [&str; 4] = [
    "systemctl",
    "--no-block",
    "try-reload-or-restart",
    "ssh.service",
];

pub(super) fn plan(desired: &Desired, facts: &Facts, planned: &mut Planned) {
    let Some(wanted) = &desired.sshd else {
        files::plan_gone(planned, FILE, None, "rules for sshd");
        return;
    };
    let proven = desired.sudo_login || facts.logged_in_as.is_some();
    let off_now = facts.sshd_says("permitrootlogin") == Some("no");
    let root_off = !wanted.root_login && (proven || off_now);
    if !wanted.root_login && !root_off {
        planned.lack(
            "root may still log in: it is turned off once somebody in sudo has logged in and become root",
        );
    }
    let file = Wanted::text(FILE, text(wanted, root_off), None);
    let effective = |setting: &str, value: &str| facts.sshd_says(setting) == Some(value);
    let fits = file.sign().is_none()
        && effective("passwordauthentication", "no")
        && effective("kbdinteractiveauthentication", "no")
        && root_fits(facts.sshd_says("permitrootlogin"), root_off);
    if !fits {
        let root = if root_off { ", not as root" } else { "" };
        let sign = file.sign().unwrap_or('~');
        planned.change(
            format!("{sign} sshd: with keys only{root} ({FILE})"),
            move |talk| {
                let guard = Guard::over(&[FILE], &[&RELOAD_SOON]);
                guard.change(talk, || apply(&file, root_off))
            },
        );
    }
}

/// Whether what sshd says of itself is what was wanted: another file may have come first.
fn root_fits(said: Option<&str>, root_off: bool) -> bool {
    match said {
        Some("no") => true,
        Some("yes") | None => false,
        Some(_) => !root_off,
    }
}

fn text(wanted: &DesiredSshd, root_off: bool) -> String {
    let root = if root_off { "no" } else { "prohibit-password" };
    let mut text = format!(
        "# Made by longshore bootstrap: changes are overwritten.\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitEmptyPasswords no\n\
         PermitRootLogin {root}\n"
    );
    for line in &wanted.lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Tested before it is loaded, and looked at afterwards: a rule that sshd does not follow is none.
fn apply(file: &Wanted, root_off: bool) -> Result<(), SetupFailure> {
    file.write().map_err(failed)?;
    command::run("sshd", &["-t"]).map_err(|error| SetupFailure {
        what: format!("sshd refuses its configuration: {error}"),
        next: "correct [setup.sshd] in the inventory, or what else is in /etc/ssh; the rules of before were put back"
            .to_owned(),
    })?;
    let said = command::run("sshd", &["-T"]).map_err(failed)?;
    let says = |setting: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(setting)?.strip_prefix(' '))
    };
    let keys_only = says("passwordauthentication") == Some("no");
    if !keys_only || !root_fits(says("permitrootlogin"), root_off) {
        return Err(SetupFailure {
            what: "another file of /etc/ssh comes first, and lets people in otherwise".to_owned(),
            next: "take PasswordAuthentication and PermitRootLogin out of the files in /etc/ssh/sshd_config.d; the rules of before were put back"
                .to_owned(),
        });
    }
    let [program, words @ ..] = RELOAD;
    command::run(program, &words).map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sshd_says_of_root_counts() {
        assert!(root_fits(Some("no"), true) && root_fits(Some("no"), false));
        assert!(root_fits(Some("without-password"), false));
        for said in [Some("yes"), Some("without-password"), None] {
            assert!(!root_fits(said, true), "{said:?}");
        }
        assert!(!root_fits(Some("yes"), false));
    }

    #[test]
    fn root_is_shut_out_only_when_told() {
        let wanted = DesiredSshd {
            root_login: false,
            lines: vec!["AllowUsers ops1".to_owned()],
        };
        assert!(text(&wanted, true).contains("\nPermitRootLogin no\nAllowUsers ops1\n"));
        assert!(text(&wanted, false).contains("PermitRootLogin prohibit-password"));
    }
}
