//! The files that the lab's operator has: an inventory with pinned host keys, and a home.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::accounts::{AGENT_GROUP, OPERATOR};
use crate::host::Host;

/// An inventory of these hosts, with every app on all of them.
pub fn render(environment: &str, hosts: &[&Host], apps: &BTreeMap<&str, &str>) -> String {
    let mut text =
        format!("[fleet]\nsigners = \"allowed_signers\"\n\n[environments.{environment}]\n");
    for host in hosts {
        text.push_str(&format!(
            "\n[[environments.{environment}.hosts]]\nname = \"{}\"\naddress = \"{}\"\n\
             user = \"{}\"\nroles = [\"web\"]\nhost_key = \"{}\"\n",
            host.name,
            host.address,
            OPERATOR.name,
            host.host_key.pinned(),
        ));
    }
    for (app, domain) in apps {
        text.push_str(&format!(
            "\n[environments.{environment}.apps.{app}]\nhosts = [\"@web\"]\ndomain = \"{domain}\"\n"
        ));
    }
    text
}

/// What bootstrap needs to know beside the hosts: the operator, and a way in for the lab itself.
pub fn with_people(inventory: &str, operator_key: &str) -> String {
    format!(
        "{inventory}\n[people.{}]\nkeys = [\"{}\"]\ngroups = [\"sudo\", \"{AGENT_GROUP}\"]\n\n\
         # `cargo lab ssh` comes in as root.\n[setup.sshd]\nroot_login = true\n",
        OPERATOR.name,
        operator_key.trim()
    )
}

/// A home folder whose SSH configuration offers this key to every host.
pub fn write_home(home: &Path, key: &Path) -> Result<(), io::Error> {
    let ssh = home.join(".ssh");
    fs_err::create_dir_all(&ssh)?;
    fs_err::set_permissions(&ssh, PermissionsExt::from_mode(0o700))?;
    let config = format!(
        "Host *\n    IdentityFile {}\n    IdentitiesOnly yes\n",
        key.display()
    );
    fs_err::write(ssh.join("config"), config)
}
