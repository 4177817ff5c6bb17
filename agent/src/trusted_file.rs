//! Files that decide what root runs here. They are read only when nobody but root could have
//! written them, and are read again for every order: a key that was taken out is out at once.

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use thiserror::Error;

const LARGEST: u64 = 1024 * 1024;

/// Why a file of trust is not used. Nothing is accepted then.
#[derive(Debug, Error)]
pub(crate) enum TrustedFileError {
    #[error("{path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} is not one that only root can write ({found}): mend it with `chown root:root` and `chmod go-w`"
    )]
    Writers { path: PathBuf, found: String },
    #[error("{path} is larger than a megabyte")]
    Size { path: PathBuf },
    #[error("{path} is not as it should be")]
    Toml {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
}

impl TrustedFileError {
    /// Whether there is no such file at all.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a file whose owner and mode are checked on the very file that is read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TrustedFileError> {
    let failed = |source: io::Error| TrustedFileError::Read {
        path: path.to_owned(),
        source,
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let file = std::fs::File::from(fd);
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() || about.uid() != 0 || about.mode() & 0o022 != 0 {
        let found = format!("owner {}, mode {:04o}", about.uid(), about.mode() & 0o7777);
        return Err(TrustedFileError::Writers {
            path: path.to_owned(),
            found,
        });
    }
    // Whoever may rename in its folder could put another file of root's in its place.
    let folder = path.parent().unwrap_or(Path::new("/"));
    let around = std::fs::metadata(folder).map_err(failed)?;
    if around.uid() != 0 || around.mode() & 0o022 != 0 {
        let found = format!(
            "owner {}, mode {:04o}",
            around.uid(),
            around.mode() & 0o7777
        );
        return Err(TrustedFileError::Writers {
            path: folder.to_owned(),
            found,
        });
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(TrustedFileError::Size {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// The same for a text.
pub(crate) fn read_text(path: &Path) -> Result<String, TrustedFileError> {
    String::from_utf8(read(path)?).map_err(|error| TrustedFileError::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

/// The same for a file in TOML.
pub(crate) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, TrustedFileError> {
    toml::from_str(&read_text(path)?).map_err(|source| TrustedFileError::Toml {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_files_that_others_could_write_are_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("allowed_signers");
        assert!(matches!(read(&path), Err(TrustedFileError::Read { .. })));
        std::fs::write(&path, "text").unwrap();
        let own_is_root = std::fs::metadata(&path).unwrap().uid() == 0;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path).is_ok(), own_is_root);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
        assert!(matches!(read(&path), Err(TrustedFileError::Writers { .. })));
        let link = folder.path().join("link");
        crate::links::make_in_private(&link, &path).unwrap();
        assert!(matches!(read(&link), Err(TrustedFileError::Read { .. })));
    }
}
