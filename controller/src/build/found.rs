//! What lies in a built folder.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use longshore_shared::tree::{Kind, MOST_ENTRIES, TreeError, check_path};

use super::pack::PackError;

/// Something that can become an entry of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) kind: Kind,
}

/// Everything in `folder` that becomes an entry, sorted by the bytes of its path.
pub(super) fn walk(folder: &Path) -> Result<Vec<Found>, PackError> {
    let mut found = Vec::new();
    let mut ahead: Vec<PathBuf> = vec![PathBuf::new()];
    while let Some(inner) = ahead.pop() {
        let mut empty = true;
        for item in fs::read_dir(folder.join(&inner)).map_err(PackError::Read)? {
            let item = item.map_err(PackError::Read)?;
            let inner = inner.join(item.file_name());
            let path = utf8(&inner)?;
            check_path(&path)?;
            empty = false;
            let metadata = item.metadata().map_err(PackError::Read)?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                ahead.push(inner);
            } else if kind.is_symlink() {
                let kind = Kind::Symlink;
                found.push(Found { path, kind });
            } else if kind.is_file() {
                let executable = metadata.permissions().mode() & 0o111 != 0;
                let kind = if executable {
                    Kind::Executable
                } else {
                    Kind::File
                };
                found.push(Found { path, kind });
            } else {
                let what = name_of(&kind);
                return Err(PackError::Type { path, what });
            }
            if found.len() + ahead.len() > MOST_ENTRIES {
                return Err(TreeError::TooMany.into());
            }
        }
        if empty && inner != Path::new("") {
            let (path, kind) = (utf8(&inner)?, Kind::EmptyFolder);
            found.push(Found { path, kind });
        }
    }
    found.sort_by(|one, other| one.path.as_bytes().cmp(other.path.as_bytes()));
    Ok(found)
}

pub(super) fn utf8(path: &Path) -> Result<String, PackError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let shown = path.to_string_lossy();
        PackError::Name(shown.chars().take(200).collect())
    })
}

fn name_of(kind: &std::fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "a fifo"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "of an unknown type"
    }
}
