//! After its steps a release belongs to root, and follows no link out of itself but those to the
//! app's `layers/` and `shared/` and to the system's own `/usr`.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::MEND_DISK;
use crate::layout::AppLayout;
use crate::operation::Trouble;

/// Seals all of `folder`, which no process but the agent reaches any more.
pub(super) fn seal(layout: &AppLayout, folder: &Path) -> Result<(), Trouble> {
    walk(layout, folder, folder, 0).map_err(|problem| match problem {
        Problem::Disk(error) => Trouble::because(&error, MEND_DISK),
        Problem::Refused(what) => Trouble::failed(
            what,
            "correct the steps of [[prepare]]; what they made was thrown away",
        ),
    })
}

/// A handle is held for every level.
const DEEPEST: usize = 128;

enum Problem {
    Disk(io::Error),
    Refused(String),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

fn walk(layout: &AppLayout, root: &Path, folder: &Path, depth: usize) -> Result<(), Problem> {
    if depth > DEEPEST {
        return Err(Problem::Refused(format!(
            "a step made more than {DEEPEST} folders in a row"
        )));
    }
    own(folder, &fs_err::symlink_metadata(folder)?, 0o755)?;
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let about = fs_err::symlink_metadata(&path)?;
        if about.is_dir() {
            walk(layout, root, &path, depth + 1)?;
        } else if about.is_file() {
            let mode = if about.mode() & 0o111 == 0 {
                0o644
            } else {
                0o755
            };
            own(&path, &about, mode)?;
        } else if about.is_symlink() {
            let target = fs_err::read_link(&path)?;
            if !is_allowed(layout, root, &path, &target) || !ends_inside(layout, root, &path) {
                let name = path
                    .strip_prefix(root)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                return Err(Problem::Refused(format!(
                    "a step made the link {name:?} to {target:?}, which leads out of the release"
                )));
            }
            lchown(&path, Some(0), Some(0))?;
        } else {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string();
            let what = format!("a step made {name:?}, which is neither file, folder nor link");
            return Err(Problem::Refused(what));
        }
    }
    Ok(())
}

/// Asks the kernel for a change only where there is one to make. A file that a step made keeps its
/// group: the app may still hold it open and write to it, so that no later release may trust it.
fn own(path: &Path, about: &std::fs::Metadata, mode: u32) -> io::Result<()> {
    if about.is_file() && about.uid() != 0 {
        lchown(path, Some(0), None)?;
    } else if !about.is_file() && (about.uid() != 0 || about.gid() != 0) {
        lchown(path, Some(0), Some(0))?;
    }
    if about.mode() & 0o7777 != mode {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    if about.uid() != 0 {
        forget_lists(path)?;
    }
    Ok(())
}

/// Access lists would outlive the owner, and that of a folder is what all made in it inherits. Only
/// an owner can set them, and that is root by now.
fn forget_lists(path: &Path) -> io::Result<()> {
    for list in ["system.posix_acl_default", "system.posix_acl_access"] {
        match rustix::fs::lremovexattr(path, list) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn is_allowed(layout: &AppLayout, root: &Path, link: &Path, target: &Path) -> bool {
    if target.is_absolute() {
        let places = [
            layout.layers(),
            layout.shared(),
            layout.app_mount(),
            PathBuf::from("/usr"),
        ];
        let plain = target.components().all(|part| part != Component::ParentDir);
        return plain && places.iter().any(|place| target.starts_with(place));
    }
    let Some(inner) = link.strip_prefix(root).ok().and_then(Path::parent) else {
        return false;
    };
    let mut depth = inner.components().count();
    target.components().all(|part| match part {
        Component::ParentDir => match depth.checked_sub(1) {
            Some(up) => {
                depth = up;
                true
            }
            None => false,
        },
        Component::Normal(_) => {
            depth += 1;
            true
        }
        _ => true,
    })
}

/// Strings cannot tell where a chain of links ends; the kernel can, where it ends at something.
fn ends_inside(layout: &AppLayout, root: &Path, link: &Path) -> bool {
    let Ok(end) = fs_err::canonicalize(link) else {
        return true;
    };
    let Ok(root) = fs_err::canonicalize(root) else {
        return false;
    };
    let places = [
        root,
        layout.layers(),
        layout.shared(),
        layout.app_mount(),
        PathBuf::from("/usr"),
    ];
    places.iter().any(|place| end.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_or_lead_to_the_apps_own_places() {
        let layout = AppLayout::new(&"cortico".parse().unwrap());
        let allowed = |link: &str, target: &str| {
            is_allowed(
                &layout,
                Path::new("/r"),
                &Path::new("/r").join(link),
                Path::new(target),
            )
        };
        assert!(allowed("a/b", "../c"));
        assert!(allowed(".venv", "/srv/longshore/cortico/layers/k/.venv"));
        assert!(allowed("media", "/srv/longshore/cortico/shared/media"));
        assert!(allowed(".venv/bin/python", "/usr/bin/python3"));
        assert!(!allowed("a/b", "../../c"));
        assert!(!allowed("static", "/etc"));
        assert!(!allowed("static", "/usr/../etc"));
        assert!(!allowed("static", "/srv/longshore/other/shared"));
        assert!(!allowed(
            "static",
            "/srv/longshore/cortico/shared/../../other"
        ));
    }
}
