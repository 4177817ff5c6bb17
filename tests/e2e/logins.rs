//! Logging in to a host by the system's own ssh, as whoever tries.

use std::process::Command;

use longshore_lab::host::Host;
use longshore_lab::keys::Key;
use longshore_lab::process;

/// An `ssh` with a key, as somebody, that asks nothing.
pub(crate) fn ssh(host: &Host, key: &Key, user: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.args([
        "-F",
        "/dev/null",
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
    ]);
    ssh.args([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]);
    ssh.args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=30", "-i"]);
    ssh.arg(&key.file).arg(format!("{user}@{}", host.address));
    ssh
}

pub(crate) fn gets_in(host: &Host, key: &Key, user: &str) -> Result<bool, process::Error> {
    let output = process::output(ssh(host, key, user).arg("echo in"))?;
    Ok(output.status.success() && output.stdout == b"in\n")
}
