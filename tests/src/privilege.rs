//! Root for what needs root, and the person's own account for everything that cargo writes.

use std::env;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use thiserror::Error;

use crate::process;

/// Tells the lab, started again as root, whose it is.
const CALLER: &str = "LONGSHORE_LAB_CALLER";

/// Why the lab cannot become root.
#[derive(Debug, Error)]
pub enum Error {
    /// Neither root nor passwordless sudo.
    #[error(
        "the lab boots hosts, which needs root: run it as root, or let sudo work without a \
         password (`sudo -n true` must succeed). Nothing was changed."
    )]
    NotRoot,
    /// The lab could not start itself again.
    #[error("could not start the lab again as root")]
    Again(#[source] io::Error),
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns at once for root with root's path; else starts this program again as that, in its
/// place.
pub fn become_root() -> Result<(), Error> {
    let path = env::var("PATH").unwrap_or_default();
    let whole = with_roots_folders(&path);
    if is_root() && path == whole {
        return Ok(());
    }
    let mut again = if is_root() {
        let mut env = Command::new("env");
        env.arg(format!("PATH={whole}"));
        env
    } else if process::passes(Command::new("sudo").args(["-n", "true"])) {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "env", &format!("PATH={whole}")]);
        // What is on a command line can be read by everybody, so only what the lab needs is.
        for (key, value) in env::vars_os().filter(|(key, _)| is_needed(&key.to_string_lossy())) {
            let mut pair = key;
            pair.push("=");
            pair.push(value);
            sudo.arg(pair);
        }
        let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
        sudo.arg(format!("{CALLER}={}:{}", uid.as_raw(), gid.as_raw()));
        sudo
    } else {
        return Err(Error::NotRoot);
    };
    again
        .arg(env::current_exe().map_err(Error::Again)?)
        .args(env::args_os().skip(1));
    Err(Error::Again(again.exec()))
}

fn is_needed(key: &str) -> bool {
    let prefixes = ["LONGSHORE_LAB", "CARGO", "RUST", "PIP_", "LC_"];
    let names = [
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "TERM",
        "CI",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    names.contains(&key) || prefixes.iter().any(|prefix| key.starts_with(prefix))
}

/// Debian keeps root's programs apart, and gives those folders to root's login alone.
fn with_roots_folders(path: &str) -> String {
    let mut whole = path.to_owned();
    for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
        if !path.split(':').any(|have| have == folder) {
            whole.push(':');
            whole.push_str(folder);
        }
    }
    whole
}

/// Who called, where the lab has made itself root; a person who is root anyway is nobody else.
fn caller() -> Option<(u32, u32)> {
    let text = env::var(CALLER).ok()?;
    let (uid, gid) = text.split_once(':')?;
    let caller = (uid.parse().ok()?, gid.parse().ok()?);
    is_root().then_some(caller)
}

/// A command that runs as the person who called, so that no file of theirs becomes root's.
pub fn as_caller(program: &str) -> Command {
    let Some((uid, gid)) = caller() else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"));
    command.args(["--init-groups", "--", program]);
    command
}

/// Makes a folder that belongs to the person who called, for programs that run as them.
pub fn folder_of_caller(path: &Path) -> Result<(), io::Error> {
    fs_err::create_dir_all(path)?;
    match caller() {
        Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_folders_are_added_once() {
        let whole = with_roots_folders("/usr/bin:/usr/sbin");
        assert_eq!(whole, "/usr/bin:/usr/sbin:/usr/local/sbin:/sbin");
        assert_eq!(with_roots_folders(&whole), whole);
    }
}
