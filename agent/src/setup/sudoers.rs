//! People have keys and no passwords: those in sudo become root without one.

use std::path::Path;

use longshore_shared::setup::Desired;

use super::accounts::SUDO;
use super::files::{self, Wanted};
use super::plan::{Planned, failed};
use crate::command;

const SUDOERS: &str = "/etc/sudoers.d/longshore";

pub(super) fn plan(desired: &Desired, planned: &mut Planned) {
    let Some(lines) = lines(desired) else { return };
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

/// Plans that the file is no longer there, where nobody is wanted in it.
pub(super) fn plan_gone(desired: &Desired, planned: &mut Planned) {
    if lines(desired).is_none() {
        files::plan_gone(planned, SUDOERS, None, "sudo without a password");
    }
}

fn lines(desired: &Desired) -> Option<String> {
    let members = desired.people.iter();
    let lines: String = members
        .filter(|person| person.groups.contains(SUDO))
        .map(|person| format!("{} ALL=(ALL:ALL) NOPASSWD: ALL\n", person.name))
        .collect();
    (!lines.is_empty() && desired.system.sudo_without_password).then_some(lines)
}

/// Whether another file lets somebody become root without a password, as cloud images have it.
pub(super) fn others_let(name: &str) -> bool {
    let files = fs_err::read_dir("/etc/sudoers.d").into_iter().flatten();
    let files = files.flatten().map(|entry| entry.path());
    let mut files = files
        .filter(|path| path != Path::new(SUDOERS))
        .chain([Path::new("/etc/sudoers").to_owned()]);
    files.any(|path| {
        let text = fs_err::read(path).unwrap_or_default();
        lets(&String::from_utf8_lossy(&text), name)
    })
}

fn lets(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let whose = line.split_whitespace().next();
        whose.is_some_and(|whose| whose == name || whose.strip_prefix('%') == Some(SUDO))
            && line.contains("NOPASSWD:")
            && line.trim_end().ends_with("ALL")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cloud_images_say_of_sudo_is_understood() {
        assert!(lets(
            "# cloud-init\nubuntu ALL=(ALL) NOPASSWD:ALL\n",
            "ubuntu"
        ));
        assert!(lets("%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n", "debian"));
        assert!(!lets(
            "%sudo ALL=(ALL:ALL) ALL\nother ALL=(ALL) NOPASSWD:ALL\n",
            "ubuntu"
        ));
        assert!(!lets("ubuntu ALL=(ALL) NOPASSWD: /usr/bin/apt\n", "ubuntu"));
        assert!(!lets("# ubuntu ALL=(ALL) NOPASSWD:ALL\n", "ubuntu"));
    }
}
