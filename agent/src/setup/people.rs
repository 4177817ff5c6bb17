//! People's accounts, and the one that CI deploys with.
//!
//! Which accounts are Longshore's own is written down before they are made. All others are left
//! alone.

use std::collections::BTreeSet;
use std::path::Path;

use longshore_shared::setup::{DEPLOY_ACCOUNT, DEPLOY_GROUP, Desired, DesiredPerson, SetupFailure};

use super::dotfiles;
use super::facts::Facts;
use super::files::{self, Wanted};
use super::home_keys::{self, Owner};
use super::plan::{Planned, failed};
use crate::command;
use crate::layout::SETUP_PEOPLE;
use crate::system_file;

const SUDOERS: &str = "/etc/sudoers.d/longshore";
const SUDO: &str = "sudo";
/// Accounts below it are the system's.
const FIRST_UID: u32 = 1000;

pub(super) fn plan(desired: &Desired, facts: &Facts, planned: &mut Planned) {
    groups(desired, facts, planned);
    let ours = ours();
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    for person in &desired.people {
        wanted.insert(&person.name);
        one(person, &ours, facts, planned);
    }
    if !desired.deploy_keys.is_empty() {
        wanted.insert(DEPLOY_ACCOUNT);
        let keys = desired.deploy_keys.iter();
        let keys = keys.map(|key| format!("restrict,command=\"longshore-agent connect\" {key}"));
        deploy(keys.collect(), &ours, facts, planned);
    }
    sudoers(desired, planned);
    for group in [SUDO, DEPLOY_GROUP] {
        let known = |name: &&str| wanted.contains(name) || ours.contains(*name);
        for name in facts.accounts.members(group).filter(|name| !known(name)) {
            planned.note(format!(
                "{name} is in group {group}, and not in the inventory: Longshore did not make that account, and leaves it alone"
            ));
        }
    }
    for name in ours.iter().filter(|name| !wanted.contains(name.as_str())) {
        departed(name, facts, planned);
    }
}

fn groups(desired: &Desired, facts: &Facts, planned: &mut Planned) {
    let mut wanted: BTreeSet<&str> = BTreeSet::from([DEPLOY_GROUP]);
    for person in &desired.people {
        wanted.extend(person.groups.iter().map(String::as_str));
    }
    for name in wanted {
        if !facts.accounts.has_group(name) {
            let group = name.to_owned();
            planned.change(format!("+ group {name}"), move |_| {
                run("groupadd", &["--system", "--force", &group])
            });
        }
    }
}

fn one(person: &DesiredPerson, ours: &BTreeSet<String>, facts: &Facts, planned: &mut Planned) {
    let name = &person.name;
    let Some(account) = facts.accounts.get(name) else {
        let person = person.clone();
        let words = if person.groups.is_empty() {
            format!("+ user {name}")
        } else {
            format!("+ user {name} in {}", listed(&person.groups))
        };
        planned.change(words, move |talk| {
            make_ours(&person.name)?;
            let groups = listed_for_tools(&person.groups);
            let mut words = vec!["--create-home", "--shell", "/bin/bash"];
            if !groups.is_empty() {
                words.extend(["--groups", &groups]);
            }
            words.push(&person.name);
            run("useradd", &words)?;
            home_keys::write(&Owner::named(&person.name)?, &person.keys)?;
            match &person.dotfiles {
                Some(repository) => dotfiles::install(&person.name, repository, talk),
                None => Ok(()),
            }
        });
        return;
    };
    if !ours.contains(name) && !may_adopt(person, account.uid, planned) {
        return;
    }
    if !ours.contains(name) {
        let own = name.clone();
        planned.change(
            format!("~ user {name} is Longshore's from now on"),
            move |_| make_ours(&own),
        );
    }
    if account.locked {
        let own = name.clone();
        planned.change(format!("~ user {name} may log in again"), move |_| {
            run("usermod", &["--expiredate", "", &own])
        });
    }
    if account.groups != person.groups {
        let (own, groups) = (name.clone(), person.groups.clone());
        let words = format!(
            "~ user {name} in {} (was in {})",
            listed(&groups),
            listed(&account.groups)
        );
        planned.change(words, move |_| {
            run("usermod", &["--groups", &listed_for_tools(&groups), &own])
        });
    }
    let owner = Owner::of(name, account);
    if !home_keys::fit(&owner, &person.keys) {
        let keys = person.keys.clone();
        let plural = if keys.len() == 1 { "key" } else { "keys" };
        planned.change(format!("~ {} {plural} of {name}", keys.len()), move |_| {
            home_keys::write(&owner, &keys)
        });
    }
}

fn may_adopt(person: &DesiredPerson, uid: u32, planned: &mut Planned) -> bool {
    let name = &person.name;
    if uid < FIRST_UID {
        planned.problem(
            format!("{name} is an account of the system here"),
            "give that person another name under [people] in the inventory",
        );
        return false;
    }
    if !person.adopt {
        planned.problem(
            format!("there is an account {name} here that Longshore did not make"),
            format!("if it is that person's, say adopt = true under [people.{name}]: their groups and keys become those of the inventory. Else give that person another name"),
        );
    }
    person.adopt
}

