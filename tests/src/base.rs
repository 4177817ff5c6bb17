//! The Debian userland that all hosts of a kind share read-only, made once with debootstrap.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs::File, process};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{process as program, say};

/// Names a mirror where the machine's own apt has none.
const MIRROR: &str = "LONGSHORE_LAB_MIRROR";
const LOCAL_AUTHORITIES: &str = "/usr/local/share/ca-certificates";
/// Raise it when what `finish` does changes: it is part of every base's name.
const RECIPE: u32 = 4;

/// What a host has before anybody does anything to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ready for an agent: nginx, Python, SQLite; PostgreSQL and Redis, asleep.
    Serving,
    /// As a provider hands it over: sshd and sudo.
    Bare(Suite),
}

/// Which Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// 12
    Bookworm,
    /// 13
    Trixie,
}

impl Suite {
    /// As mirrors call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// What bootstrap installs, so that it need not be fetched by every host anew. It lies in apt's
/// cache; nothing of it is installed.
const FETCHED: &str = "nginx python3 python3-venv unattended-upgrades systemd-timesyncd nftables \
                       python3-systemd fail2ban tzdata certbot pebble openssl curl";

/// What an app of some stories needs, and is started by those alone.
const ASLEEP: &str = "postgresql redis-server";

impl Kind {
    fn name(self) -> String {
        match self {
            Self::Serving => "serving".to_owned(),
            Self::Bare(suite) => format!("bare-{}", suite.name()),
        }
    }

    fn suite(self) -> Suite {
        match self {
            Self::Serving => Suite::Bookworm,
            Self::Bare(suite) => suite,
        }
    }

    fn packages(self) -> Vec<&'static str> {
        let mut packages = vec![
            "systemd",
            "systemd-sysv",
            "dbus",
            "openssh-server",
            "sudo",
            "iproute2",
            "ca-certificates",
            "procps",
        ];
        match self {
            Self::Bare(_) => {}
            Self::Serving => packages.extend([
                "nginx",
                "python3",
                "python3-venv",
                "gunicorn",
                "sqlite3",
                "curl",
                "rsync",
                "iputils-ping",
            ]),
        }
        packages
    }

    /// What is done inside it last.
    fn last_words(self) -> String {
        match self {
            Self::Serving => format!(
                "update-ca-certificates && apt-get -qq update && \
                 DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install {ASLEEP} && \
                 systemctl --quiet disable {ASLEEP} && \
                 apt-get clean && rm -rf /var/lib/apt/lists && mkdir -p /var/lib/apt/lists/partial"
            ),
            // The lists are taken away again: a new server has to fetch its own.
            Self::Bare(_) => format!(
                "update-ca-certificates && apt-get -qq update && apt-get clean && \
                 apt-get -qq -y --no-install-recommends --download-only install {FETCHED} && \
                 rm -rf /var/lib/apt/lists && mkdir -p /var/lib/apt/lists/partial"
            ),
        }
    }
}

/// Why a base could not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// debootstrap failed.
    #[error("could not make the hosts' Debian from {mirror}; is that mirror reachable?")]
    Debootstrap {
        /// Where packages were to come from.
        mirror: String,
        /// What debootstrap said.
        #[source]
        source: program::Error,
    },
    /// Nothing to make it from.
    #[error(
        "the apt sources of this machine name no mirror of Debian (run `apt-get update`, \
         or set {MIRROR} to one)"
    )]
    NoMirror,
    /// The finishing touches inside the new userland failed.
    #[error("could not finish the hosts' Debian")]
    Finish(#[source] program::Error),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// The folder of a finished base; made now if this machine has none of this content yet.
pub fn ready(kind: Kind, cache: &Path) -> Result<PathBuf, Error> {
    let mirror = mirror()?;
    let key = key(kind, &mirror);
    let bases = cache.join("bases");
    let finished = bases.join(&key);
    if finished.is_dir() {
        return Ok(finished);
    }
    fs_err::create_dir_all(&bases)?;
    let lock = File::create(bases.join(format!("{key}.lock")))?;
    lock.lock()?;
    if finished.is_dir() {
        return Ok(finished);
    }
    clear_unfinished(&bases, &key)?;
    say::step(&format!(
        "Making the hosts' Debian ({}), once: about a minute",
        kind.name()
    ));
    say::line(&format!("from {mirror} into {}", finished.display()));
    let unfinished = bases.join(format!("{key}.{}.part", process::id()));
    debootstrap(kind, &mirror, &unfinished)?;
    finish(kind, &unfinished)?;
    fs_err::rename(&unfinished, &finished)?;
    Ok(finished)
}

/// In namespaces of its own, so that what debootstrap mounts and starts is gone with it, and it is
/// gone with this process, however that dies.
fn debootstrap(kind: Kind, mirror: &str, target: &Path) -> Result<(), Error> {
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig=KILL",
        "unshare",
        "--pid",
        "--fork",
        "--kill-child=KILL",
    ]);
    command.args(["--mount", "--mount-proc", "--propagation=private"]);
    command.args(["debootstrap", "--variant=minbase"]);
    command.arg(format!("--include={}", kind.packages().join(",")));
    command.arg(kind.suite().name()).arg(target).arg(mirror);
    program::run(&mut command).map_err(|source| Error::Debootstrap {
        mirror: mirror.to_owned(),
        source,
    })?;
    Ok(())
}

