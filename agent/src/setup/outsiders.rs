//! Accounts that are neither the inventory's nor Longshore's: left alone, and never overlooked.
//!
//! Each is told once as a difference, so that one added by hand is found, and again when it gains
//! power. What was told is kept in a list.

use std::collections::{BTreeMap, BTreeSet};

use longshore_shared::setup::{DEPLOY_GROUP, SetupFailure};

use super::accounts::{Accounts, FIRST_UID, SUDO};
use super::lists;
use super::plan::Planned;
use crate::layout::SETUP_OUTSIDERS;

/// Whoever is in one of them is root, or may change what runs here.
const POWERFUL: [&str; 4] = [SUDO, "docker", DEPLOY_GROUP, "root"];
/// The user of nothing.
const NOBODY: u32 = 65_534;
/// Where root by another name stands among the groups.
const IS_ROOT: &str = "uid 0";

type Powers = BTreeSet<String>;

pub(super) fn plan(
    accounts: &Accounts,
    is_known: impl Fn(&str) -> bool,
    planned: &mut Planned,
) -> Result<(), SetupFailure> {
    let here = outsiders(accounts, is_known);
    for (name, outsider) in &here {
        if !outsider.powers.is_empty() {
            planned.note(format!(
                "{name} is {}, and not in the inventory: Longshore did not make that account, and leaves it alone",
                words(&outsider.powers)
            ));
        }
    }
    let told = parse(&lists::read(SETUP_OUTSIDERS)?);
    let lines = listed(&here);
    for words in news(&told, &here, |name| accounts.get(name).is_some()) {
        let lines = lines.clone();
        planned.change(words, move |_| lists::write(SETUP_OUTSIDERS, &lines));
    }
    Ok(())
}

struct Outsider {
    powers: Powers,
    /// Not the system's own: there is somebody behind it.
    counts: bool,
}

fn outsiders(accounts: &Accounts, is_known: impl Fn(&str) -> bool) -> BTreeMap<String, Outsider> {
    accounts
        .all()
        .filter(|(name, _)| *name != "root" && !is_known(name))
        .map(|(name, account)| {
            let groups = POWERFUL.iter().filter(|group| {
                // Old accounts of the system have root's group and nothing of its power.
                (account.uid >= FIRST_UID || **group != "root") && accounts.is_in(account, group)
            });
            let mut powers: Powers = groups.map(ToString::to_string).collect();
            if account.uid == 0 {
                powers.insert(IS_ROOT.to_owned());
            }
            let counts = account.uid == 0 || account.uid >= FIRST_UID && account.uid != NOBODY;
            (name.to_owned(), Outsider { powers, counts })
        })
        .collect()
}

/// What was not told yet.
fn news(
    told: &BTreeMap<String, Powers>,
    here: &BTreeMap<String, Outsider>,
    is_here: impl Fn(&str) -> bool,
) -> Vec<String> {
    const WHOSE: &str = "neither the inventory's nor Longshore's";
    let mut news = Vec::new();
    for (name, outsider) in here.iter().filter(|(_, outsider)| outsider.counts) {
        let now = &outsider.powers;
        match told.get(name) {
            None if now.is_empty() => {
                news.push(format!("! {name} is here, and {WHOSE}: left alone"));
            }
            None => news.push(format!(
                "! {name} is here, {}, and {WHOSE}: left alone",
                words(now)
            )),
            Some(before) if before == now => {}
            Some(before) if now.is_subset(before) => {
                let lost: Powers = before.difference(now).cloned().collect();
                news.push(format!(
                    "! {name} is no more {}, and {WHOSE}: left alone",
                    words(&lost)
                ));
            }
            Some(before) => {
                let gained: Powers = now.difference(before).cloned().collect();
                news.push(format!(
                    "! {name} is now {}, and {WHOSE}: left alone",
                    words(&gained)
                ));
            }
        }
    }
    for name in told.keys().filter(|name| !is_here(name)) {
        news.push(format!("! {name} is gone, and was {WHOSE}"));
    }
    news
}

