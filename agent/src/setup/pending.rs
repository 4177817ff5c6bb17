//! What a change needs to take hold: a unit reloaded, a setting loaded. It is written down before
//! the file is, so that a run which was cut short in between is finished by the next one.

use std::io;
use std::path::Path;

use longshore_shared::setup::SetupFailure;

use super::plan::{Planned, failed};
use crate::command;
use crate::layout::{SETUP_PENDING, SYSCTL};
use crate::system_file;

/// One such need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Units were written or changed.
    Units,
    Nginx,
    Journal,
    Sysctl,
    Fail2ban,
    Agent,
}

const ALL: [Load; 6] = [
    Load::Units,
    Load::Nginx,
    Load::Journal,
    Load::Sysctl,
    Load::Fail2ban,
    Load::Agent,
];

impl Load {
    fn word(self) -> &'static str {
        match self {
            Self::Units => "systemd's units",
            Self::Nginx => "nginx",
            Self::Journal => "journald",
            Self::Sysctl => "kernel settings",
            Self::Fail2ban => "fail2ban",
            Self::Agent => "agent",
        }
    }

    fn command(self) -> &'static [&'static str] {
        match self {
            Self::Units => &["systemctl", "daemon-reload"],
            Self::Nginx => &["systemctl", "reload-or-restart", "nginx"],
            Self::Journal => &["systemctl", "restart", "systemd-journald"],
            Self::Sysctl => &["/usr/lib/systemd/systemd-sysctl", SYSCTL],
            Self::Fail2ban => &["systemctl", "try-reload-or-restart", "fail2ban"],
            Self::Agent => &["systemctl", "restart", "longshore-agent"],
        }
    }

    /// Whether there is still something that could take it: a package may have gone since.
    fn has_taker(self) -> bool {
        match self {
            Self::Units | Self::Journal => true,
            Self::Sysctl => Path::new(SYSCTL).exists(),
            Self::Nginx | Self::Fail2ban | Self::Agent => {
                let unit = self.command().last().copied().unwrap_or_default();
                let words = ["show", "--property=LoadState", "--value", unit];
                let said = command::run("systemctl", &words);
                said.map_or(true, |state| state.trim() != "not-found")
            }
        }
    }
}

/// Plans what an earlier run left.
pub(super) fn plan(planned: &mut Planned) {
    if let Some(what) = words() {
        // All of them are loaded after any change.
        planned.change_apart(what, |_| Ok(()));
    }
}

/// What is still to be loaded, as a change.
pub(super) fn words() -> Option<String> {
    let left: Vec<&str> = noted().into_iter().map(Load::word).collect();
    (!left.is_empty()).then(|| format!("~ load what an earlier run changed: {}", left.join(", ")))
}

/// To be called before what needs it is written.
pub(super) fn note(load: Load) -> io::Result<()> {
    let mut all = noted();
    if !all.contains(&load) {
        all.push(load);
        write(&all)?;
    }
    Ok(())
}

/// Does one of them now, where something else waits for it.
pub(super) fn load(load: Load) -> Result<(), SetupFailure> {
    let mut all = noted();
    if let Some(at) = all.iter().position(|one| *one == load) {
        if load.has_taker() {
            run(load)?;
        }
        all.remove(at);
        write(&all).map_err(failed)?;
    }
    Ok(())
}

/// Does all of them. One that fails, for whatever reason, keeps none of the others.
pub(super) fn load_all() -> Vec<SetupFailure> {
    let failures = noted().into_iter().filter_map(|one| {
        let failure = load(one).err()?;
        Some(SetupFailure {
            what: format!("loading {}: {}", one.word(), failure.what),
            next: failure.next,
        })
    });
    failures.collect()
}

fn run(load: Load) -> Result<(), SetupFailure> {
    if let [program, words @ ..] = load.command() {
        let done = command::run(program, words).map(drop).map_err(failed);
        return match load {
            Load::Nginx => done.map_err(with_nginxs_words),
            _ => done,
        };
    }
    Ok(())
}

fn noted() -> Vec<Load> {
    let text = fs_err::read_to_string(SETUP_PENDING).unwrap_or_default();
    ALL.into_iter()
        .filter(|load| text.lines().any(|line| line == load.word()))
        .collect()
}

fn write(loads: &[Load]) -> io::Result<()> {
    let path = Path::new(SETUP_PENDING);
    if loads.is_empty() {
        return fs_err::remove_file(path);
    }
    let text: String = loads
        .iter()
        .map(|load| format!("{}\n", load.word()))
        .collect();
    system_file::put(path, text).map(drop)
}

/// systemd says only that it failed; nginx says why.
pub(super) fn with_nginxs_words(mut failure: SetupFailure) -> SetupFailure {
    if let Ok((false, said)) = command::ask("nginx", &["-t", "-q"]) {
        let said = said.lines().map(command::printable);
        failure.what = format!("{}: {}", failure.what, said.collect::<Vec<_>>().join(" | "));
        failure.next = "mend the file that nginx names, then bootstrap again".to_owned();
    }
    failure
}