fn finish(kind: Kind, root: &Path) -> Result<(), Error> {
    // A public userland shared by all hosts must hold nothing that tells one host from another.
    for entry in fs_err::read_dir(root.join("etc/ssh"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs_err::remove_file(entry.path())?;
        }
    }
    fs_err::write(root.join("etc/machine-id"), "")?;
    // They are active as on any server, for bootstrap looks at that, and never begin.
    for noise in ["apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer"] {
        let folder = root.join(format!("etc/systemd/system/{noise}.d"));
        fs_err::create_dir_all(&folder)?;
        let never = "[Timer]\nOnCalendar=\nOnCalendar=2099-01-01\nPersistent=no\n";
        fs_err::write(folder.join("never.conf"), never)?;
    }
    let authorities = root.join(LOCAL_AUTHORITIES.trim_start_matches('/'));
    fs_err::create_dir_all(&authorities)?;
    for (name, content) in local_authorities() {
        let path = authorities.join(name);
        fs_err::write(&path, content)?;
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o644))?;
    }
    let script = kind.last_words();
    program::run(Command::new("chroot").arg(root).args(["sh", "-c", &script]))
        .map_err(Error::Finish)?;
    for default_site in [
        "etc/nginx/sites-enabled/default",
        "etc/resolv.conf",
        "etc/hostname",
    ] {
        let path = root.join(default_site);
        if path.symlink_metadata().is_ok() {
            fs_err::remove_file(path)?;
        }
    }
    Ok(())
}

fn clear_unfinished(bases: &Path, key: &str) -> Result<(), Error> {
    for entry in fs_err::read_dir(bases)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(key) && name.ends_with(".part") {
            fs_err::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn key(kind: Kind, mirror: &str) -> String {
    let mut digest = Sha256::new();
    let (suite, packages) = (kind.suite().name(), kind.packages());
    let last = kind.last_words();
    digest.update(format!("{RECIPE} {suite} {mirror} {packages:?} {last}"));
    for (name, content) in local_authorities() {
        digest.update(name);
        digest.update(content);
    }
    let digest = digest.finalize();
    let short: String = digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{short}", kind.name())
}

/// Certificate authorities that this machine's owner added: the hosts reach the same registries.
fn local_authorities() -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs_err::read_dir(LOCAL_AUTHORITIES) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "crt")
        })
        .filter_map(|entry| {
            let content = fs_err::read(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), content))
        })
        .collect();
    found.sort();
    found
}

/// The mirror that was named, else the one that this machine's own apt uses for Debian; mirrors have
/// every release.
fn mirror() -> Result<String, Error> {
    if let Ok(named) = std::env::var(MIRROR) {
        return Ok(named);
    }
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE) $(COMPONENT)",
    ]);
    command.arg("Created-By: Packages");
    let targets = program::run(&mut command).unwrap_or_default();
    let listed = |file: &str| fs_err::read_to_string(file).unwrap_or_default();
    mirror_in(&targets, listed).ok_or(Error::NoMirror)
}

/// Cloud images name a file that lists mirrors; debootstrap wants one of them.
fn mirror_in(targets: &str, listed: impl Fn(&str) -> String) -> Option<String> {
    let plain = |uri: &str| {
        let plain = uri.starts_with("http://") || uri.starts_with("https://");
        plain.then(|| uri.trim_end_matches('/').to_owned())
    };
    targets.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [uri, "bookworm" | "trixie", "main"] = words[..] else {
            return None;
        };
        match uri.strip_prefix("mirror+file:") {
            Some(file) => {
                let file = format!("/{}", file.trim_matches('/'));
                listed(&file)
                    .lines()
                    .find_map(|line| plain(line.split_whitespace().next()?))
            }
            None => plain(uri),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mirror_from_the_machines_sources() {
        let targets = "http://a.example/debian/ bookworm-updates main\n\
                       http://b.example/debian/ bookworm contrib\n\
                       http://c.example/debian/ bookworm main\n";
        let none = |_: &str| String::new();
        let found = mirror_in(targets, none);
        assert_eq!(found.as_deref(), Some("http://c.example/debian"));
        assert_eq!(
            mirror_in("http://u.example/ubuntu/ noble main\n", none),
            None
        );
        assert_eq!(mirror_in("cdrom:[Debian]/ bookworm main\n", none), None);
        let cloud = "mirror+file:///etc/apt/mirrors/debian.list/ bookworm main\n";
        let listed = |file: &str| {
            assert_eq!(file, "/etc/apt/mirrors/debian.list");
            "# the nearest\nhttps://d.example/debian priority:1\n".to_owned()
        };
        assert_eq!(
            mirror_in(cloud, listed).as_deref(),
            Some("https://d.example/debian")
        );
        assert_eq!(mirror_in(cloud, none), None);
    }

    #[test]
    fn another_mirror_is_another_base() {
        assert_ne!(
            key(Kind::Serving, "http://a"),
            key(Kind::Serving, "http://b")
        );
    }
}
