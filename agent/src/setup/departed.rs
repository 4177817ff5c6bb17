//! Whoever is no longer in the inventory: locked, without sessions, groups and keys; their files
//! stay.
//!
//! The lock comes first, so that nothing of theirs begins anew. Each part is looked at for itself:
//! a run that was cut short leaves the others to be planned again.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use longshore_shared::setup::SetupFailure;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::accounts::{Account, FIRST_UID};
use super::facts::Facts;
use super::home_keys;
use super::homes::Owner;
use super::plan::{AGAIN, Planned, because, failed, run};
use crate::layout::SETUP_PEOPLE;

/// How often what still runs is ended, and how long it may take to be gone.
const ROUNDS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn plan(
    names: &BTreeSet<&str>,
    facts: &Facts,
    planned: &mut Planned,
) -> Result<(), SetupFailure> {
    let mut running = None;
    for name in names {
        let Some(account) = facts.accounts.get(name) else {
            continue;
        };
        if account.uid < FIRST_UID {
            planned.lack(format!(
                "{name} is not in the inventory any more, and an account of the system here (user {}): it is left alone; lock it yourself, or take {name} out of {SETUP_PEOPLE}",
                account.uid
            ));
            continue;
        }
        if running.is_none() {
            let all = processes().map_err(failed)?;
            let uids: BTreeSet<u32> = all.into_iter().flat_map(|one| one.uids).collect();
            running = Some(uids);
        }
        let runs = running
            .as_ref()
            .is_some_and(|uids| uids.contains(&account.uid));
        one(name, account, runs, facts, planned);
    }
    Ok(())
}

fn one(name: &str, account: &Account, runs: bool, facts: &Facts, planned: &mut Planned) {
    let owner = Owner::of(account);
    let closed = account.locked && account.groups.is_empty();
    let keys = home_keys::any(&owner);
    let others = sharing(name, account.uid, facts);
    if closed && !keys && !runs {
        return;
    }
    if facts.logged_in_as.as_deref() == Some(name) {
        planned.problem(
            format!("{name} is not in the inventory any more, and it is {name} who is logged in"),
            "bootstrap as somebody else who stays",
        );
        return;
    }
    if !closed {
        let own = name.to_owned();
        planned.change(
            format!("- user {name}: locked, in no group; their files stay"),
            move |_| {
                run(
                    "usermod",
                    &["--lock", "--expiredate", "1", "--groups", "", &own],
                )
            },
        );
    }
    if runs && others.is_empty() {
        let (own, uid) = (name.to_owned(), account.uid);
        planned.change_apart(format!("- whatever runs as {name}"), move |_| {
            end(&own, uid)
        });
    } else if runs {
        planned.lack(format!(
            "{name} is not in the inventory any more, and has the number {} together with {}: what runs as that user is left alone; give {name} another number with `usermod --uid`, or remove {name}",
            account.uid,
            others.join(", ")
        ));
    }
    if keys {
        planned.change_apart(format!("- keys of {name}"), move |_| {
            home_keys::remove(&owner)
        });
    }
}

/// All others with the same number: they cannot be told apart by it.
fn sharing<'a>(name: &str, uid: u32, facts: &'a Facts) -> Vec<&'a str> {
    let all = facts.accounts.all();
    all.filter(|(other, account)| *other != name && account.uid == uid)
        .map(|(other, _)| other)
        .collect()
}

/// A session that is open would outlive the lock.
fn end(name: &str, uid: u32) -> Result<(), SetupFailure> {
    for _ in 0..ROUNDS {
        let left = processes().map_err(failed)?;
        let theirs: Vec<Process> = left
            .into_iter()
            .filter(|process| process.uids.contains(&uid))
            .collect();
        if theirs.is_empty() {
            return Ok(());
        }
        for process in theirs {
            match rustix::process::pidfd_send_signal(&process.handle, Signal::KILL) {
                // One that has just ended by itself is fine.
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(because(&io::Error::from(error), AGAIN)),
            }
        }
        std::thread::sleep(PAUSE);
    }
    Err(SetupFailure {
        what: format!("what runs as {name} was ended, and there is still some"),
        next: format!(
            "see what it is (`ps -fu {name}`) and stop what starts it, such as a unit with User={name}; then bootstrap again"
        ),
    })
}

/// A process, and whose it is.
struct Process {
    handle: OwnedFd,
    uids: BTreeSet<u32>,
}

fn processes() -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    let ours = fs_err::read_link("/proc/self/ns/pid")?;
    for entry in fs_err::read_dir("/proc")?.flatten() {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else {
            continue;
        };
        // Held before it is looked at: a moment later the number may be another's.
        let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
            continue;
        };
        let read = |file: &str| {
            let bytes = fs_err::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let elsewhere = fs_err::read_link(entry.path().join("ns/pid")).is_ok_and(|ns| ns != ours);
        let uids = whose(&read("status"), &read("cgroup"), elsewhere);
        found.push(Process { handle, uids });
    }
    Ok(found)
}

/// By its numbers, or by the session that it was begun in: a shell that they opened as root is
/// theirs too. In a container the numbers are others'. Nobody's once it has ended.
fn whose(status: &str, cgroup: &str, contained: bool) -> BTreeSet<u32> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let ended = field("State:").is_none_or(|state| state.trim_start().starts_with(['Z', 'X']));
    if ended {
        return BTreeSet::new();
    }
    let numbers = field("Uid:").unwrap_or_default().split_whitespace();
    let numbers = numbers.filter(|_| !contained);
    let mut uids: BTreeSet<u32> = numbers.filter_map(|uid| uid.parse().ok()).collect();
    let slices = cgroup.split('/').filter_map(|part| {
        let uid = part.strip_prefix("user-")?.strip_suffix(".slice")?;
        uid.parse::<u32>().ok()
    });
    uids.extend(slices);
    uids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_theirs_by_its_numbers_and_by_its_session() {
        let of = |status: &str, cgroup: &str| {
            let uids = whose(status, cgroup, false);
            uids.into_iter().collect::<Vec<_>>()
        };
        let shell = "Name:\tbash\nState:\tS (sleeping)\nUid:\t1001\t1001\t1001\t1001\n";
        assert_eq!(of(shell, "0::/system.slice/x.service\n"), [1001]);
        let roots = "Name:\tbash\nState:\tR (running)\nUid:\t0\t0\t0\t0\n";
        let session = "0::/user.slice/user-1001.slice/session-3.scope\n";
        assert_eq!(of(roots, session), [0, 1001]);
        assert_eq!(of(roots, "0::/init.scope\n"), [0]);
        assert!(of("State:\tZ (zombie)\nUid:\t1001\t1001\t1001\t1001\n", "").is_empty());
        assert!(of("", session).is_empty());
        // A container's own user 1001 is nobody here, unless they began it.
        assert!(whose(shell, "0::/system.slice/docker-1.scope\n", true).is_empty());
        assert!(whose(shell, session, true).contains(&1001));
    }

    #[test]
    fn what_runs_is_found_and_ended_until_nothing_is_left() {
        use std::os::unix::process::CommandExt as _;
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let uid = 54_323;
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .uid(uid)
            .spawn()
            .unwrap();
        let theirs = || {
            processes()
                .unwrap()
                .iter()
                .any(|one| one.uids.contains(&uid))
        };
        assert!(theirs());
        // It is not reaped before all is over: what has ended counts no more.
        end("sleeper", uid).unwrap();
        assert!(!theirs());
        assert!(!child.wait().unwrap().success());
    }
}
