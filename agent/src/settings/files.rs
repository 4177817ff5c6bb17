//! Settings that an app takes as files: systemd hands each of its units a copy (`LoadCredential=`) of what
//! lies where root alone looks, and in no file system that lasts.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;

use longshore_shared::settings::SettingName;

use super::{MEND, effective};
use crate::layout::AppLayout;
use crate::operation::Trouble;
use crate::system_file::put_with_mode;

/// What a unit is told, line by line.
pub(crate) fn properties(layout: &AppLayout, names: &[SettingName]) -> Vec<String> {
    let folder = layout.setting_files();
    let each = |name: &SettingName| {
        [
            format!(
                "LoadCredential={name}:{}",
                folder.join(name.as_str()).display()
            ),
            format!("UnsetEnvironment={name}"),
        ]
    };
    names.iter().flat_map(each).collect()
}

/// Lays out those that a release takes, as they are now.
pub(crate) fn lay_out(layout: &AppLayout, names: &[SettingName]) -> Result<(), Trouble> {
    if names.is_empty() {
        return Ok(());
    }
    let settings = effective(layout)?;
    let folder = layout.setting_files();
    let write = || -> io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&folder)?;
        for name in names {
            let file = folder.join(name.as_str());
            match settings.get(name) {
                Some(value) => put_with_mode(&file, value.reveal().as_bytes(), 0o600)?,
                None => match fs_err::remove_file(&file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
        }
        Ok(())
    };
    write().map_err(|error| Trouble::because(&error, MEND))
}

/// Those of a release that its steps take: what a preview is still to be given is not there yet, and
/// systemd starts nothing that takes a file which is not there.
pub(crate) fn for_step(layout: &AppLayout, names: &[SettingName]) -> Vec<SettingName> {
    let lacking = match layout.app.preview() {
        Some(_) => not_set(layout, names),
        None => Vec::new(),
    };
    let there = names.iter().filter(|name| !lacking.contains(name));
    there.cloned().collect()
}

/// Those that are laid out: what is started again by systemd alone takes them as they are by then, as it
/// does with its environment.
pub(super) fn laid_out(layout: &AppLayout) -> Vec<SettingName> {
    let entries = fs_err::read_dir(layout.setting_files())
        .into_iter()
        .flatten();
    let name = |entry: io::Result<fs_err::DirEntry>| {
        SettingName::new(entry.ok()?.file_name().to_str()?).ok()
    };
    entries.filter_map(name).collect()
}

/// Those of a release that are not set.
pub(crate) fn not_set(layout: &AppLayout, names: &[SettingName]) -> Vec<SettingName> {
    let settings = effective(layout).unwrap_or_default();
    let missing = names.iter().filter(|name| !settings.contains_key(*name));
    missing.cloned().collect()
}
