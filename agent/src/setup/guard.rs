//! Confirm or take back: whatever could lock everybody out is taken back by the host itself, unless
//! a new SSH connection says within a minute that it can still come in. Also after a crash or a
//! reboot in between.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use longshore_shared::setup::{CONFIRM_SECONDS, FromSetup, SetupFailure, ToSetup};
use serde::{Deserialize, Serialize};

use super::plan::{Planned, failed};
use super::talk::Talk;
use crate::command;
use crate::layout::{SETUP_CONFIRMED, SETUP_LOCK, SETUP_TAKE_BACK};
use crate::system_file;

const TIMER: &str = "longshore-take-back.timer";
/// A second setup may just be ending.
const OTHER_SETUP: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// What brings the host back to how it was.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    token: String,
    files: Vec<Before>,
    commands: Vec<Vec<String>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    path: PathBuf,
    /// Nothing where the file was not there.
    content: Option<Vec<u8>>,
}

impl Guard {
    /// Remembers these files as they are, and what has to be run once they are so again.
    pub(super) fn over(files: &[&str], commands: &[&[&str]]) -> Self {
        let files = files.iter().map(|path| Before {
            path: PathBuf::from(path),
            content: fs_err::read(path).ok(),
        });
        let commands = commands.iter().map(|words| {
            let words = words.iter();
            words.map(ToString::to_string).collect()
        });
        Self {
            token: format!(
                "{}-{}",
                std::process::id(),
                jiff::Timestamp::now().as_nanosecond()
            ),
            files: files.collect(),
            commands: commands.collect(),
        }
    }

    /// Makes a change that holds only if a new connection confirms it.
    pub(super) fn change(
        self,
        talk: &mut Talk,
        act: impl FnOnce() -> Result<(), SetupFailure>,
    ) -> Result<(), SetupFailure> {
        let text = serde_json::to_vec(&self).map_err(failed)?;
        system_file::put_with_mode(Path::new(SETUP_TAKE_BACK), &text, 0o600).map_err(failed)?;
        command::run("systemctl", &["restart", TIMER]).map_err(failed)?;
        if let Err(failure) = act() {
            take_back()?;
            return Err(failure);
        }
        let token = self.token.clone();
        talk.say(&FromSetup::Confirm { token });
        let heard = talk.hear(Duration::from_secs(CONFIRM_SECONDS));
        let confirmed =
            fs_err::read_to_string(SETUP_CONFIRMED).is_ok_and(|seen| seen == self.token);
        if confirmed {
            return Ok(());
        }
        take_back()?;
        let why = match heard {
            Ok(ToSetup::Confirmed(false)) => "no new connection could be made",
            Ok(_) => "no new connection confirmed it in time",
            Err(_) => "the connection was lost",
        };
        Err(SetupFailure {
            what: format!("it was taken back, because {why}: the host is as it was before"),
            next:
                "correct what the inventory says of sshd or of the firewall, then bootstrap again"
                    .to_owned(),
        })
    }
}

/// Plans the end of what an earlier run left unconfirmed.
pub(super) fn plan(planned: &mut Planned) {
    if Path::new(SETUP_TAKE_BACK).exists() {
        planned.change("~ take back what nobody confirmed", |_| take_back());
    }
}

/// `setup --confirm TOKEN`, over a new connection: what was changed lets people in.
pub(crate) fn confirm(token: &str) -> Result<(), SetupFailure> {
    let guard = read()?.filter(|guard| guard.token == token);
    if guard.is_none() {
        return Err(SetupFailure {
            what: format!(
                "there is nothing to confirm by that name: it is taken back after {CONFIRM_SECONDS} s"
            ),
            next: "bootstrap again".to_owned(),
        });
    }
    system_file::put(Path::new(SETUP_CONFIRMED), token).map_err(failed)?;
    forget()
}

/// `setup --take-back`, by the timer or at boot. Where all is confirmed there is nothing to do.
pub(crate) fn take_back() -> Result<(), SetupFailure> {
    let Some(guard) = read()? else {
        return Ok(());
    };
    if fs_err::read_to_string(SETUP_CONFIRMED).is_ok_and(|seen| seen == guard.token) {
        return forget();
    }
    for before in &guard.files {
        match &before.content {
            Some(content) => system_file::put(&before.path, content)
                .map(drop)
                .map_err(failed)?,
            None => remove(&before.path)?,
        }
    }
    for words in &guard.commands {
        if let [program, words @ ..] = words.as_slice() {
            command::run(program, words).map_err(failed)?;
        }
    }
    forget()
}

fn forget() -> Result<(), SetupFailure> {
    remove(Path::new(SETUP_TAKE_BACK))?;
    // The timer's own service calls this too, and must not wait for itself.
    command::run("systemctl", &["stop", "--no-block", TIMER])
        .map(drop)
        .map_err(failed)
}

fn remove(path: &Path) -> Result<(), SetupFailure> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

fn read() -> Result<Option<Guard>, SetupFailure> {
    match fs_err::read(SETUP_TAKE_BACK) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Held for as long as this setup works.
pub(super) fn only_one_setup() -> Result<File, SetupFailure> {
    let path = Path::new(SETUP_LOCK);
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs_err::create_dir_all(folder).map_err(failed)?;
    let lock = File::create(path).map_err(failed)?;
    lock.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(failed)?;
    for _ in 0..OTHER_SETUP {
        if lock.try_lock().is_ok() {
            return Ok(lock);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    Err(SetupFailure {
        what: "another bootstrap is at work on this host".to_owned(),
        next: "wait until it is done, then bootstrap again".to_owned(),
    })
}
