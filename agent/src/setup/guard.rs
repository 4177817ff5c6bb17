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
use crate::layout::{SETUP_CONFIRMED, SETUP_GUARD_LOCK, SETUP_LOCK, SETUP_TAKE_BACK};
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

/// How the minute ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Confirmed,
    TakenBack,
}

impl Guard {
    /// Remembers these files as they are, and what has to be run once they are so again.
    pub(super) fn over(files: &[&str], commands: &[&[&str]]) -> Result<Self, SetupFailure> {
        let files = files.iter().map(|path| {
            let content = match fs_err::read(path) {
                Ok(content) => Some(content),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(failed(error)),
            };
            let path = PathBuf::from(path);
            Ok(Before { path, content })
        });
        let commands = commands.iter().map(|words| {
            let words = words.iter();
            words.map(ToString::to_string).collect()
        });
        Ok(Self {
            token: format!(
                "{}-{}",
                std::process::id(),
                jiff::Timestamp::now().as_nanosecond()
            ),
            files: files.collect::<Result<_, _>>()?,
            commands: commands.collect(),
        })
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
        if let Err(mut failure) = act() {
            if let Err(worse) = end(Some(&self.token)) {
                failure.what.push_str(&format!("; {}", worse.what));
            }
            return Err(failure);
        }
        let token = self.token.clone();
        talk.say(&FromSetup::Confirm { token });
        let heard = talk.hear(Duration::from_secs(CONFIRM_SECONDS));
        if end(Some(&self.token))? == End::Confirmed {
            return Ok(());
        }
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

    /// Brings all back that can be, whatever of it cannot.
    fn restore(&self) -> Result<(), SetupFailure> {
        let mut errors: Vec<String> = Vec::new();
        for before in &self.files {
            let restored = match &before.content {
                Some(content) => system_file::put(&before.path, content).map(drop),
                None => remove(&before.path),
            };
            errors.extend(restored.err().map(|error| error.to_string()));
        }
        for words in &self.commands {
            if let [program, words @ ..] = words.as_slice() {
                let ran = command::run(program, words);
                errors.extend(ran.err().map(|error| error.to_string()));
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(SetupFailure {
            what: format!("it could not be taken back: {}", errors.join("; ")),
            next: "the host tries again every few seconds and at its next start: mend its disk"
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
    let _one = one_at_a_time()?;
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
    end(None).map(drop)
}

/// Ends the minute: one look at whether it was confirmed decides, whoever looks first.
fn end(token: Option<&str>) -> Result<End, SetupFailure> {
    let _one = one_at_a_time()?;
    let confirmed = fs_err::read_to_string(SETUP_CONFIRMED).ok();
    let guard = read()?;
    let token = token.or(guard.as_ref().map(|guard| guard.token.as_str()));
    if token.is_some() && confirmed.as_deref() == token {
        forget()?;
        return Ok(End::Confirmed);
    }
    if let Some(guard) = &guard {
        guard.restore()?;
        forget()?;
    }
    Ok(End::TakenBack)
}

fn forget() -> Result<(), SetupFailure> {
    remove(Path::new(SETUP_TAKE_BACK)).map_err(failed)?;
    // The timer's own service calls this too, and must not wait for itself.
    command::run("systemctl", &["stop", "--no-block", TIMER])
        .map(drop)
        .map_err(failed)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
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

/// The confirmation, the timer and setup itself may all come in the same second.
fn one_at_a_time() -> Result<File, SetupFailure> {
    let lock = lock_file(SETUP_GUARD_LOCK)?;
    lock.lock().map_err(failed)?;
    Ok(lock)
}

fn lock_file(path: &str) -> Result<File, SetupFailure> {
    let path = Path::new(path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs_err::create_dir_all(folder).map_err(failed)?;
    let lock = File::create(path).map_err(failed)?;
    lock.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(failed)?;
    Ok(lock)
}

/// Held for as long as this setup works.
pub(super) fn only_one_setup() -> Result<File, SetupFailure> {
    let lock = lock_file(SETUP_LOCK)?;
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
