//! A short run of the fuzz targets: a longer one is `cargo fuzz run TARGET` in the same folder.

use std::path::PathBuf;
use std::process::Command;

use crate::binaries::{cargo, executable, workspace};
use crate::gates::Error;
use crate::{process, say};

/// Each reads what a stranger may have written.
const TARGETS: [&str; 4] = ["manifest", "signature", "signers", "wire"];
/// Long enough to go through the seeds and a million changes of them.
const SECONDS: u32 = 5;
const MOST_MEMORY_MIB: u32 = 512;
const BUILT_FOR: &str = "x86_64-unknown-linux-gnu";
/// What tells the fuzzer which ways the code has taken. They need no nightly compiler, as the checks
/// of memory would, which code without `unsafe` has no use for.
const FLAGS: &str = "target.x86_64-unknown-linux-gnu.rustflags=[\
    \"-Cpasses=sancov-module\", \
    \"-Cllvm-args=-sanitizer-coverage-level=4\", \
    \"-Cllvm-args=-sanitizer-coverage-inline-8bit-counters\", \
    \"-Cllvm-args=-sanitizer-coverage-pc-table\", \
    \"-Cllvm-args=-sanitizer-coverage-trace-compares\", \
    \"-Ccodegen-units=1\", \"--cfg\", \"fuzzing\"]";

/// Builds the targets and runs each for a moment.
pub(crate) fn run() -> Result<(), Error> {
    let folder = workspace().join("fuzz");
    let mut build = cargo();
    build
        .args(["build", "--quiet", "--release", "--locked"])
        .arg("--message-format=json-render-diagnostics")
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .args(["--target", BUILT_FOR, "--config", FLAGS])
        // Beside what is built with other flags, which would have to be built again each time.
        .arg("--target-dir")
        .arg(target_folder().join("fuzz"));
    let messages = process::listen(&mut build)?;
    for target in TARGETS {
        let binary = executable(&messages, target).ok_or(Error::NoTests)?;
        one(target, binary, folder.join("seeds").join(target))?;
    }
    Ok(())
}

fn target_folder() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| workspace().join("target"))
}

/// What the fuzzer finds on the way is thrown away, but for an input that breaks something: that is
/// written into `fuzz/`, and named.
fn one(target: &str, binary: PathBuf, seeds: PathBuf) -> Result<(), Error> {
    let found = tempfile::tempdir()?;
    let mut fuzzer = Command::new(binary);
    fuzzer
        .current_dir(workspace().join("fuzz"))
        .arg(format!("-max_total_time={SECONDS}"))
        .arg(format!("-rss_limit_mb={MOST_MEMORY_MIB}"))
        .arg("-timeout=5")
        .arg(found.path());
    if seeds.is_dir() {
        fuzzer.arg(seeds);
    }
    let said = process::output(&mut fuzzer)?;
    let text = String::from_utf8_lossy(&said.stderr);
    if said.status.success() {
        let runs = text.lines().rev().find(|line| line.starts_with("Done "));
        say::line(&format!("{target:<10} {}", runs.unwrap_or("done")));
        return Ok(());
    }
    let last: Vec<&str> = text.lines().rev().take(30).collect();
    for line in last.iter().rev() {
        say::line(line);
    }
    Err(Error::Fuzz(target.to_owned()))
}
