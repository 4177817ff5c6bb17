//! SSH keys of the lab: its own way in, the login user's, the signer's, and each host's.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::process;

/// Why a key could not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// `ssh-keygen` failed.
    #[error("could not make the key {path}")]
    Generate {
        /// Where it was to be.
        path: PathBuf,
        /// What `ssh-keygen` said.
        #[source]
        source: process::Error,
    },
    /// A file could not be read or removed.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// A private key's file and the text of its public half.
#[derive(Debug, Clone)]
pub struct Key {
    /// The private half.
    pub file: PathBuf,
    /// `ssh-ed25519 AAAA… comment`.
    pub public: String,
}

impl Key {
    /// Makes a new ed25519 key without passphrase, in place of whatever was there.
    pub fn generate(file: &Path, comment: &str) -> Result<Self, Error> {
        for old in [file.to_path_buf(), file.with_extension("pub")] {
            if old.exists() {
                fs_err::remove_file(old)?;
            }
        }
        let mut command = Command::new("ssh-keygen");
        command
            .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
            .arg(file);
        process::run(&mut command).map_err(|source| Error::Generate {
            path: file.to_path_buf(),
            source,
        })?;
        Self::load(file)
    }

    /// A key that is there already.
    pub fn load(file: &Path) -> Result<Self, Error> {
        let public = fs_err::read_to_string(file.with_extension("pub"))?
            .trim()
            .to_owned();
        Ok(Self {
            file: file.to_path_buf(),
            public,
        })
    }

    /// The public half without its comment, as known_hosts and inventories want it.
    pub fn pinned(&self) -> String {
        self.public.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }
}

/// The keys of one lab.
#[derive(Debug, Clone)]
pub struct KeyRing {
    /// The lab's own way in, as root.
    pub root: Key,
    /// The operator's login.
    pub operator: Key,
    /// What releases are signed with.
    pub signing: Key,
}

impl KeyRing {
    /// New keys in this folder.
    pub fn generate(folder: &Path) -> Result<Self, Error> {
        fs_err::create_dir_all(folder)?;
        Ok(Self {
            root: Key::generate(&folder.join("root"), "lab")?,
            operator: Key::generate(&folder.join("ops1"), "ops1")?,
            signing: Key::generate(&folder.join("release"), "release@example.com")?,
        })
    }

    /// The keys that are there already.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: Key::load(&folder.join("root"))?,
            operator: Key::load(&folder.join("ops1"))?,
            signing: Key::load(&folder.join("release"))?,
        })
    }
}
