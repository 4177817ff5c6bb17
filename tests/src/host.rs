//! One host: a Debian userland with its own systemd, sshd and network address.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio, id as process_id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::cgroup::{self, Cgroup};
use crate::keys::Key;
use crate::process;

/// Counts starts, so that each gets a cgroup of its own.
static STARTS: AtomicU32 = AtomicU32::new(0);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const KEEPER: &str = include_str!("keeper.sh");
const BOOT_PATIENCE: Duration = Duration::from_secs(180);
const STOP_PATIENCE: Duration = Duration::from_secs(180);
/// A command on a host that takes longer than this hangs.
const COMMAND_SECONDS: u32 = 600;

/// Why a host did not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The keeper could not be started.
    #[error("could not start {host}")]
    Start {
        /// The host's name.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It came up in part or not at all.
    #[error(
        "{host} is not up after {BOOT_PATIENCE:?}: {state}. Its console ({console}) ends:\n{tail}"
    )]
    NotUp {
        /// The host's name.
        host: String,
        /// What is missing.
        state: String,
        /// The console's file.
        console: PathBuf,
        /// The console's last lines.
        tail: String,
    },
    /// It was told to stop and did not.
    #[error("{host} still runs {STOP_PATIENCE:?} after it was told to power off")]
    StillUp {
        /// The host's name.
        host: String,
    },
    /// A command on the host failed.
    #[error("{host}: `{command}` ended with {status}:\n{tail}")]
    Command {
        /// The host's name.
        host: String,
        /// The command.
        command: String,
        /// The exit status in words.
        status: String,
        /// Its output.
        tail: String,
    },
    /// It is not running.
    #[error("{host} is not running")]
    Down {
        /// The host's name.
        host: String,
    },
    /// The host's cgroup failed.
    #[error(transparent)]
    Cgroup(#[from] cgroup::Error),
    /// A program of the lab failed.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// One host of a lab. Cheap to copy; it holds no process.
#[derive(Debug, Clone)]
pub struct Host {
    /// `web-1` and so on.
    pub name: String,
    /// Its address in the lab's network.
    pub address: Ipv4Addr,
    /// Its SSH host key.
    pub host_key: Key,
    /// Its place in the lab, from 0.
    pub index: u8,
    pub(crate) folder: PathBuf,
    pub base: PathBuf,
    pub(crate) namespace: String,
    pub(crate) machine: String,
    pub(crate) group: Cgroup,
    pub(crate) root_key: PathBuf,
}

impl Host {
    /// The host's own layer over the base: what was written before boot goes here.
    pub fn layer(&self) -> PathBuf {
        self.folder.join("upper")
    }

    /// Starts it and returns at once.
    pub fn start(&self) -> Result<(), Error> {
        for folder in ["upper", "work", "root"] {
            fs_err::create_dir_all(self.folder.join(folder))?;
        }
        self.group.remove()?;
        let leaf = format!(
            "keeper-{}-{}",
            process_id(),
            STARTS.fetch_add(1, Ordering::Relaxed)
        );
        self.group.child(&leaf).create()?;
        self.group.child("machine").create()?;
        let keeper = self.folder.join("keeper.sh");
        fs_err::write(&keeper, KEEPER)?;
        let console = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.console())?;
        let console = console.into_parts().0;
        let mut command = Command::new("setsid");
        command
            .args(["unshare", "--mount", "--propagation", "slave", "sh"])
            .arg(&keeper);
        command.arg(&self.base).arg(self.layer());
        command
            .arg(self.folder.join("work"))
            .arg(self.folder.join("root"));
        command
            .arg(cgroup::mounted()?)
            .arg(self.group.relative()?)
            .arg(&leaf);
        command.args([&self.namespace, &self.machine, &self.name]);
        command.env_clear().env("PATH", PATH);
        command.current_dir("/").stdin(Stdio::null());
        let start = |source| Error::Start {
            host: self.name.clone(),
            source,
        };
        command.stdout(console.try_clone()?).stderr(console);
        let mut child = command.spawn().map_err(start)?;
        // Whoever started the host collects it, so that a host that stops leaves no zombie behind
        // for as long as this process lives.
        thread::spawn(move || child.wait());
        Ok(())
    }

    /// Starts it and waits until people could log in.
    pub fn boot(&self) -> Result<(), Error> {
        self.start()?;
        self.wait_until_up()
    }

    /// Waits until sshd answers and systemd has started everything.
    pub fn wait_until_up(&self) -> Result<(), Error> {
        let deadline = Instant::now() + BOOT_PATIENCE;
        loop {
            let state = self.state();
            if state.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let console = fs_err::read_to_string(self.console()).unwrap_or_default();
                let lines: Vec<&str> = console.lines().collect();
                return Err(Error::NotUp {
                    host: self.name.clone(),
                    state,
                    console: self.console(),
                    tail: lines[lines.len().saturating_sub(15)..].join("\n"),
                });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What keeps the host from being up; empty when nothing does.
    fn state(&self) -> String {
        if !self.ssh_answers() {
            return String::from("sshd does not answer");
        }
        let Ok(output) = self.exec(&["systemctl", "is-system-running"]) else {
            return String::from("systemd does not answer");
        };
        let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // A failed unit is the business of whoever asked for the unit; the host itself is up.
        match state.as_str() {
            "running" | "degraded" => String::new(),
            _ => format!("systemd is {state:?}"),
        }
    }

    fn ssh_answers(&self) -> bool {
        let address = SocketAddr::from((self.address, 22));
        let patience = Duration::from_millis(500);
        let Ok(mut stream) = TcpStream::connect_timeout(&address, patience) else {
            return false;
        };
        let mut banner = [0; 4];
        stream.set_read_timeout(Some(patience)).is_ok()
            && stream.read_exact(&mut banner).is_ok()
            && &banner == b"SSH-"
    }

    /// Whether any of its processes runs.
    pub fn is_running(&self) -> bool {
        self.group.populated()
    }

    /// The number, on this machine, of the host's process 1.
    pub fn leader(&self) -> Option<u32> {
        let init = self
            .group
            .child("machine")
            .child("payload")
            .child("init.scope");
        init.processes().first().copied()
    }

    /// The path, on this machine, of a file of the running host.
    pub fn path(&self, inside: &str) -> Result<PathBuf, Error> {
        let leader = self.leader().ok_or_else(|| Error::Down {
            host: self.name.clone(),
        })?;
        Ok(Path::new("/proc")
            .join(leader.to_string())
            .join("root")
            .join(inside.trim_start_matches('/')))
    }

    /// Runs a command as root inside the host, without sshd.
    pub fn exec(&self, words: &[&str]) -> Result<Output, Error> {
        let leader = self.leader().ok_or_else(|| Error::Down {
            host: self.name.clone(),
        })?;
        let mut command = Command::new("timeout");
        command.args([
            "--kill-after=5",
            &COMMAND_SECONDS.to_string(),
            "nsenter",
            "--all",
        ]);
        command
            .args(["--target", &leader.to_string(), "--wd=/"])
            .args(words);
        command.env_clear().env("PATH", PATH);
        command.env("HOME", "/root").env("LANG", "C.UTF-8");
        Ok(process::output(&mut command)?)
    }

    /// Runs a shell script as root inside the host, and returns what it printed.
    pub fn sh(&self, script: &str) -> Result<String, Error> {
        let output = self.exec(&["sh", "-c", script])?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let mut tail = String::from_utf8_lossy(&output.stdout).into_owned();
        tail.push_str(&String::from_utf8_lossy(&output.stderr));
        Err(Error::Command {
            host: self.name.clone(),
            command: script.to_owned(),
            status: output.status.to_string(),
            tail,
        })
    }

    /// An `ssh` to the host as root with the lab's own key.
    pub fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        command
            .arg("-F")
            .arg("/dev/null")
            .arg("-i")
            .arg(&self.root_key);
        let known = format!(
            "UserKnownHostsFile={}",
            self.folder.join("known_hosts").display()
        );
        command.args([
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            &known,
        ]);
        command.args(["-o", "LogLevel=ERROR", &format!("root@{}", self.address)]);
        command
    }

    /// Restarts it as `reboot` does, and waits until it is up again.
    pub fn reboot(&self) -> Result<(), Error> {
        let before = self.leader();
        // The answer is lost when the host goes down before it is given.
        let _ = self.exec(&["systemctl", "reboot"])?;
        let deadline = Instant::now() + STOP_PATIENCE;
        while self.leader().is_none() || self.leader() == before {
            if Instant::now() > deadline {
                return Err(Error::StillUp {
                    host: self.name.clone(),
                });
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.wait_until_up()
    }

    /// Shuts it down in order.
    pub fn power_off(&self) -> Result<(), Error> {
        let _ = self.exec(&["systemctl", "poweroff"])?;
        let deadline = Instant::now() + STOP_PATIENCE;
        while self.is_running() {
            if Instant::now() > deadline {
                return Err(Error::StillUp {
                    host: self.name.clone(),
                });
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Kills every process of the host at once. What the host wrote stays in the machine's page
    /// cache, so this is a dead host, but not a lost disk cache.
    pub fn kill(&self) -> Result<(), Error> {
        Ok(self.group.kill()?)
    }

    fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }
}
