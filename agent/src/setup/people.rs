//! People's accounts, and the one that CI deploys with.
//!
//! Which accounts are Longshore's own is written down before they are made. All others are left
//! alone. What is in somebody's home is planned apart: one home never keeps the host waiting.

use std::collections::BTreeSet;

use longshore_shared::setup::{DEPLOY_ACCOUNT, DEPLOY_GROUP, Desired, DesiredPerson, SetupFailure};

use super::accounts::{Account, FIRST_UID};
use super::facts::Facts;
use super::homes::Owner;
use super::plan::{Planned, run};
use super::{departed, dotfiles, home_keys, lists, lockout, outsiders, sudoers};
use crate::layout::{SETUP_DOTFILES, SETUP_PEOPLE};
use crate::names;

/// What is known beside the facts.
struct Known<'a> {
    facts: &'a Facts,
    /// Whoever has an account of Longshore's making.
    ours: BTreeSet<String>,
    /// Whoever still waits for their dotfiles.
    waiting: BTreeSet<String>,
    /// The groups that people are wanted in.
    groups: BTreeSet<&'a str>,
}

pub(super) fn plan(
    desired: &Desired,
    facts: &Facts,
    planned: &mut Planned,
) -> Result<(), SetupFailure> {
    let mut groups: BTreeSet<&str> = BTreeSet::from([DEPLOY_GROUP]);
    for person in &desired.people {
        groups.extend(person.groups.iter().map(String::as_str));
    }
    let known = Known {
        facts,
        ours: lists::read(SETUP_PEOPLE)?,
        waiting: lists::read(SETUP_DOTFILES)?,
        groups,
    };
    planned.problems.extend(lockout::problems(
        desired,
        &facts.accounts,
        facts.logged_in_as.as_deref(),
        facts.sshd_says("permitrootlogin") == Some("no"),
        |name| known.ours.contains(name),
        sudoers::others_let,
    ));
    make_groups(&known, planned);
    // Before the accounts: whoever has one and cannot become root yet is asked for a password in vain.
    sudoers::plan(desired, planned);
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    for person in &desired.people {
        wanted.insert(&person.name);
        match facts.accounts.get(&person.name) {
            Some(account) => one(person, account, &known, planned),
            None => new(person, &known, planned),
        }
    }
    if !desired.deploy_keys.is_empty() {
        wanted.insert(DEPLOY_ACCOUNT);
        let keys = desired.deploy_keys.iter();
        let keys = keys.map(|key| format!("restrict,command=\"longshore-agent connect\" {key}"));
        deploy(keys.collect(), &known, planned);
    }
    let is_known = |name: &str| wanted.contains(name) || known.ours.contains(name);
    outsiders::plan(&facts.accounts, is_known, planned)?;
    let others = known.ours.iter().map(String::as_str);
    let (left, gone): (BTreeSet<&str>, BTreeSet<&str>) = others
        .filter(|name| !wanted.contains(name))
        .partition(|name| facts.accounts.get(name).is_some());
    departed::plan(&left, facts, planned)?;
    for name in gone {
        let own = name.to_owned();
        planned.change(
            format!("- {name} is forgotten: the account is gone"),
            move |_| forget(&own),
        );
    }
    Ok(())
}

fn make_groups(known: &Known<'_>, planned: &mut Planned) {
    for name in &known.groups {
        if !known.facts.accounts.has_group(name) {
            let group = (*name).to_owned();
            planned.change(format!("+ group {name}"), move |_| {
                run("groupadd", &["--system", "--force", &group])
            });
        }
    }
}

fn new(person: &DesiredPerson, known: &Known<'_>, planned: &mut Planned) {
    let name = &person.name;
    if !may_be_made(name, known, planned) {
        return;
    }
    let words = if person.groups.is_empty() {
        format!("+ user {name}")
    } else {
        format!("+ user {name} in {}", listed(&person.groups))
    };
    let (own, groups) = (name.clone(), listed_for_tools(&person.groups));
    let with_dotfiles = person.dotfiles.is_some();
    planned.change(words, move |_| {
        if with_dotfiles {
            lists::add(SETUP_DOTFILES, &own)?;
        }
        let mut words = vec!["--create-home", "--shell", "/bin/bash"];
        if !groups.is_empty() {
            words.extend(["--groups", &groups]);
        }
        make_account(&own, &words)
    });
    plan_keys(person, planned);
    plan_dotfiles(person, planned);
}

