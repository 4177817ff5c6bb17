//! `cargo lab dist`: one tarball to install from, with the controller and the agents that it can
//! install on hosts.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::Done;
use crate::binaries::{self, workspace};
use crate::{process, say};

/// Builds the tarball and says where it is.
pub fn run() -> Done {
    let tarball = make(&workspace().join("target/dist"))?;
    say::line(&format!("{}", tarball.display()));
    say::line(
        "Unpack it anywhere and put its bin/ on the PATH, or copy bin and share to /usr/local.",
    );
    Ok(ExitCode::SUCCESS)
}

/// Builds the tarball in a folder.
pub fn make(folder: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("longshore-{version}-{}-linux", std::env::consts::ARCH);
    let root = folder.join(&name);
    if root.exists() {
        fs_err::remove_dir_all(&root)?;
    }
    let put = |from: &Path, to: &str| -> Result<(), std::io::Error> {
        let to = root.join(to);
        fs_err::create_dir_all(to.parent().unwrap_or(&root))?;
        fs_err::copy(from, to).map(drop)
    };
    say::step("Building the controller and the agents");
    put(&binaries::controller()?, "bin/longshore")?;
    for machine in binaries::MACHINES {
        match binaries::agent_for(machine)? {
            Some(agent) => {
                let to = format!("share/longshore/agents/{}/longshore-agent", machine.name);
                put(&agent, &to)?;
            }
            None => say::line(&format!(
                "left out: the agent for {}, which needs `rustup target add {}` and {}",
                machine.name, machine.target, machine.linker
            )),
        }
    }
    for file in ["README.md", "LICENSE", "inventory.example.toml"] {
        put(
            &workspace().join(file),
            &format!("share/doc/longshore/{file}"),
        )?;
    }
    let tarball = folder.join(format!("{name}.tar.gz"));
    pack(folder, &name, &tarball)?;
    Ok(tarball)
}

/// The same binaries give the same tarball.
fn pack(folder: &Path, name: &str, tarball: &Path) -> Result<(), process::Error> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--mode=u=rwX,go=rX", "--mtime=@0", "--gzip", "--create"])
        .arg("--file")
        .arg(tarball)
        .arg("--directory")
        .arg(folder)
        .arg(name);
    process::run(&mut tar).map(drop)
}
