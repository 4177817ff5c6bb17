//! Root for what needs root, and the person's own account for everything that cargo writes.

use std::env;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use thiserror::Error;

use crate::process;

/// Why the lab cannot become root.
#[derive(Debug, Error)]
pub enum Error {
    /// Neither root nor passwordless sudo.
    #[error(
        "the lab boots hosts, which needs root: run it as root, or let sudo work without a \
         password (`sudo -n true` must succeed). Nothing was changed."
    )]
    NotRoot,
    /// sudo was there and could not be run.
    #[error("could not start sudo")]
    Sudo(#[source] std::io::Error),
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns at once for root; else starts this program again under sudo, in its place.
pub fn become_root() -> Result<(), Error> {
    if is_root() {
        return Ok(());
    }
    if !process::passes(Command::new("sudo").args(["-n", "true"])) {
        return Err(Error::NotRoot);
    }
    let mut again = Command::new("sudo");
    again.args(["-n", "env"]);
    for (key, value) in env::vars_os() {
        let mut pair = key;
        pair.push("=");
        pair.push(value);
        again.arg(pair);
    }
    again
        .arg(env::current_exe().map_err(Error::Sudo)?)
        .args(env::args_os().skip(1));
    Err(Error::Sudo(again.exec()))
}

/// A command that runs as the person who called sudo, so that no file of theirs becomes root's.
pub fn as_caller(program: &str) -> Command {
    let caller = (env::var("SUDO_UID"), env::var("SUDO_GID"));
    match caller {
        (Ok(uid), Ok(gid)) if is_root() && uid != "0" => {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"));
            command.args(["--init-groups", "--", program]);
            command
        }
        _ => Command::new(program),
    }
}

/// Makes a folder that belongs to the person who called, for programs that run as them.
pub fn folder_of_caller(path: &Path) -> Result<(), io::Error> {
    fs_err::create_dir_all(path)?;
    let number = |key: &str| env::var(key).ok().and_then(|text| text.parse().ok());
    match (number("SUDO_UID"), number("SUDO_GID")) {
        (Some(uid), Some(gid)) if is_root() => chown(path, Some(uid), Some(gid)),
        _ => Ok(()),
    }
}