fn one(person: &DesiredPerson, account: &Account, known: &Known<'_>, planned: &mut Planned) {
    let name = &person.name;
    let is_ours = known.ours.contains(name);
    if !may_have(person, account, is_ours, planned) {
        return;
    }
    if !is_ours {
        let own = name.clone();
        planned.change(
            format!("~ user {name} is Longshore's from now on"),
            move |_| lists::add(SETUP_PEOPLE, &own),
        );
    }
    if account.expired {
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
    if !home_keys::fit(&Owner::of(account), &person.keys) {
        plan_keys(person, planned);
    }
    if known.waiting.contains(name) {
        plan_dotfiles(person, planned);
    }
}

/// In the same words whether or not the account is there yet: what failed is not tried twice in a
/// run.
fn plan_keys(person: &DesiredPerson, planned: &mut Planned) {
    let (own, keys) = (person.name.clone(), person.keys.clone());
    let plural = if keys.len() == 1 { "key" } else { "keys" };
    planned.change_apart(format!("~ {} {plural} of {own}", keys.len()), move |_| {
        home_keys::write(&Owner::named(&own)?, &keys)
    });
}

fn plan_dotfiles(person: &DesiredPerson, planned: &mut Planned) {
    if let Some(repository) = &person.dotfiles {
        let (own, repository) = (person.name.clone(), repository.clone());
        planned.change_apart(format!("+ dotfiles of {own}"), move |talk| {
            dotfiles::install(&own, &repository, talk)
        });
    }
}

/// Whether an account that is here may become that person's.
fn may_have(
    person: &DesiredPerson,
    account: &Account,
    is_ours: bool,
    planned: &mut Planned,
) -> bool {
    let name = &person.name;
    if account.uid < FIRST_UID {
        planned.problem(
            format!(
                "{name} is an account of the system here (user {})",
                account.uid
            ),
            "give that person another name under [people] in the inventory",
        );
        return false;
    }
    if !is_ours && !person.adopt {
        planned.problem(
            format!("there is an account {name} here that Longshore did not make"),
            format!("if it is that person's, say adopt = true under [people.{name}]: their groups and keys become those of the inventory. Else give that person another name"),
        );
    }
    is_ours || person.adopt
}

/// Whether `useradd` could make an account of that name, and a group for it.
fn may_be_made(name: &str, known: &Known<'_>, planned: &mut Planned) -> bool {
    // Asked only about the few that are not in the file: it takes a program of the host.
    if names::user(name).is_some() {
        planned.problem(
            format!("{name} is known here without being in /etc/passwd: a directory such as LDAP has an account of that name"),
            format!("give that person another name under [people] in the inventory, or leave them to the directory (`getent passwd {name}` shows it)"),
        );
        return false;
    }
    if known.groups.contains(name) || names::group(name).is_some() {
        planned.problem(
            format!("no account {name} can be made: it would have a group of its own, and {name} is another group's name"),
            format!("give the person another name, or the group; if nobody needs the group any more (`getent group {name}`), remove it with `groupdel {name}`"),
        );
        return false;
    }
    true
}

/// Its home is root's, so that whoever comes with such a key cannot change what keys may do.
fn deploy(keys: Vec<String>, known: &Known<'_>, planned: &mut Planned) {
    let groups = BTreeSet::from([DEPLOY_GROUP.to_owned()]);
    let account = known.facts.accounts.get(DEPLOY_ACCOUNT);
    match account {
        Some(account) if !known.ours.contains(DEPLOY_ACCOUNT) || account.uid < FIRST_UID => {
            planned.problem(
                format!("there is an account {DEPLOY_ACCOUNT} here that Longshore did not make"),
                "take it away, or give it another name, or leave deploy_keys out of the inventory",
            );
            return;
        }
        Some(account) if account.groups == groups && !account.expired => {}
        Some(_) => planned.change(format!("~ user {DEPLOY_ACCOUNT}, for CI"), |_| {
            run(
                "usermod",
                &["--expiredate", "", "--groups", DEPLOY_GROUP, DEPLOY_ACCOUNT],
            )
        }),
        None if !may_be_made(DEPLOY_ACCOUNT, known, planned) => return,
        None => planned.change(format!("+ user {DEPLOY_ACCOUNT}, for CI"), |_| {
            let words = [
                "--create-home",
                "--shell",
                "/bin/sh",
                "--groups",
                DEPLOY_GROUP,
            ];
            make_account(DEPLOY_ACCOUNT, &words)
        }),
    }
    let fits = account
        .is_some_and(|account| home_keys::fit_of_root(&Owner::of(account).kept_by_root(), &keys));
    if !fits {
        planned.change_apart(
            format!("~ keys of {DEPLOY_ACCOUNT}: to deploy, and nothing else"),
            move |_| home_keys::write_of_root(&Owner::named(DEPLOY_ACCOUNT)?.kept_by_root(), &keys),
        );
    }
}

/// Written down first: whoever finds the account knows whose it is.
fn make_account(name: &str, words: &[&str]) -> Result<(), SetupFailure> {
    lists::add(SETUP_PEOPLE, name)?;
    let made = run("useradd", &[words, &[name]].concat());
    // An account of that name that somebody else makes later is not Longshore's.
    if made.is_err() && names::user(name).is_none() {
        forget(name)?;
    }
    made
}

fn forget(name: &str) -> Result<(), SetupFailure> {
    lists::forget(SETUP_DOTFILES, name)?;
    lists::forget(SETUP_PEOPLE, name)
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
