//! Puts the files of a release into `dist/`.
//!
//! Each is written under another name first. The manifest gets its name last: where it is, the
//! release is whole, whatever interrupted the build.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use tempfile::NamedTempFile;
use thiserror::Error;

use super::pack::Packed;
use crate::release::{ReleaseFiles, measure};

/// Why a release was not written.
#[derive(Debug, Error)]
pub enum PublishError {
    #[error("cannot write into {}", folder.display())]
    Write {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is there already, with other bytes than this build has made", path.display())]
    Exists { path: PathBuf },
}

/// What is written beside the tarball.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    pub(super) manifest: &'a [u8],
    pub(super) signature: &'a str,
    pub(super) sbom: Option<&'a [u8]>,
}

/// A tarball that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    dist: PathBuf,
    tarball: NamedTempFile,
}

impl Draft {
    pub(super) fn begin(dist: &Path) -> Result<Self, PublishError> {
        let write = |source| PublishError::Write {
            folder: dist.to_owned(),
            source,
        };
        make_folder(dist).map_err(write)?;
        Ok(Self {
            dist: dist.to_owned(),
            tarball: temporary(dist).map_err(write)?,
        })
    }

    pub(super) fn tarball(&mut self) -> &mut std::fs::File {
        self.tarball.as_file_mut()
    }

    /// Gives the files their names. Returns whether the same release was there before.
    pub(super) fn publish(
        self,
        files: &ReleaseFiles,
        packed: &Packed,
        texts: &Texts<'_>,
    ) -> Result<bool, PublishError> {
        let unchanged = same_release(files, packed, texts.manifest)?;
        self.write(files, texts, unchanged)
            .map_err(|source| PublishError::Write {
                folder: self.dist.clone(),
                source,
            })?;
        Ok(unchanged)
    }

    fn write(&self, files: &ReleaseFiles, texts: &Texts<'_>, unchanged: bool) -> io::Result<()> {
        let keep = |file: &NamedTempFile, path: &Path| {
            file.as_file().sync_all()?;
            fs::rename(file.path(), path)
        };
        let kept = |bytes: &[u8], path: &Path| {
            let mut file = temporary(&self.dist)?;
            file.write_all(bytes)?;
            keep(&file, path)
        };
        if !unchanged {
            keep(&self.tarball, &files.tarball)?;
        }
        match texts.sbom {
            Some(bill) => kept(bill, &files.sbom)?,
            None => remove_if_there(&files.sbom)?,
        }
        kept(texts.signature.as_bytes(), &files.signature)?;
        if !unchanged {
            kept(texts.manifest, &files.manifest)?;
        }
        Ok(())
    }
}

/// A build that was interrupted may have left one that belongs to nothing.
fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A new folder tells git to pass over it: a release must not end up in the next commit, and so in
/// the next release.
fn make_folder(dist: &Path) -> io::Result<()> {
    match fs::create_dir(dist) {
        Ok(()) => fs::write(dist.join(".gitignore"), "*\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether this very release is there; another one under its name is an error.
fn same_release(
    files: &ReleaseFiles,
    packed: &Packed,
    manifest: &[u8],
) -> Result<bool, PublishError> {
    let read = |path: &Path, source| PublishError::Read {
        path: path.to_owned(),
        source,
    };
    let path = &files.manifest;
    match std::fs::read(path) {
        Ok(there) if there == manifest => {}
        Ok(_) => return Err(PublishError::Exists { path: path.clone() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(read(path, error)),
    }
    let path = &files.tarball;
    let mut tarball = match std::fs::File::open(path) {
        Ok(tarball) => tarball,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(read(path, error)),
    };
    let there = measure(&mut tarball).map_err(|source| read(path, source))?;
    if there == packed.tarball {
        Ok(true)
    } else {
        Err(PublishError::Exists { path: path.clone() })
    }
}

/// As readable as the umask lets any file be: a release is no secret.
fn temporary(dist: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(dist)
}
