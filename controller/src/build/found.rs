//! What a release is made of: entries of an archive, or what lies in a built folder.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use longshore_shared::tree::{Kind, MOST_ENTRIES, TreeError, check_path};

use super::pack::PackError;
use crate::release::Section;

/// Something that can become an entry of a release.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) content: Content,
}

/// Where the content is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Of an empty folder.
    Nothing,
    /// Of a symlink.
    Target(String),
    File(PathBuf),
    /// In a plain tar, from byte `at` on.
    Archived {
        tar: Arc<File>,
        at: u64,
        size: u64,
    },
}

impl Content {
    /// The size, and a reader of so many bytes: of more, where the file has grown since.
    pub(super) fn open(&self) -> io::Result<(u64, Box<dyn Read + Send>)> {
        Ok(match self {
            Self::Nothing => (0, Box::new(io::empty())),
            Self::Target(target) => {
                let bytes = target.clone().into_bytes();
                (bytes.len() as u64, Box::new(io::Cursor::new(bytes)))
            }
            Self::File(path) => {
                let file = fs::File::open(path)?;
                (file.metadata()?.len(), Box::new(file))
            }
            Self::Archived { tar, at, size } => {
                let section = Section {
                    file: Arc::clone(tar),
                    at: *at,
                    left: *size,
                };
                (*size, Box::new(section))
            }
        })
    }

    /// The content as text, if it is one of at most `most` bytes.
    pub(super) fn text(&self, most: u64) -> io::Result<String> {
        let (size, reader) = self.open()?;
        if size > most {
            let words = format!("it has {size} bytes, and {most} are the most");
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        let mut text = String::new();
        reader.take(most).read_to_string(&mut text)?;
        Ok(text)
    }
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
            let (kind, content) = if kind.is_dir() {
                ahead.push(inner);
                continue;
            } else if kind.is_symlink() {
                let target = fs::read_link(item.path()).map_err(PackError::Read)?;
                (Kind::Symlink, Content::Target(utf8(&target)?))
            } else if kind.is_file() {
                let executable = metadata.permissions().mode() & 0o111 != 0;
                let kind = if executable {
                    Kind::Executable
                } else {
                    Kind::File
                };
                (kind, Content::File(item.path()))
            } else {
                let what = name_of(&kind);
                return Err(PackError::Type { path, what });
            };
            found.push(Found {
                path,
                kind,
                content,
            });
            if found.len() + ahead.len() > MOST_ENTRIES {
                return Err(TreeError::TooMany.into());
            }
        }
        if empty && inner != Path::new("") {
            found.push(Found {
                path: utf8(&inner)?,
                kind: Kind::EmptyFolder,
                content: Content::Nothing,
            });
        }
    }
    found.sort_by(|one, other| one.path.as_bytes().cmp(other.path.as_bytes()));
    Ok(found)
}

fn utf8(path: &Path) -> Result<String, PackError> {
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
