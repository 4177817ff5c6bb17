//! What this machine lacks to hold a lab, and its installation.

use std::process::Command;

use thiserror::Error;

use crate::{process, say};

/// A program that the lab runs, the Debian package that holds it, and what it is for.
#[derive(Debug)]
struct Tool {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "debootstrap",
        package: "debootstrap",
        why: "makes the hosts' Debian",
    },
    Tool {
        program: "systemd-nspawn",
        package: "systemd-container",
        why: "boots the hosts",
    },
    Tool {
        program: "ip",
        package: "iproute2",
        why: "the lab's network",
    },
    Tool {
        program: "curl",
        package: "curl",
        why: "asks sites over TLS",
    },
    Tool {
        program: "openssl",
        package: "openssl",
        why: "makes the certificates of stories",
    },
    Tool {
        program: "nft",
        package: "nftables",
        why: "lets the hosts reach package registries",
    },
    Tool {
        program: "strace",
        package: "strace",
        why: "kills the agent at an exact point of its work",
    },
    Tool {
        program: "unshare",
        package: "util-linux",
        why: "keeps the hosts' mounts private",
    },
    Tool {
        program: "ssh",
        package: "openssh-client",
        why: "`cargo lab ssh`, keys and signatures",
    },
    Tool {
        program: "git",
        package: "git",
        why: "the sample app's repository",
    },
    Tool {
        program: "gcc",
        package: "gcc",
        why: "SQLite inside the agent is C",
    },
    Tool {
        program: "g++",
        package: "g++",
        why: "the fuzzer is C++",
    },
    Tool {
        program: "pip3",
        package: "python3-pip",
        why: "the sample app's build step",
    },
    Tool {
        program: "rsync",
        package: "rsync",
        why: "a baseline of the benchmark",
    },
];

/// Why the machine could not be made ready.
#[derive(Debug, Error)]
pub enum Error {
    /// No apt to install with.
    #[error(
        "these programs are missing: {missing}. This is not a Debian machine (no apt-get), so \
         install them by hand and run the same command again"
    )]
    NotDebian {
        /// Which programs.
        missing: String,
    },
    /// apt failed.
    #[error("could not install {packages} with apt-get; nothing was booted")]
    Install {
        /// Which packages.
        packages: String,
        /// What apt said.
        #[source]
        source: process::Error,
    },
}

/// Installs what is missing, saying what and why. Needs root.
pub fn prepare() -> Result<(), Error> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !has(tool.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !has("apt-get") {
        let missing = missing
            .iter()
            .map(|tool| tool.program)
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Error::NotDebian { missing });
    }
    say::step("Installing the Debian packages that this machine lacks");
    for tool in &missing {
        say::line(&format!("{:<18} {}", tool.package, tool.why));
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    // The lists of a fresh cloud image are often missing or old; an update that fails may still
    // leave lists that serve, so only the installation's own answer counts.
    process::passes(apt().arg("update"));
    process::run(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&packages),
    )
    .map_err(|source| Error::Install {
        packages: packages.join(" "),
        source,
    })?;
    Ok(())
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .arg("--quiet");
    command
}

/// Whether a program is on the path, or where Debian keeps those of root.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}
