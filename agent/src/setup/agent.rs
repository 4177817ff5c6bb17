//! The agent itself: a copy of this very program, beside the one before it.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use longshore_shared::digest::Sha256Digest;
use longshore_shared::setup::{Desired, SetupFailure};
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::files::{self, Wanted};
use super::pending::{self, Load};
use super::plan::{Planned, failed};
use crate::command;
use crate::layout::{AGENT_LINK, AGENTS, OWN_UNITS, SETUP_AGENT_BEFORE};
use crate::links;
use crate::local;
use crate::server::agent_version;
use crate::system_file;
use crate::trash;

const SERVE: (&str, &str) = (
    "longshore-agent.service",
    include_str!("../../../systemd/longshore-agent.service"),
);
const UNITS: [(&str, &str); 4] = [
    (
        "longshore-boot.service",
        include_str!("../../../systemd/longshore-boot.service"),
    ),
    (
        "longshore-take-back.service",
        include_str!("../../../systemd/longshore-take-back.service"),
    ),
    (
        "longshore-take-back.timer",
        include_str!("../../../systemd/longshore-take-back.timer"),
    ),
    (
        "longshore-firewall.service",
        include_str!("../../../systemd/longshore-firewall.service"),
    ),
];
const ENABLED: [&str; 3] = [
    "longshore-agent.service",
    "longshore-boot.service",
    "longshore-take-back.service",
];
const PROGRAM: &str = "longshore-agent";
/// What it had begun is finished, or taken back, before it answers.
const UNTIL_IT_ANSWERS: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

pub(super) fn plan(
    desired: &Desired,
    facts: &Facts,
    planned: &mut Planned,
) -> Result<(), SetupFailure> {
    let own = Path::new("/proc/self/exe");
    if digest(own).map_err(failed)? != desired.agent {
        return Err(SetupFailure {
            what: "the agent was damaged on its way to this host".to_owned(),
            next: "bootstrap again".to_owned(),
        });
    }
    for (name, text) in UNITS {
        let path = format!("{OWN_UNITS}/{name}");
        files::plan(
            planned,
            Wanted::text(&path, text, Some(Load::Units)),
            "unit",
        );
    }
    let unit = Wanted::text(
        &format!("{OWN_UNITS}/{}", SERVE.0),
        SERVE.1,
        Some(Load::Units),
    );
    let (present, wanted) = (links::target(Path::new(AGENT_LINK)), place(desired));
    let fits = present.as_ref() == Some(&wanted)
        && digest(&wanted).is_ok_and(|digest| digest == desired.agent);
    let running = facts.unit(SERVE.0);
    if !fits || unit.sign().is_some() {
        let words = match &present {
            Some(before) => format!("~ agent {} -> {}", version_of(before), version_of(&wanted)),
            None => format!("+ agent {}", version_of(&wanted)),
        };
        planned.change(words, move |_| install(&wanted, present, &unit));
    } else if let Some(before) = Before::noted() {
        let words = format!("~ agent {} answers", version_of(&wanted));
        planned.change(words, move |_| prove(&wanted, Some(before), &unit));
    } else if !running.active {
        planned.change("~ agent runs", |_| restart());
    }
    let disabled: Vec<&str> = ENABLED
        .into_iter()
        .filter(|name| !facts.unit(name).enabled)
        .collect();
    if !disabled.is_empty() {
        planned.change(
            format!("~ after a reboot too: {}", disabled.join(", ")),
            move |_| {
                pending::load(Load::Units)?;
                let words = [&["enable", "--quiet"][..], &disabled].concat();
                command::run("systemctl", &words).map(drop).map_err(failed)
            },
        );
    }
    Ok(())
}

/// Where an agent of this content lives.
fn place(desired: &Desired) -> PathBuf {
    let digest = desired.agent.to_string();
    let short = digest.get(..12).unwrap_or(&digest);
    Path::new(AGENTS)
        .join(format!("{}-{short}", agent_version()))
        .join(PROGRAM)
}

