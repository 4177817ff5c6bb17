//! What this host is, looked at once for each plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use longshore_shared::setup::SetupFailure;

use super::accounts::Accounts;
use super::units::{self, Unit};
use crate::command;

/// The facts.
#[derive(Debug)]
pub(super) struct Facts {
    os: String,
    pub(super) memory: u64,
    pub(super) container: bool,
    pub(super) packages: Packages,
    pub(super) accounts: Accounts,
    units: BTreeMap<String, Unit>,
    /// What `sshd -T` says of itself.
    pub(super) sshd: BTreeMap<String, Vec<String>>,
    /// Whoever became root by sudo to run this.
    pub(super) logged_in_as: Option<String>,
}

/// What dpkg says is on the host.
#[derive(Debug, Default)]
pub(super) struct Packages {
    pub(super) installed: BTreeSet<String>,
    /// Begun and not finished.
    pub(super) half: BTreeSet<String>,
    /// dpkg was stopped before it had written down how far it came.
    pub(super) interrupted: bool,
}

impl Facts {
    pub(super) fn gather() -> Result<Self, SetupFailure> {
        if !rustix::process::geteuid().is_root() {
            return Err(SetupFailure {
                what: "setup does not run as root here".to_owned(),
                next: "log in as root, or as somebody who may use sudo".to_owned(),
            });
        }
        let os = os_name();
        let lacking = lacking();
        if !lacking.is_empty() {
            return Err(SetupFailure {
                what: format!("{os} cannot be set up: it lacks {}", lacking.join(", ")),
                next: "use a server with Debian 12 or later, or Ubuntu 22.04 or later".to_owned(),
            });
        }
        let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
        Ok(Self {
            os,
            memory: memory(&read("/proc/meminfo")),
            container: Path::new("/run/systemd/container").exists(),
            packages: Packages {
                interrupted: fs_err::read_dir("/var/lib/dpkg/updates")
                    .is_ok_and(|mut left| left.next().is_some()),
                ..packages(&read("/var/lib/dpkg/status"))
            },
            accounts: Accounts::read()?,
            units: units::look(),
            sshd: sshd_settings(),
            logged_in_as: std::env::var("SUDO_USER")
                .ok()
                .filter(|name| name != "root"),
        })
    }

    pub(super) fn unit(&self, name: &str) -> Unit {
        self.units.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn has(&self, package: &str) -> bool {
        self.packages.installed.contains(package)
    }

    /// The first value of one of sshd's settings.
    pub(super) fn sshd_says(&self, setting: &str) -> Option<&str> {
        self.sshd.get(setting)?.first().map(String::as_str)
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gibibytes = self.memory as f64 / f64::from(1 << 30);
        let machine = std::env::consts::ARCH;
        write!(out, "{}, {machine}, {gibibytes:.1} GiB of memory", self.os)
    }
}

/// The tools that everything here is made with. Distributions that have them are fine.
fn lacking() -> Vec<&'static str> {
    let anywhere = |program: &str| {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
    };
    let mut lacking = Vec::new();
    if !Path::new("/run/systemd/system").is_dir() {
        lacking.push("systemd as its first process");
    }
    for (program, what) in [
        ("apt-get", "apt"),
        ("dpkg", "dpkg"),
        ("useradd", "useradd (package passwd)"),
        ("sshd", "sshd (package openssh-server)"),
    ] {
        if !anywhere(program) {
            lacking.push(what);
        }
    }
    let dropped_in = fs_err::read_to_string("/etc/ssh/sshd_config")
        .is_ok_and(|text| text.contains("sshd_config.d"));
    if anywhere("sshd") && !dropped_in {
        lacking.push("an sshd_config that includes /etc/ssh/sshd_config.d");
    }
    lacking
}

fn os_name() -> String {
    let text = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(
        || "an unknown system".to_owned(),
        |name| command::printable(name.trim_matches('"')),
    )
}

fn memory(meminfo: &str) -> u64 {
    let kibibytes = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

fn packages(status: &str) -> Packages {
    let mut packages = Packages::default();
    let mut name = "";
    for line in status.lines() {
        if let Some(found) = line.strip_prefix("Package: ") {
            name = found;
        } else if let Some(found) = line.strip_prefix("Status: ") {
            let mut words = found.split(' ');
            match (words.next(), words.next_back()) {
                (_, Some("installed")) => {
                    packages.installed.insert(name.to_owned());
                }
                (_, Some("not-installed" | "config-files")) | (None, _) => {}
                _ => {
                    packages.half.insert(name.to_owned());
                }
            }
        }
    }
    packages
}

fn sshd_settings() -> BTreeMap<String, Vec<String>> {
    // sshd wants its own folder even to talk about itself; systemd makes it only while it runs.
    let _there_already = fs_err::create_dir_all("/run/sshd");
    let said = command::run("sshd", &["-T"]).unwrap_or_default();
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in said.lines() {
        if let Some((setting, value)) = line.split_once(' ') {
            let values = settings.entry(setting.to_owned()).or_default();
            values.push(value.to_owned());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_tells_what_is_whole_and_what_is_half() {
        let packages = packages(
            "Package: nginx\nStatus: install ok installed\nVersion: 1\n\n\
             Package: half\nStatus: install ok half-configured\n\n\
             Package: gone\nStatus: deinstall ok config-files\n\n\
             Package: held\nStatus: hold ok installed\n",
        );
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&packages.installed), ["held", "nginx"]);
        assert_eq!(names(&packages.half), ["half"]);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:        2048 kB\n"), 2 << 20);
        assert_eq!(memory("x"), 0);
    }
}
