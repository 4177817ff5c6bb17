//! What this host is, looked at once for each plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use longshore_shared::setup::SetupFailure;

use super::accounts::Accounts;
use super::units::{self, Unit};
use crate::command;

const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";

/// The facts.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) os: String,
    pub(super) memory: u64,
    pub(super) container: bool,
    pub(super) packages: Packages,
    pub(super) accounts: Accounts,
    pub(super) units: BTreeMap<String, Unit>,
    /// What `sshd -T` says of itself.
    pub(super) sshd: BTreeMap<String, Vec<String>>,
    /// Whoever became root by sudo to run this.
    pub(super) logged_in_as: Option<String>,
}

/// What dpkg says is on the host.
#[derive(Debug, Default)]
pub(super) struct Packages {
    installed: BTreeSet<String>,
    /// Further names that those go by.
    provided: BTreeSet<String>,
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
        let read = |path: &str| {
            // Names of people in there may be of any encoding.
            let bytes = fs_err::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let release = read("/etc/os-release");
        let os = os_name(&release);
        if let Some(failure) = unfit(&os, &too_old_or_lacking(&release, &read(SSHD_CONFIG))) {
            return Err(failure);
        }
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

    /// Whether the package is there, by this name or by one that another has taken over.
    pub(super) fn has(&self, package: &str) -> bool {
        self.packages.installed.contains(package) || self.packages.provided.contains(package)
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

/// Why this system cannot be set up, each in a few words.
fn too_old_or_lacking(release: &str, sshd_config: &str) -> Vec<String> {
    if let Some(old) = too_old(release) {
        return vec![old];
    }
    let anywhere = |program: &str| {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
    };
    let systemd = Path::new("/run/systemd/system").is_dir();
    lacking(systemd, anywhere, sshd_config)
        .into_iter()
        .map(|what| format!("it lacks {what}"))
        .collect()
}

/// The tools that everything here is made with. Distributions that have them are fine.
fn lacking(systemd: bool, has: impl Fn(&str) -> bool, sshd_config: &str) -> Vec<&'static str> {
    let mut lacking = Vec::new();
    if !systemd {
        lacking.push("systemd as its first process");
    }
    for (program, what) in [
        ("apt-get", "apt"),
        ("dpkg", "dpkg"),
        ("useradd", "useradd (package passwd)"),
        ("sshd", "sshd (package openssh-server)"),
    ] {
        if !has(program) {
            lacking.push(what);
        }
    }
    if has("sshd") && !sshd_config.lines().any(includes_drop_ins) {
        lacking.push("an sshd_config that includes /etc/ssh/sshd_config.d/*.conf");
    }
    lacking
}

fn includes_drop_ins(line: &str) -> bool {
    let mut words = line.split(|c: char| c.is_whitespace() || c == '=');
    let first = words.find(|word| !word.is_empty()).unwrap_or_default();
    first.eq_ignore_ascii_case("include") && words.any(|word| word.contains("sshd_config.d"))
}

/// Their nginx, systemd and Python are older than what is made here.
fn too_old(release: &str) -> Option<String> {
    let value = |name: &str| {
        let mut lines = release.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().trim_matches('"')
    };
    let version: f64 = value("VERSION_ID").parse().ok()?;
    let first = match value("ID") {
        "debian" => 12.0,
        "ubuntu" => 22.04,
        _ => return None,
    };
    (version < first).then(|| "it is too old".to_owned())
}

fn unfit(os: &str, reasons: &[String]) -> Option<SetupFailure> {
    (!reasons.is_empty()).then(|| SetupFailure {
        what: format!("{os} cannot be set up: {}", reasons.join(", ")),
        next: "use a server with Debian 12 or later, or Ubuntu 22.04 or later, or add what it lacks, then bootstrap again".to_owned(),
    })
}

fn os_name(release: &str) -> String {
    let name = release
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
    for about in status.split("\n\n") {
        let field = |name: &str| {
            let mut lines = about.lines();
            let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.unwrap_or_default()
        };
        let name = field("Package").to_owned();
        let mut words = field("Status").split(' ');
        match (words.next(), words.next_back()) {
            (_, Some("installed")) => {
                // Such as `libssl3 (= 3.0.13), libssl:any`.
                let provided = field("Provides").split(',');
                let provided = provided
                    .filter_map(|one| one.split([' ', '(', ':']).find(|word| !word.is_empty()));
                packages.provided.extend(provided.map(str::to_owned));
                packages.installed.insert(name);
            }
            (_, Some("not-installed" | "config-files") | None) => {}
            _ => {
                packages.half.insert(name);
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
             Package: gone\nStatus: deinstall ok config-files\nProvides: old\n\n\
             Package: libssl3t64\nStatus: install ok installed\nVersion: 3\nProvides: libssl3 (= 3.0.13), ssl:any\n\n\
             Package: held\nStatus: hold ok installed\n",
        );
        let names: Vec<_> = packages.installed.iter().map(String::as_str).collect();
        assert_eq!(names, ["held", "libssl3t64", "nginx"]);
        assert_eq!(packages.half, BTreeSet::from(["half".to_owned()]));
        let provided = ["libssl3", "ssl"].map(str::to_owned);
        assert_eq!(packages.provided, BTreeSet::from(provided));
    }

    #[test]
    fn a_system_that_will_not_do_is_told_why() {
        let all = |_: &str| true;
        let includes = "Include /etc/ssh/sshd_config.d/*.conf\n";
        assert!(lacking(true, all, includes).is_empty());
        assert!(lacking(true, all, "  include=\"/etc/ssh/sshd_config.d/*\"\n").is_empty());
        let comment = format!("#{includes}# see sshd_config.d\n");
        assert_eq!(lacking(true, all, &comment).len(), 1);
        let bare = lacking(false, |program| program != "apt-get", includes);
        assert_eq!(bare, ["systemd as its first process", "apt"]);
        let words = bare.iter().map(|what| format!("it lacks {what}"));
        let failure = unfit("Alpine 3", &words.collect::<Vec<_>>()).unwrap();
        assert_eq!(
            failure.what,
            "Alpine 3 cannot be set up: it lacks systemd as its first process, it lacks apt"
        );
        assert!(failure.next.contains("Debian 12"));
        assert!(unfit("Debian 12", &[]).is_none());
    }

    #[test]
    fn a_release_that_is_too_old_is_known() {
        let old = |id: &str, version: &str| {
            too_old(&format!("NAME=\"x\"\nVERSION_ID=\"{version}\"\nID={id}\n")).is_some()
        };
        assert!(old("debian", "11") && old("ubuntu", "20.04") && old("ubuntu", "21.10"));
        assert!(!old("debian", "12") && !old("ubuntu", "22.04") && !old("ubuntu", "24.04"));
        assert!(!old("linuxmint", "21"));
        assert!(too_old("ID=debian\nPRETTY_NAME=\"Debian sid\"\n").is_none());
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:        2048 kB\n"), 2 << 20);
        assert_eq!(memory("x"), 0);
    }
}
