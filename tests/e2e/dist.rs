//! What people install.

use std::process::Command;

use longshore_lab::commands::dist;
use longshore_lab::process;
use serde_json::Value;

use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "dist::a_tarball_holds_the_controller_and_agents_that_run_on_hosts",
    tell: a_tarball_installs,
}];

fn a_tarball_installs() -> Told {
    let lease = lease(1)?;
    let tarball = dist::make(&lease.folder().join("dist"))?;
    let root = lease.folder().join("installed");
    fs_err::create_dir_all(&root)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--strip-components=1", "--file"]);
    process::run(tar.arg(&tarball).arg("--directory").arg(&root))?;

    let mut longshore = Command::new(root.join("bin/longshore"));
    let said = process::run(longshore.env_clear().args(["version", "--json"]))?;
    let said: Value = serde_json::from_str(said.trim())?;
    assert_eq!(said["agents"][0]["machine"], "x86_64", "{said}");
    let agent = said["agents"][0]["path"].as_str().ok_or("no agent")?;
    assert!(
        agent.starts_with(&*root.canonicalize()?.to_string_lossy()),
        "{agent}"
    );

    let host = &lease.hosts[0];
    fs_err::copy(agent, host.path("root/new-agent")?)?;
    let version = host.sh("/root/new-agent version")?;
    assert_eq!(
        version.trim(),
        format!(
            "longshore-agent {}",
            said["version"].as_str().unwrap_or_default()
        )
    );
    Ok(())
}
