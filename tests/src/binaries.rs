//! Builds the product as it is shipped: the agent as one static binary, the controller as it is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use thiserror::Error;

use crate::machine;
use crate::privilege;
use crate::process;
use crate::provision::Product;

/// A processor that agents are built for. The C library is linked into the binary.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// As `uname -m` says it.
    pub name: &'static str,
    /// As the compiler says it.
    pub target: &'static str,
    /// What links it.
    pub linker: &'static str,
}

/// Ours first, which needs no other toolchain.
pub const MACHINES: [Machine; 2] = [X86_64, AARCH64];
const X86_64: Machine = Machine {
    name: "x86_64",
    target: "x86_64-unknown-linux-gnu",
    linker: "gcc",
};
const AARCH64: Machine = Machine {
    name: "aarch64",
    target: "aarch64-unknown-linux-gnu",
    linker: "aarch64-linux-gnu-gcc",
};

/// Why the binaries could not be built.
#[derive(Debug, Error)]
pub enum Error {
    /// cargo failed, and said why on standard error.
    #[error("could not build {package}")]
    Build {
        /// The package.
        package: &'static str,
        /// How cargo ended.
        #[source]
        source: process::Error,
    },
    /// cargo succeeded and told of no binary.
    #[error("cargo built {package} and named no binary of it")]
    NoBinary {
        /// The package.
        package: &'static str,
    },
}

/// Builds the agent; quick when nothing changed.
pub fn product() -> Result<Product, Error> {
    Ok(Product {
        agent: agent(X86_64)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        units: workspace().join("systemd"),
    })
}

/// The agent for a processor, if this machine can build it.
pub fn agent_for(machine: Machine) -> Result<Option<PathBuf>, Error> {
    let has_library = || {
        let mut ask = Command::new("rustc");
        ask.args(["--print", "target-libdir", "--target", machine.target]);
        process::run(&mut ask).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
    };
    if !machine::has(machine.linker) || !has_library() {
        return Ok(None);
    }
    agent(machine).map(Some)
}

fn agent(machine: Machine) -> Result<PathBuf, Error> {
    let Machine { target, linker, .. } = machine;
    let flags = format!("target.{target}.rustflags=[\"-C\",\"target-feature=+crt-static\"]");
    let mut options = vec!["--target", target, "--config", &flags];
    let linker = format!("target.{target}.linker=\"{linker}\"");
    if target != X86_64.target {
        options.extend(["--config", &linker]);
    }
    build("longshore-agent", &options)
}

/// Builds the controller; quick when nothing changed.
pub fn controller() -> Result<PathBuf, Error> {
    build("longshore", &[])
}

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    let lab = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    lab.parent().map(Path::to_path_buf).unwrap_or(lab)
}

/// A cargo command in the workspace, as the person who called.
pub fn cargo() -> Command {
    let program = env::var("CARGO").unwrap_or_else(|_| String::from("cargo"));
    let mut command = privilege::as_caller(&program);
    command.current_dir(workspace());
    command
}

/// Builds an example of a package.
pub fn example(package: &'static str, name: &'static str) -> Result<PathBuf, Error> {
    build_as(package, name, &["--example", name])
}

fn build(package: &'static str, options: &[&str]) -> Result<PathBuf, Error> {
    build_as(package, package, options)
}

fn build_as(package: &'static str, name: &'static str, options: &[&str]) -> Result<PathBuf, Error> {
    let mut command = cargo();
    command.args([
        "build",
        "--quiet",
        "--release",
        "--message-format=json-render-diagnostics",
    ]);
    command.args(["--package", package]).args(options);
    let messages =
        process::listen(&mut command).map_err(|source| Error::Build { package, source })?;
    executable(&messages, name).ok_or(Error::NoBinary { package })
}

/// The binary of this name among cargo's messages.
pub fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_read_from_cargos_messages() {
        let messages = "{\"target\":{\"name\":\"x\"},\"executable\":null}\nnoise\n\
                        {\"target\":{\"name\":\"x\"},\"executable\":\"/t/x\"}\n";
        assert_eq!(executable(messages, "x"), Some(PathBuf::from("/t/x")));
        assert_eq!(executable(messages, "y"), None);
    }
}
