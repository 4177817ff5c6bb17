//! Debian packages: installed where they lack, never removed and never upgraded here.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use longshore_shared::setup::{Desired, DesiredApp, DesiredTls, FromSetup, SetupFailure};

use super::facts::Facts;
use super::nginx;
use super::plan::{AGAIN, Planned, failed};
use super::talk::Talk;
use crate::command;

/// What every host needs.
const ALWAYS: [&str; 5] = [
    "nginx",
    "python3",
    "python3-venv",
    "sudo",
    "ca-certificates",
];
/// Any of these keeps the clock.
const CLOCKS: [&str; 5] = ["systemd-timesyncd", "chrony", "ntp", "ntpsec", "openntpd"];
/// How long another apt is waited for: a new server upgrades itself first.
const OTHER_APT: Duration = Duration::from_secs(15 * 60);
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
const LISTS: &str = "/var/lib/apt/lists";
/// Older lists name packages that mirrors no longer have.
const OLD_LISTS: Duration = Duration::from_secs(12 * 60 * 60);

pub(super) fn plan(desired: &Desired, facts: &Facts, planned: &mut Planned) {
    let half = &facts.packages.half;
    if !half.is_empty() || facts.packages.interrupted {
        planned.change(
            format!("~ finish what dpkg began ({} packages)", half.len()),
            |talk| {
                finish(talk)?;
                apt(talk, &["--no-remove", "--fix-broken", "install"])
            },
        );
    }
    let lacking: Vec<String> = wanted(desired, facts)
        .into_iter()
        .filter(|name| !facts.has(name) && !half.contains(name))
        .collect();
    if !lacking.is_empty() {
        planned.change(format!("+ packages {}", lacking.join(", ")), move |talk| {
            install(talk, &lacking)
        });
    }
}

fn wanted(desired: &Desired, facts: &Facts) -> BTreeSet<String> {
    let system = &desired.system;
    let mut wanted = system.packages.clone();
    let mut also = |when: bool, name: &str| {
        if when {
            wanted.insert(name.to_owned());
        }
    };
    ALWAYS.into_iter().for_each(|name| also(true, name));
    let keeps_clock = CLOCKS.iter().any(|name| facts.has(name));
    also(system.clock_sync && !keeps_clock, "systemd-timesyncd");
    also(system.security_upgrades, "unattended-upgrades");
    also(system.timezone.is_some(), "tzdata");
    let acme = |app: &DesiredApp| matches!(app.tls, Some(DesiredTls::Acme));
    also(desired.apps.values().any(acme), "certbot");
    // Docker's own package does as well.
    also(system.docker && !facts.has("docker-ce"), "docker.io");
    also(system.fail2ban, "fail2ban");
    // Without it fail2ban of Debian 12 finds no log of sshd's.
    also(system.fail2ban, "python3-systemd");
    also(desired.firewall.is_some(), "nftables");
    also(
        desired.people.iter().any(|one| one.dotfiles.is_some()),
        "git",
    );
    wanted
}

fn install(talk: &mut Talk, names: &[String]) -> Result<(), SetupFailure> {
    if !lists_are_fresh() {
        apt(talk, &["update"])?;
    }
    let mut words = vec!["--no-remove", "--no-install-recommends", "install"];
    words.extend(names.iter().map(String::as_str));
    match apt(talk, &words) {
        Ok(()) => Ok(()),
        // The lists may name what the mirror has replaced since, and a package may have stopped half-way.
        Err(_) => {
            finish(talk)?;
            apt(talk, &["update"])?;
            apt(talk, &words)
        }
    }
}

fn finish(talk: &mut Talk) -> Result<(), SetupFailure> {
    nginx::let_it_start()?;
    run(talk, "dpkg", &["--force-confold", "--configure", "-a"])
}

fn lists_are_fresh() -> bool {
    let fresh = |path: &Path| {
        let changed = fs_err::metadata(path).and_then(|about| about.modified());
        let age = changed
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        age.is_some_and(|age| age < OLD_LISTS)
    };
    fs_err::read_dir(LISTS).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| {
                entry.file_name().to_string_lossy().ends_with("Release") && fresh(&entry.path())
            })
        })
    })
}

