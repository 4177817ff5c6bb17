//! The checks that every change must pass.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use thiserror::Error;

use crate::binaries::{cargo, executable, workspace};
use crate::place::{BadName, Place};
use crate::{fuzz, machine, privilege, process, say};

/// The release of cargo-deny that is built where the machine has none.
const CARGO_DENY: &str = "0.20.2";

/// Tells the end-to-end tests that hosts may be booted.
pub const MAY_BOOT_HOSTS: &str = "LONGSHORE_LAB_E2E";

/// One kind of check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// rustfmt.
    Format,
    /// clippy.
    Lints,
    /// cargo-deny.
    Deny,
    /// Everything that needs no host.
    Unit,
    /// Noise for whatever reads what strangers may have written.
    Fuzz,
    /// Everything that needs hosts.
    EndToEnd,
}

impl Gate {
    /// In the order in which they run: the quickest first.
    pub const ALL: [Self; 6] = [
        Self::Format,
        Self::Lints,
        Self::Deny,
        Self::Unit,
        Self::Fuzz,
        Self::EndToEnd,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Lints => "lints",
            Self::Deny => "deny",
            Self::Unit => "unit",
            Self::Fuzz => "fuzz",
            Self::EndToEnd => "e2e",
        }
    }

    /// Whether it runs programs that the machine may lack.
    pub fn needs_tools(self) -> bool {
        matches!(self, Self::Deny | Self::Unit | Self::Fuzz | Self::EndToEnd)
    }

    /// The gate of this name.
    pub fn named(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|gate| gate.name() == name)
            .ok_or_else(|| Error::Unknown(name.to_owned()))
    }
}

/// Why a gate did not hold.
#[derive(Debug, Error)]
pub enum Error {
    /// No such gate.
    #[error("{0:?} is no gate; there are format, lints, deny, unit, fuzz and e2e")]
    Unknown(String),
    /// A check failed, and said why.
    #[error(transparent)]
    Check(#[from] process::Error),
    /// A fuzz target found something.
    #[error("the fuzz target {0} found an input that breaks it: it is in fuzz/, and named above")]
    Fuzz(String),
    /// The tests were built and cannot be found.
    #[error("cargo built the end-to-end tests and named no binary of them")]
    NoTests,
    /// The lab's name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A folder for tools could not be made.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Runs one gate, with extra words for the program behind it.
pub fn pass(gate: Gate, words: &[String]) -> Result<(), Error> {
    match gate {
        Gate::Format => {
            check(&["fmt", "--all", "--check"], words)?;
            let fuzz = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
            check(&fuzz, words)
        }
        Gate::Lints => {
            let lints = ["clippy", "--quiet", "--workspace", "--all-targets"];
            let mut words = words.to_vec();
            words.extend(["--", "-D", "warnings"].map(String::from));
            check(&lints, &words)
        }
        Gate::Deny => deny(),
        Gate::Unit => unit(words),
        Gate::Fuzz => fuzz::run(),
        Gate::EndToEnd => end_to_end(words),
    }
}

fn check(words: &[&str], more: &[String]) -> Result<(), Error> {
    Ok(process::show(
        cargo().args(words).args(more).env_remove(MAY_BOOT_HOSTS),
    )?)
}

fn unit(words: &[String]) -> Result<(), Error> {
    // nextest has no documentation tests, and cargo's own runner has them with all others.
    if machine::has("cargo-nextest") {
        check(&["nextest", "run", "--workspace", "--no-fail-fast"], words)?;
        return check(&["test", "--quiet", "--workspace", "--doc"], &[]);
    }
    check(&["test", "--quiet", "--workspace", "--no-fail-fast"], words)
}

/// Built as the person who called, run as root.
fn end_to_end(words: &[String]) -> Result<(), Error> {
    let mut build = cargo();
    build.args([
        "test",
        "--quiet",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    build.args(["--package", "longshore-lab", "--test", "e2e"]);
    let messages = process::listen(&mut build)?;
    let tests = executable(&messages, "e2e").ok_or(Error::NoTests)?;
    let mut run = Command::new(tests);
    run.current_dir(workspace())
        .env(MAY_BOOT_HOSTS, "1")
        .args(words);
    Ok(process::show(&mut run)?)
}

fn deny() -> Result<(), Error> {
    let tool = cargo_deny()?;
    let deny = |words: &[&str]| {
        let mut command = privilege::as_caller(&tool.to_string_lossy());
        command.current_dir(workspace()).args(words);
        command
    };
    process::show(&mut deny(&[
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))?;
    if let Err(error) = process::run(&mut deny(&["fetch", "db"])) {
        say::line("left out: advisories, because their database cannot be had from here:");
        say::error(&error);
        return Ok(());
    }
    let advisories = [
        "--log-level",
        "error",
        "check",
        "--disable-fetch",
        "advisories",
    ];
    Ok(process::show(&mut deny(&advisories))?)
}

/// The machine's own, else one that is built once and kept with what all labs share.
fn cargo_deny() -> Result<PathBuf, Error> {
    if machine::has("cargo-deny") {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let tools = Place::from_environment()?.cache().join("tools");
    let tool = tools.join("bin/cargo-deny");
    if !tool.is_file() {
        say::line("building cargo-deny, once: two or three minutes");
        privilege::folder_of_caller(&tools)?;
        let mut install = cargo();
        install
            .args(["install", "cargo-deny", "--locked", "--quiet"])
            .args(["--version", CARGO_DENY, "--root"])
            .arg(&tools);
        process::show(&mut install)?;
    }
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_found_by_name() {
        for gate in Gate::ALL {
            assert_eq!(Gate::named(gate.name()).unwrap(), gate);
        }
        assert!(Gate::named("tests").is_err());
    }
}