fn words(powers: &Powers) -> String {
    let groups: Vec<&str> = powers
        .iter()
        .map(String::as_str)
        .filter(|power| *power != IS_ROOT)
        .collect();
    match (powers.contains(IS_ROOT), groups.is_empty()) {
        (true, true) => "root by another name".to_owned(),
        (true, false) => format!("root by another name, in {}", groups.join(", ")),
        (false, _) => format!("in {}", groups.join(", ")),
    }
}

fn listed(here: &BTreeMap<String, Outsider>) -> BTreeSet<String> {
    let all = here.iter().filter(|(_, outsider)| outsider.counts);
    all.map(|(name, outsider)| {
        let powers: Vec<&str> = outsider.powers.iter().map(String::as_str).collect();
        format!("{name}:{}", powers.join(","))
    })
    .collect()
}

fn parse(lines: &BTreeSet<String>) -> BTreeMap<String, Powers> {
    let all = lines.iter().filter_map(|line| line.split_once(':'));
    all.map(|(name, powers)| {
        let powers = powers.split(',').filter(|power| !power.is_empty());
        (name.to_owned(), powers.map(str::to_owned).collect())
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nsync:x:4:0::/:/bin/sync\n\
                          jenkins:x:110:110::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n\
                          ops1:x:1001:1001::/home/ops1:/bin/sh\n";
    const GROUP: &str =
        "root:x:0:\nsudo:x:27:ops1,mallory\ndocker:x:999:jenkins,mallory\nlongshore:x:998:\n";

    fn here(passwd: &str, group: &str) -> BTreeMap<String, Outsider> {
        outsiders(&Accounts::parse(passwd, group, "", 0), |name| {
            name == "ops1"
        })
    }

    fn between(
        before: &BTreeMap<String, Outsider>,
        now: &BTreeMap<String, Outsider>,
    ) -> Vec<String> {
        news(&parse(&listed(before)), now, |name| now.contains_key(name))
    }

    #[test]
    fn one_added_by_hand_is_told_once() {
        let before = here(PASSWD, GROUP);
        assert!(listed(&before).is_empty());
        let mallory = "mallory:x:1002:1002::/home/mallory:/bin/sh\n";
        let now = here(&format!("{PASSWD}{mallory}"), GROUP);
        assert_eq!(
            between(&before, &now),
            [
                "! mallory is here, in docker, sudo, and neither the inventory's nor Longshore's: left alone"
            ]
        );
        assert!(between(&now, &now).is_empty());
        assert!(between(&now, &before)[0].starts_with("! mallory is gone"));
        let plain = here(&format!("{PASSWD}{mallory}"), "sudo:x:27:\n");
        assert_eq!(
            between(&before, &plain),
            ["! mallory is here, and neither the inventory's nor Longshore's: left alone"]
        );
        assert!(between(&plain, &now)[0].starts_with("! mallory is now in docker, sudo,"));
        assert!(between(&now, &plain)[0].starts_with("! mallory is no more in docker, sudo,"));
    }

    #[test]
    fn power_is_seen_in_whatever_way_it_was_given() {
        let eve = "eve:x:1003:27::/home/eve:/bin/sh\n";
        let now = here(&format!("{PASSWD}{eve}toor:x:0:0::/:/bin/sh\n"), GROUP);
        assert_eq!(words(&now["eve"].powers), "in sudo");
        assert_eq!(words(&now["toor"].powers), "root by another name");
        assert!(now["toor"].counts && now["eve"].counts);
        // Those of the system are named in the notes alone.
        assert!(!now["jenkins"].counts && now["sync"].powers.is_empty());
        assert_eq!(words(&now["jenkins"].powers), "in docker");
        assert!(!now["nobody"].counts && !now.contains_key("ops1"));
    }
}
