//! People have keys and no passwords: those in sudo become root without one.

use std::path::Path;

use longshore_shared::setup::Desired;

use super::files::{self, Wanted};
use super::people::SUDO;
use super::plan::{Planned, failed};
use crate::command;

const SUDOERS: &str = "/etc/sudoers.d/longshore";

pub(super) fn plan(desired: &Desired, planned: &mut Planned) {
    let lines: String = desired
        .people
        .iter()
        .filter(|person| person.groups.contains(SUDO))
        .map(|person| format!("{} ALL=(ALL:ALL) NOPASSWD: ALL\n", person.name))
        .collect();
    if lines.is_empty() || !desired.system.sudo_without_password {
        files::plan_gone(planned, SUDOERS, None, "sudo without a password");
        return;
    }
    let wanted = Wanted {
        path: SUDOERS.to_owned(),
        content: format!(
            "# Made by longshore bootstrap: people have keys and no passwords.\n{lines}"
        )
        .into_bytes(),
        mode: 0o440,
        load: None,
    };
    if let Some(sign) = wanted.sign() {
        planned.change(
            format!("{sign} sudo without a password for those with keys ({SUDOERS})"),
            move |_| {
                // A file that sudo cannot read would lock everybody out of root.
                let trial = tempfile::NamedTempFile::new().map_err(failed)?;
                fs_err::write(trial.path(), &wanted.content).map_err(failed)?;
                command::run("visudo", &[Path::new("-cqf"), trial.path()]).map_err(failed)?;
                wanted.write().map_err(failed)
            },
        );
    }
}