/// Its home is root's, so that whoever comes with such a key cannot change what keys may do.
fn deploy(keys: Vec<String>, ours: &BTreeSet<String>, facts: &Facts, planned: &mut Planned) {
    let groups = BTreeSet::from([DEPLOY_GROUP.to_owned()]);
    match facts.accounts.get(DEPLOY_ACCOUNT) {
        Some(_) if !ours.contains(DEPLOY_ACCOUNT) => {
            planned.problem(
                format!("there is an account {DEPLOY_ACCOUNT} here that Longshore did not make"),
                "take it away, or give it another name, or leave deploy_keys out of the inventory",
            );
            return;
        }
        Some(account) if account.groups == groups && !account.locked => {}
        Some(_) => planned.change(format!("~ user {DEPLOY_ACCOUNT}, for CI"), |_| {
            run(
                "usermod",
                &["--expiredate", "", "--groups", DEPLOY_GROUP, DEPLOY_ACCOUNT],
            )
        }),
        None => planned.change(format!("+ user {DEPLOY_ACCOUNT}, for CI"), |_| {
            make_ours(DEPLOY_ACCOUNT)?;
            let words = [
                "--create-home",
                "--shell",
                "/bin/sh",
                "--groups",
                DEPLOY_GROUP,
            ];
            run("useradd", &[&words[..], &[DEPLOY_ACCOUNT]].concat())
        }),
    }
    let fits = home_keys::fit_of_root(DEPLOY_ACCOUNT, &keys);
    if !fits {
        planned.change(
            format!("~ keys of {DEPLOY_ACCOUNT}: to deploy, and nothing else"),
            move |_| home_keys::write_of_root(DEPLOY_ACCOUNT, &keys),
        );
    }
}

fn sudoers(desired: &Desired, planned: &mut Planned) {
    let lines: String = desired
        .people
        .iter()
        .filter(|person| person.groups.contains(SUDO))
        .map(|person| format!("{} ALL=(ALL:ALL) NOPASSWD: ALL\n", person.name))
        .collect();
    if lines.is_empty() || !desired.system.sudo_without_password {
        files::plan_gone(planned, SUDOERS, None, "sudo without a password");
        return;
    }
    let wanted = Wanted {
        path: SUDOERS.to_owned(),
        content: format!(
            "# Made by longshore bootstrap: people have keys and no passwords.\n{lines}"
        )
        .into_bytes(),
        mode: 0o440,
        load: None,
    };
    if let Some(sign) = wanted.sign() {
        planned.change(
            format!("{sign} sudo without a password for those with keys ({SUDOERS})"),
            move |_| {
                // A file that sudo cannot read would lock everybody out of root.
                let trial = tempfile::NamedTempFile::new().map_err(failed)?;
                fs_err::write(trial.path(), &wanted.content).map_err(failed)?;
                command::run("visudo", &[Path::new("-cqf"), trial.path()]).map_err(failed)?;
                wanted.write().map_err(failed)
            },
        );
    }
}

/// Whoever is no longer in the inventory: locked, without keys and groups; their files stay.
fn departed(name: &str, facts: &Facts, planned: &mut Planned) {
    let Some(account) = facts.accounts.get(name) else {
        return;
    };
    let owner = Owner::of(name, account);
    if account.locked && account.groups.is_empty() && !home_keys::any(&owner) {
        return;
    }
    if facts.logged_in_as.as_deref() == Some(name) {
        planned.problem(
            format!("{name} is not in the inventory any more, and it is {name} who is logged in"),
            "bootstrap as somebody else who stays",
        );
        return;
    }
    let own = name.to_owned();
    planned.change(
        format!("- user {name}: locked, keys removed; their files stay"),
        move |_| {
            run(
                "usermod",
                &["--lock", "--expiredate", "1", "--groups", "", &own],
            )?;
            home_keys::remove(&owner)?;
            end_processes(owner.uid())
        },
    );
}

/// A session that is open would outlive the lock.
fn end_processes(uid: u32) -> Result<(), SetupFailure> {
    for entry in fs_err::read_dir("/proc").map_err(failed)?.flatten() {
        use std::os::unix::fs::MetadataExt as _;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let theirs = entry.metadata().is_ok_and(|about| about.uid() == uid);
        if let Some(pid) = number
            .filter(|_| theirs)
            .and_then(rustix::process::Pid::from_raw)
        {
            // One that has just ended by itself is fine.
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    Ok(())
}

fn ours() -> BTreeSet<String> {
    let text = fs_err::read_to_string(SETUP_PEOPLE).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn make_ours(name: &str) -> Result<(), SetupFailure> {
    let mut all = ours();
    all.insert(name.to_owned());
    let text: String = all.iter().map(|name| format!("{name}\n")).collect();
    system_file::put(Path::new(SETUP_PEOPLE), text)
        .map(drop)
        .map_err(failed)
}

fn run(program: &str, words: &[&str]) -> Result<(), SetupFailure> {
    command::run(program, words).map(drop).map_err(failed)
}

fn listed(groups: &BTreeSet<String>) -> String {
    if groups.is_empty() {
        return "no group".to_owned();
    }
    groups
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn listed_for_tools(groups: &BTreeSet<String>) -> String {
    groups
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",")
}