fn version_of(program: &Path) -> String {
    let folder = program.parent().and_then(Path::file_name);
    folder.map_or_else(
        || "unknown".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// An agent that does not come up and answer makes way for the one before it. Apps are not touched.
fn install(wanted: &Path, present: Option<PathBuf>, unit: &Wanted) -> Result<(), SetupFailure> {
    copy(wanted).map_err(failed)?;
    // After a stop in the middle what is there now may be the one that does not answer.
    let before = Before::noted().or_else(|| {
        Some(Before {
            agent: present?,
            unit: fs_err::read(&unit.path).ok()?,
        })
    });
    if let Some(before) = &before {
        before.note().map_err(failed)?;
    }
    pending::note(Load::Agent).map_err(failed)?;
    unit.write().map_err(failed)?;
    links::replace(Path::new(AGENT_LINK), wanted).map_err(failed)?;
    prove(wanted, before, unit)
}

/// Keeps the agent that is linked if it answers.
fn prove(wanted: &Path, before: Option<Before>, unit: &Wanted) -> Result<(), SetupFailure> {
    let Err(mut failure) = restart() else {
        let agent = before.as_ref().map(|before| before.agent.as_path());
        return clear_old(wanted, agent)
            .and_then(|()| Before::forget())
            .map_err(failed);
    };
    if let Some(before) = before {
        let back = before
            .put_back(unit)
            .and_then(|()| Before::forget().map_err(failed));
        failure.what.push_str(&match back {
            Ok(()) => "; the agent before it was put back and answers".to_owned(),
            Err(worse) => format!("; nor could the one before it be put back: {}", worse.what),
        });
    }
    Err(failure)
}

/// The agent that was left, and its unit: on disk until the new one has answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    agent: PathBuf,
    unit: Vec<u8>,
}

impl Before {
    fn noted() -> Option<Self> {
        let text = fs_err::read(SETUP_AGENT_BEFORE).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn note(&self) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        system_file::put(Path::new(SETUP_AGENT_BEFORE), text).map(drop)
    }

    fn forget() -> io::Result<()> {
        match fs_err::remove_file(SETUP_AGENT_BEFORE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn put_back(&self, unit: &Wanted) -> Result<(), SetupFailure> {
        let old_unit = Wanted {
            content: self.unit.clone(),
            ..unit.clone()
        };
        pending::note(Load::Agent).map_err(failed)?;
        old_unit.write().map_err(failed)?;
        links::replace(Path::new(AGENT_LINK), &self.agent).map_err(failed)?;
        restart()
    }
}

fn restart() -> Result<(), SetupFailure> {
    pending::load(Load::Units)?;
    pending::note(Load::Agent).map_err(failed)?;
    let answered = pending::load(Load::Agent).and_then(|()| answers());
    answered.map_err(|failure| SetupFailure {
        what: format!("the agent does not come up: {}", failure.what),
        next: "read `journalctl -u longshore-agent` on the host; no app was touched".to_owned(),
    })
}

fn answers() -> Result<(), SetupFailure> {
    let deadline = Instant::now() + UNTIL_IT_ANSWERS;
    loop {
        match local::greeted() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(failed(error)),
            Err(_) => std::thread::sleep(BETWEEN_LOOKS),
        }
    }
}

/// Beside the other agents, whole or not at all.
fn copy(wanted: &Path) -> io::Result<()> {
    let folder = wanted.parent().unwrap_or(Path::new(AGENTS));
    fs_err::create_dir_all(folder)?;
    let mut fresh = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempfile_in(folder)?;
    io::copy(&mut fs_err::File::open("/proc/self/exe")?, &mut fresh)?;
    fresh.as_file().sync_all()?;
    // The umask took away what others need to run it.
    fresh
        .as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o755))?;
    if digest(fresh.path())? != digest(Path::new("/proc/self/exe"))? {
        return Err(io::Error::other(
            "the copy of the agent differs from what was copied",
        ));
    }
    fresh.persist(wanted).map_err(|error| error.error)?;
    links::sync_folder(folder)
}

/// The one before stays, for whoever has to go back by hand.
fn clear_old(wanted: &Path, before: Option<&Path>) -> io::Result<()> {
    let keep: Vec<&Path> = [Some(wanted), before]
        .into_iter()
        .flatten()
        .filter_map(Path::parent)
        .collect();
    for entry in fs_err::read_dir(AGENTS)?.flatten() {
        let path = entry.path();
        if path.is_dir() && !keep.contains(&path.as_path()) {
            trash::delete(&path)?;
        }
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<Sha256Digest> {
    let mut read = longshore_shared::digest::Digesting::new(fs_err::File::open(path)?);
    io::copy(&mut read, &mut io::sink())?;
    let (_, digest, _) = read.finish();
    Ok(digest)
}
