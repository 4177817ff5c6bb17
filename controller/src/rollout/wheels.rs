//! Wheels that a host cannot install are found before anything travels, and not minutes later by the
//! host's pip.

use longshore_shared::app_file::AppFile;

use super::member::Member;
use super::outcome::HostFailure;
use crate::build::wheels::Target;
use crate::release::Release;

/// What of a release a host's own Python cannot install.
pub(super) fn misfit(release: &Release, member: &Member) -> Option<HostFailure> {
    if !uses_the_hosts_python(&release.manifest().app_file) {
        return None;
    }
    let machine = &member.link.as_ref()?.hello().machine;
    let target = Target::new(member.python.as_deref()?, machine, None)?;
    let paths = release.tree().entries().iter();
    let misfits = target.misfits(paths.map(|entry| entry.path.as_str()));
    let (first, more) = misfits.split_first()?;
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(", and so for {} more packages", more.len())
    };
    Some(HostFailure {
        what: format!("{first} for {}: {target}{more}", member.name()),
        causes: vec!["the release brings wheels that this host cannot install".to_owned()],
        hints: vec![format!("In [build] run: {}", target.pip_download())],
        ..HostFailure::default()
    })
}

/// An app that brings its own Python chooses its wheels for that one.
fn uses_the_hosts_python(file: &AppFile) -> bool {
    let commands = file.prepare.iter().flat_map(|step| &step.run);
    commands
        .flat_map(|command| command.as_str().split_whitespace())
        .any(|word| matches!(word, "python3" | "/usr/bin/python3"))
}
