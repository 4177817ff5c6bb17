//! sshd: nobody comes in with a password; root not at all, once somebody else can become root.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use longshore_shared::setup::{Desired, DesiredSshd, SetupFailure};

use super::facts::Facts;
use super::files::Wanted;
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

const SOCKET: &str = "ssh.socket";
/// Ubuntu makes the socket's addresses of sshd's own settings.
const UNITS: [&str; 2] = ["systemctl", "daemon-reload"];
const LISTEN: [&str; 3] = ["systemctl", "restart", SOCKET];
const LISTEN_SOON: [&str; 4] = ["systemctl", "--no-block", "restart", SOCKET];
/// An sshd that does not begin anew by then is found out by the connection that has to confirm.
const UNTIL_IT_LISTENS: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

pub(super) fn plan(desired: &Desired, facts: &Facts, planned: &mut Planned) {
    let socket = facts.unit(SOCKET).active;
    let Some(wanted) = &desired.sshd else {
        if fs_err::symlink_metadata(FILE).is_ok() {
            planned.change(format!("- rules for sshd ({FILE})"), move |talk| {
                guard(socket)?.change(talk, || {
                    fs_err::remove_file(FILE).map_err(failed)?;
                    reload(socket)
                })
            });
        }
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
    let fits = file.sign().is_none() && follows(|setting| facts.sshd_says(setting), root_off);
    if !fits {
        let root = if root_off { ", not as root" } else { "" };
        let sign = file.sign().unwrap_or('~');
        planned.change(
            format!("{sign} sshd: with keys only{root} ({FILE})"),
            move |talk| guard(socket)?.change(talk, || apply(&file, root_off, socket)),
        );
    }
}

/// Whether what sshd says of itself is what was wanted: another file may have come first.
fn follows<'a>(says: impl Fn(&str) -> Option<&'a str>, root_off: bool) -> bool {
    says("passwordauthentication") == Some("no")
        && says("kbdinteractiveauthentication") == Some("no")
        && root_fits(says("permitrootlogin"), root_off)
}

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
fn apply(file: &Wanted, root_off: bool, socket: bool) -> Result<(), SetupFailure> {
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
    if !follows(says, root_off) {
        return Err(SetupFailure {
            what: "another file of /etc/ssh comes first, and lets people in otherwise".to_owned(),
            next: "take PasswordAuthentication, KbdInteractiveAuthentication and PermitRootLogin out of the files in /etc/ssh/sshd_config.d; the rules of before were put back"
                .to_owned(),
        });
    }
    reload(socket)
}

fn guard(socket: bool) -> Result<Guard, SetupFailure> {
    if socket {
        return Guard::over(&[FILE], &[&RELOAD_SOON, &UNITS, &LISTEN_SOON]);
    }
    Guard::over(&[FILE], &[&RELOAD_SOON])
}

/// Reloads sshd and waits until it has begun anew: systemd only sends the signal, and a connection
/// that the old rules let in would prove nothing.
fn reload(socket: bool) -> Result<(), SetupFailure> {
    let before = listening();
    let [program, words @ ..] = RELOAD;
    command::run(program, &words).map_err(failed)?;
    if socket {
        // Where systemd listens in sshd's place, it is told anew where.
        let [program, words @ ..] = UNITS;
        command::run(program, &words).map_err(failed)?;
        let [program, words @ ..] = LISTEN;
        command::run(program, &words).map_err(failed)?;
        return Ok(());
    }
    let deadline = Instant::now() + UNTIL_IT_LISTENS;
    while !before.is_empty() && Instant::now() < deadline {
        let now = listening();
        if now != before && now.len() >= before.len() {
            break;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

/// The sockets that sshd itself has open, by the kernel's names: those that it listens on are others
/// after it has begun anew.
fn listening() -> BTreeSet<PathBuf> {
    let words = ["show", "--property=MainPID", "--value", "ssh.service"];
    let Ok(pid) = command::run("systemctl", &words) else {
        return BTreeSet::new();
    };
    let open = fs_err::read_dir(format!("/proc/{}/fd", pid.trim()));
    let links = open.into_iter().flatten().flatten();
    let links = links.filter_map(|entry| fs_err::read_link(entry.path()).ok());
    links
        .filter(|link| {
            link.to_str()
                .is_some_and(|name| name.starts_with("socket:"))
        })
        .collect()
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