fn apt(talk: &mut Talk, words: &[&str]) -> Result<(), SetupFailure> {
    let mut all = vec![
        "-q",
        "-y",
        "-o",
        "Dpkg::Options::=--force-confold",
        "-o",
        "APT::Update::Error-Mode=any",
        "-o",
        "Dpkg::Use-Pty=0",
    ];
    all.extend(words);
    run(talk, "apt-get", &all)
}

/// Runs one of the two, in turn with whoever else runs them.
fn run(talk: &mut Talk, program: &str, words: &[&str]) -> Result<(), SetupFailure> {
    let deadline = Instant::now() + OTHER_APT;
    let mut told = false;
    loop {
        let mut last = Vec::new();
        let mut all = vec![
            "DEBIAN_FRONTEND=noninteractive".to_owned(),
            "NEEDRESTART_SUSPEND=1".to_owned(),
            "APT_LISTCHANGES_FRONTEND=none".to_owned(),
            program.to_owned(),
        ];
        all.extend(words.iter().map(ToString::to_string));
        let done = command::follow("env", &all, |line| {
            last.push(line.to_owned());
            talk.said(line);
        });
        if done.map_err(failed)? {
            return Ok(());
        }
        let busy = last.iter().any(|line| is_busy(line));
        if !busy || Instant::now() > deadline {
            return Err(refused(program, words, &last, busy));
        }
        if !told {
            let why = "another apt is at work on this host: waiting until it is done";
            talk.say(&FromSetup::Waiting(why.to_owned()));
            told = true;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

fn is_busy(line: &str) -> bool {
    line.contains("Could not get lock") || line.contains("dpkg frontend lock was locked")
}

fn refused(program: &str, words: &[&str], said: &[String], busy: bool) -> SetupFailure {
    let verb = words
        .iter()
        .find(|word| matches!(**word, "update" | "install" | "--configure"));
    let errors: Vec<&str> = said
        .iter()
        .filter(|line| line.starts_with("E:") || line.starts_with("Err:") || line.contains("error"))
        .map(String::as_str)
        .collect();
    let told = if errors.is_empty() {
        said.iter()
            .rev()
            .take(3)
            .rev()
            .map(String::as_str)
            .collect()
    } else {
        errors
    };
    let next = if busy {
        "another apt or dpkg still runs on this host: wait for it, or look why it hangs, then bootstrap again"
    } else if said.iter().any(|line| line.contains("No space left")) {
        "make room on the host's disk, then bootstrap again: it goes on where it stopped"
    } else if said
        .iter()
        .any(|line| line.contains("Could not resolve") || line.contains("Failed to fetch"))
    {
        "see that this host reaches its package mirrors (/etc/apt/sources.list), then bootstrap again"
    } else if said.iter().any(|line| line.contains("remove is disabled")) {
        "other packages would have to go for it, and nothing is removed here: see which (`apt-get -s install` on the host), remove them there if you agree, then bootstrap again"
    } else {
        AGAIN
    };
    SetupFailure {
        what: format!(
            "`{program} {}` failed: {}",
            verb.copied().unwrap_or_default(),
            told.join(" | ")
        ),
        next: next.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        let said = |line: &str| {
            let busy = is_busy(line);
            refused("apt-get", &["-q", "install", "x"], &[line.to_owned()], busy)
        };
        let cases = [
            (
                "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7",
                "wait for it",
            ),
            (
                "E: You don't have enough free space: No space left on device",
                "make room",
            ),
            ("E: Failed to fetch http://mirror/x  404", "mirrors"),
            ("E: Unable to locate package x", "goes on"),
            (
                "E: Packages need to be removed but remove is disabled.",
                "nothing is removed here",
            ),
        ];
        for (line, next) in cases {
            let failure = said(line);
            assert!(failure.next.contains(next), "{failure:?}");
            assert!(failure.what.contains("apt-get install") && failure.what.contains(line));
        }
    }
}
