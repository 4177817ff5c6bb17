//! The agents that are brought along, and the command that lays one down on a host and runs it.

use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use longshore_shared::digest::Sha256Digest;
use thiserror::Error;

use super::become_root::Way;
use crate::agents::{self, AgentBinary};

/// Where an agent that was set up is run from.
const INSTALLED: &str = "/usr/local/bin/longshore-agent";

/// One agent, ready to be sent.
#[derive(Debug)]
pub(super) struct Packed {
    machine: String,
    pub(super) digest: Sha256Digest,
    pub(super) gz: Vec<u8>,
}

/// All that are at hand.
#[derive(Debug)]
pub(crate) struct Carried(Vec<Packed>);

/// Why there is no agent to bring along.
#[derive(Debug, Error)]
pub(crate) enum CarryError {
    #[error("there is no agent at hand that could be installed on hosts")]
    None,
    #[error("{} cannot be used as an agent", path.display())]
    Use {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Carried {
    /// The agent that was named, else all that are at hand.
    pub(crate) fn pack(named: Option<&Path>) -> Result<Self, CarryError> {
        let found = match named {
            Some(path) => vec![AgentBinary {
                machine: String::new(),
                path: path.to_owned(),
            }],
            None => agents::at_hand(),
        };
        if found.is_empty() {
            return Err(CarryError::None);
        }
        let packed = found.into_iter().map(|agent| {
            let path = agent.path.clone();
            pack(agent).map_err(|source| CarryError::Use { path, source })
        });
        packed.collect::<Result<_, _>>().map(Self)
    }

    /// The one for a processor.
    pub(super) fn of(&self, machine: &str) -> Option<&Packed> {
        self.0.iter().find(|agent| agent.machine == machine)
    }

    pub(super) fn machines(&self) -> String {
        let machines: Vec<&str> = self.0.iter().map(|agent| agent.machine.as_str()).collect();
        machines.join(", ")
    }
}

fn pack(agent: AgentBinary) -> io::Result<Packed> {
    let mut content = Vec::new();
    fs_err::File::open(&agent.path)?.read_to_end(&mut content)?;
    let machine = machine_of(&content)
        .ok_or_else(|| io::Error::other("it is no program for Linux on x86-64 or aarch64"))?;
    if !agent.machine.is_empty() && agent.machine != machine {
        let what = format!(
            "it is for {machine}, and lies among those for {}",
            agent.machine
        );
        return Err(io::Error::other(what));
    }
    let mut gz = GzEncoder::new(Vec::new(), Compression::new(6));
    gz.write_all(&content)?;
    Ok(Packed {
        machine: machine.to_owned(),
        digest: Sha256Digest::of(&content),
        gz: gz.finish()?,
    })
}

/// As `uname -m` says it; from the head of an ELF file of 64 bits.
fn machine_of(content: &[u8]) -> Option<&'static str> {
    let is_elf = content.starts_with(b"\x7fELF\x02\x01");
    match content.get(18..20).filter(|_| is_elf)? {
        [0x3e, 0] => Some("x86_64"),
        [0xb7, 0] => Some("aarch64"),
        _ => None,
    }
}

/// Runs the agent that is there already.
pub(super) fn installed(way: Way, words: &str) -> String {
    format!("{}{INSTALLED} {words}", way.prefix())
}

impl Packed {
    /// Takes the agent from standard input, checks it, runs it with what follows there, and takes
    /// it away again, however it ends. The home folder is the one place that a person can surely
    /// write to and run from.
    pub(super) fn lay_down_and_run(&self, way: Way) -> String {
        let (size, digest, root) = (self.gz.len(), &self.digest, way.prefix());
        format!(
            "sh -c 'set -eu; umask 077; d=$(mktemp -d \"$HOME/.longshore.XXXXXX\"); \
             trap \"rm -rf \\\"$d\\\"\" EXIT; trap \"exit 129\" HUP; trap \"exit 143\" TERM; \
             head -c {size} | gzip -dc > \"$d/longshore-agent\"; \
             echo \"{digest}  $d/longshore-agent\" | sha256sum -c --status - || \
             {{ echo \"the agent was damaged on its way\" >&2; exit 3; }}; \
             chmod 700 \"$d/longshore-agent\"; {root}\"$d/longshore-agent\" setup'"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_read_from_the_program_itself() {
        let own = std::env::current_exe().unwrap();
        let packed = Carried::pack(Some(&own)).unwrap();
        assert!(packed.of(std::env::consts::ARCH).is_some());
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("agent");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(matches!(
            Carried::pack(Some(&script)),
            Err(CarryError::Use { .. })
        ));
    }

    #[test]
    fn what_is_laid_down_runs_and_is_gone_afterwards() {
        let home = tempfile::tempdir().unwrap();
        let run = |content: &[u8], digest: Sha256Digest| {
            let mut gz = GzEncoder::new(Vec::new(), Compression::new(1));
            gz.write_all(content).unwrap();
            let packed = Packed {
                machine: String::new(),
                digest,
                gz: gz.finish().unwrap(),
            };
            let mut child = std::process::Command::new("sh")
                .args(["-c", &packed.lay_down_and_run(Way::IsRoot)])
                .env("HOME", home.path())
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = child.stdin.take().unwrap();
            input.write_all(&packed.gz).unwrap();
            input.write_all(b"what follows\n").unwrap();
            drop(input);
            child.wait_with_output().unwrap()
        };
        let script = b"#!/bin/sh\necho \"$1\"; cat\n";
        let good = run(script, Sha256Digest::of(script));
        assert_eq!(
            String::from_utf8_lossy(&good.stdout),
            "setup\nwhat follows\n"
        );
        let bad = run(script, Sha256Digest::of(b"another"));
        assert_eq!(bad.status.code(), Some(3), "{bad:?}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
