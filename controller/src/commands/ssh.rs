//! `longshore ssh ENV HOST`: the real ssh, to a host of the inventory.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;

use clap::Args;
use longshore_shared::name::EnvironmentName;
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::inventory::{Host, HostSelection};
use crate::rollout::Interrupts;
use crate::ssh::Surroundings;

/// Log in to a host with your own ssh
///
/// Runs `ssh` with the address, the user and the pinned host key of the inventory. Your
/// ~/.ssh/config applies as it always does. Ends with ssh's own exit code.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore ssh production web-1
  longshore ssh production web-1 -- sudo journalctl -u nginx -n 50")]
pub(crate) struct SshArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// The host, as the inventory calls it
    #[arg(value_name = "HOST")]
    pub(crate) host: String,

    /// What to run there instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

pub(crate) async fn run(args: &SshArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let chosen =
        HostSelection::new(std::slice::from_ref(&args.host), &[]).choose(environment, |_| true)?;
    let [host] = chosen.as_slice() else {
        let names: Vec<&str> = chosen.iter().map(|host| host.name.as_str()).collect();
        return Err(CommandError::usage(format!(
            "`{}` names more than one host: say which ({})",
            args.host,
            names.join(", ")
        )));
    };
    let mut ssh = Ssh::to(&environment.name, host)?;
    ssh.command
        .arg("--")
        .arg(host.address.host())
        .args(&args.command);
    ssh.run().await
}

/// An ssh that is about to be started, and the file that it reads.
pub(super) struct Ssh {
    pub(super) command: Command,
    _pinned: Option<NamedTempFile>,
}

impl Ssh {
    /// Everything but the host's address and what follows it.
    pub(super) fn to(environment: &EnvironmentName, host: &Host) -> Result<Self, CommandError> {
        let pinned = pinned(environment, host).map_err(cannot_start)?;
        let mut command = Command::new("ssh");
        if let Some((alias, file)) = &pinned {
            let file = format!("UserKnownHostsFile={}", file.path().display());
            command.args(["-o", &format!("HostKeyAlias={alias}"), "-o", &file]);
            command.args(["-o", "GlobalKnownHostsFile=/dev/null"]);
            command.args(["-o", "StrictHostKeyChecking=yes"]);
        }
        let user = Surroundings::of_this_process()
            .forced_user
            .or_else(|| host.user.clone());
        command.args(user.iter().flat_map(|user| ["-l", user]));
        if let Some(port) = host.address.port() {
            command.args(["-p", &port.to_string()]);
        }
        Ok(Self {
            command,
            _pinned: pinned.map(|(_, file)| file),
        })
    }

    /// Runs it to its end, which is ours.
    pub(super) async fn run(mut self) -> Result<Exit, CommandError> {
        // Ctrl-C is for what runs there, and the file is to go when it has ended.
        let _listening = Interrupts::leave_to_another();
        let ended = self.command.status().await.map_err(cannot_start)?;
        let signal = |number: i32| 128u8.saturating_add(u8::try_from(number).unwrap_or(127));
        let code = match ended.code() {
            Some(code) => u8::try_from(code).unwrap_or(u8::MAX),
            None => ended.signal().map_or(u8::MAX, signal),
        };
        Ok(Exit::Command(code))
    }
}

fn cannot_start(error: std::io::Error) -> CommandError {
    CommandError::failed("ssh cannot be started").caused_by(error)
}

/// A file with the host's pinned keys, and the name that they have in it. Without such keys, ssh
/// goes by what the person has accepted before.
fn pinned(
    environment: &EnvironmentName,
    host: &Host,
) -> std::io::Result<Option<(String, NamedTempFile)>> {
    if host.host_keys.is_empty() {
        return Ok(None);
    }
    let alias = format!("{}.{environment}.longshore", host.name);
    let mut file = tempfile::Builder::new()
        .prefix("longshore-host-")
        .tempfile()?;
    for key in &host.host_keys {
        let key = key.to_openssh().map_err(std::io::Error::other)?;
        writeln!(file, "{alias} {key}")?;
    }
    Ok(Some((alias, file)))
}
