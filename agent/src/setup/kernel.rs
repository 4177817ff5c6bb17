//! Settings of the kernel: our file of them, and whether the kernel has them now.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use longshore_shared::setup::SetupFailure;
use rustix::fs::Access;

use super::facts::Facts;
use super::files::MADE;
use super::pending::{self, Load};
use super::plan::{Planned, failed};
use crate::layout::SYSCTL;

const LIVE: &str = "/proc/sys";

type Settings = BTreeMap<String, String>;

pub(super) fn text(wanted: &Settings) -> String {
    let lines: String = wanted
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    format!("# {MADE}\n{lines}")
}

/// What the kernel has not, though our file says so: somebody set it since, or another file does.
pub(super) fn plan(wanted: &Settings, facts: &Facts, planned: &mut Planned) {
    // While the file lacks or differs, it is loaded for that.
    let written = fs_err::read(SYSCTL).is_ok_and(|now| now == text(wanted).as_bytes());
    if wanted.is_empty() || !written {
        return;
    }
    let differing = differing(Path::new(LIVE), wanted);
    let (free, fixed): (Vec<_>, Vec<_>) = differing.into_iter().partition(can_be_set);
    if !fixed.is_empty() {
        let left = format!("kernel settings left as they are: {}", in_words(&fixed));
        if facts.container {
            planned.note(format!(
                "{left}: this host is a container, whose kernel is the machine's"
            ));
        } else {
            planned.lack(format!(
                "{left}: this kernel lets nobody set them, or lacks what they belong to. Load its module on the host, or correct `sysctl` in the inventory"
            ));
        }
    }
    if !free.is_empty() {
        let wanted = wanted.clone();
        planned.change_apart(
            format!("~ kernel settings {}", in_words(&free)),
            move |_| apply(&wanted),
        );
    }
}

fn apply(wanted: &Settings) -> Result<(), SetupFailure> {
    pending::note(Load::Sysctl).map_err(failed)?;
    pending::load(Load::Sysctl)?;
    let mut left = differing(Path::new(LIVE), wanted);
    left.retain(can_be_set);
    if left.is_empty() {
        return Ok(());
    }
    Err(SetupFailure {
        what: format!("the kernel did not take {}", in_words(&left)),
        next: "correct `sysctl` in the inventory to what this kernel takes, then bootstrap again"
            .to_owned(),
    })
}

fn can_be_set(setting: &Differing) -> bool {
    let place = place(Path::new(LIVE), &setting.key);
    rustix::fs::access(place, Access::WRITE_OK).is_ok()
}

#[derive(Debug, PartialEq, Eq)]
struct Differing {
    key: String,
    live: Option<String>,
    wanted: String,
}

fn differing(root: &Path, wanted: &Settings) -> Vec<Differing> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let all = wanted.iter().filter_map(|(key, value)| {
        let live = match fs_err::read_to_string(place(root, key)) {
            Ok(live) => Some(words(&live)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Some can be written only.
            Err(_) => return None,
        };
        Some(Differing {
            key: key.clone(),
            live,
            wanted: words(value),
        })
    });
    all.filter(|one| one.live.as_ref() != Some(&one.wanted))
        .collect()
}

fn in_words(differing: &[Differing]) -> String {
    let words = differing.iter().map(|one| {
        let live = one.live.as_deref().unwrap_or("nothing");
        format!("{} {live} -> {}", one.key, one.wanted)
    });
    words.collect::<Vec<_>>().join(", ")
}

/// As sysctl.d has it: a key is written with dots, whose names hold slashes for dots, or as a path.
fn place(root: &Path, key: &str) -> PathBuf {
    let by_dots = key
        .find(['.', '/'])
        .is_some_and(|at| key[at..].starts_with('.'));
    let swapped = |c: char| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = if by_dots {
        key.chars().map(swapped).collect()
    } else {
        key.to_owned()
    };
    root.join(path.trim_start_matches(['-', '/']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_where_sysctl_d_has_them() {
        let at = |key: &str| place(Path::new("/proc/sys"), key);
        assert_eq!(at("vm.swappiness"), Path::new("/proc/sys/vm/swappiness"));
        assert_eq!(
            at("net.ipv4.conf.eth0/7.forwarding"),
            Path::new("/proc/sys/net/ipv4/conf/eth0.7/forwarding")
        );
        assert_eq!(
            at("net/ipv4/conf/eth0.7/x"),
            Path::new("/proc/sys/net/ipv4/conf/eth0.7/x")
        );
    }

    #[test]
    fn what_the_kernel_has_otherwise_is_seen() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("vm")).unwrap();
        fs_err::write(root.path().join("vm/swappiness"), "60\n").unwrap();
        fs_err::write(root.path().join("vm/range"), "1\t2\n").unwrap();
        let wanted = |pairs: &[(&str, &str)]| -> Settings {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect()
        };
        let same = wanted(&[("vm.swappiness", "60"), ("vm.range", "1 2")]);
        assert!(differing(root.path(), &same).is_empty());
        let other = differing(
            root.path(),
            &wanted(&[("vm.gone", "1"), ("vm.swappiness", "10")]),
        );
        assert_eq!(
            in_words(&other),
            "vm.gone nothing -> 1, vm.swappiness 60 -> 10"
        );
    }
}
