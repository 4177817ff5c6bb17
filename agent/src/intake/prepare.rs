//! `[[prepare]]`: the app's own steps in the new release, as the app's user.
//!
//! While they run, folders of the release are the app's, so that steps can add and replace; the
//! signed files stay root's. Afterwards all is sealed again.

use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;

use longshore_shared::app_file::LONGEST_STEP;
use longshore_shared::manifest::Manifest;
use longshore_shared::signature::Verified;
use longshore_shared::tree::Tree;

use super::{MEND_DISK, home, layers, seal, shared};
use crate::layout::AppLayout;
use crate::operation::{Operation, Trouble};
use crate::settings::files;
use crate::step_unit::{Mount, StepUnit, release_environment};
use crate::trust::HostTrust;

/// Compiles what the release itself brings. A file that does not compile is the app's business.
const COMPILE: &str = "p=.venv/bin/python; [ -x $p ] || p=$(command -v python3) || exit 0; \
     $p -m compileall -q -x '(^|/)(\\.venv|node_modules)/' . >/dev/null 2>&1; exit 0";

/// Makes the release in `folder` ready to run. Gives back the keys of the layers that it uses.
pub(super) fn prepare(
    layout: &AppLayout,
    release: &Verified<Manifest>,
    trust: &HostTrust,
    tree: &Tree,
    folder: &Path,
    operation: &Operation,
) -> Result<Vec<String>, Trouble> {
    let manifest = release.value();
    let failed = |error: io::Error| Trouble::because(&error, MEND_DISK);
    let owner = home::identity(layout).ok_or_else(|| {
        Trouble::failed(
            format!("the user {} is gone", layout.user()),
            "deploy again to make it",
        )
    })?;
    shared::link(layout, manifest, folder, owner).map_err(failed)?;
    let steps = &manifest.app_file.prepare;
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    give_folders(folder, owner).map_err(failed)?;
    let run = |command: &str| {
        let unit = StepUnit {
            layout,
            release: folder.to_owned(),
            mount: Mount::Writable,
            environment: release_environment(layout, manifest),
            files: files::for_step(layout, &manifest.app_file.settings.files),
            longest: LONGEST_STEP,
        };
        unit.run(operation, "prepare", command)
    };
    let mut used = Vec::new();
    for step in steps {
        let Some(layer) = &step.layer else {
            step.run
                .iter()
                .try_for_each(|command| run(command.as_str()))?;
            continue;
        };
        let key = layers::key(step, layer, tree)?;
        let layers::Found { name, here } = layers::find(layout, key, trust);
        if here {
            operation.unchanged("prepare", &format!("layer {name:.12} is here already"));
        } else {
            step.run
                .iter()
                .try_for_each(|command| run(command.as_str()))?;
            let maker = release.signature();
            layers::keep(layout, layer, &name, folder, operation.id(), maker)?;
        }
        layers::link(layout, layer, &name, folder, owner)?;
        used.push(name);
    }
    if tree
        .entries()
        .iter()
        .any(|entry| entry.path.ends_with(".py"))
    {
        run(COMPILE)?;
    }
    seal::seal(layout, folder)?;
    Ok(used)
}

fn give_folders(folder: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    lchown(folder, Some(uid), Some(gid))?;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_folders(&entry.path(), (uid, gid))?;
        }
    }
    Ok(())
}
