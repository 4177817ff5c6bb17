//! A release that was built and signed, opened for shipping.
//!
//! A [`SignedRelease`] fits its signature; its tarball is not looked at yet. A value of [`Release`] has been checked from end to end: the signature fits the manifest, the
//! tarball and the tar inside are the signed bytes, and the tree that its entries make is the
//! signed tree. Who may sign is for each host to say.

mod contents;
mod files;
mod pax;
mod plain_tar;
mod spool;
pub(crate) mod tar_reader;

use std::io;
use std::path::{Path, PathBuf};

use longshore_shared::digest::{Digesting, Sha256Digest};
use longshore_shared::manifest::{LARGEST_MANIFEST, Manifest, ManifestError};
use longshore_shared::signature::{RELEASE_NAMESPACE, SshSig, SshSigError};
use longshore_shared::tree::Tree;
use longshore_shared::wire::latest::SignedManifest;
use thiserror::Error;

pub(crate) use contents::Section;
pub use contents::{Contents, ContentsError, Part, Question, Ranges};
pub use files::{ReleaseFiles, Wanted, find};
pub use plain_tar::TarballError;
pub(crate) use plain_tar::measure;
pub use tar_reader::TarError;

const LONGEST_SIGNATURE: usize = 8 * 1024;

/// Why a release cannot be shipped.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("{} is no release: name its .tar.gz or .json", .0.display())]
    Name(PathBuf),
    #[error("there is no release {}{}", path.display(), meant_words(meant.as_deref()))]
    Missing {
        path: PathBuf,
        meant: Option<PathBuf>,
    },
    #[error("{} is not there, and the release is not whole without it", .0.display())]
    Part(PathBuf),
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} cannot be used", path.display())]
    Manifest {
        path: PathBuf,
        #[source]
        source: ManifestError,
    },
    #[error("{} is no signature", path.display())]
    Signature {
        path: PathBuf,
        #[source]
        source: SshSigError,
    },
    #[error("{} does not fit the manifest beside it: it was changed after it was signed, or signed for something else", path.display())]
    Mismatch { path: PathBuf },
    #[error("{} is refused", path.display())]
    Tarball {
        path: PathBuf,
        #[source]
        source: TarballError,
    },
    #[error("{} is refused", path.display())]
    Tar {
        path: PathBuf,
        #[source]
        source: TarError,
    },
    #[error("{} does not hold the signed tree: its digest is {found}, and {signed} was signed", path.display())]
    OtherTree {
        path: PathBuf,
        found: Sha256Digest,
        signed: Sha256Digest,
    },
}

/// A release whose manifest and signature are checked, and whose tarball is not yet. Reading one is
/// quick, so that hosts can be asked about it while the tarball is still being checked.
#[derive(Debug, Clone)]
pub struct SignedRelease {
    files: ReleaseFiles,
    manifest: Manifest,
    signed: SignedManifest,
    fingerprint: String,
}

impl SignedRelease {
    /// Reads the release that `path` is a file of. Its tarball has to be there.
    pub fn read(path: &Path) -> Result<Self, OpenError> {
        let files = ReleaseFiles::of(path).ok_or_else(|| OpenError::Name(path.to_owned()))?;
        let read = |path: &Path, most| {
            files::read_bounded(path, most).map_err(|source| unread(path, source))
        };
        if !files.manifest.exists() && !files.tarball.exists() {
            return Err(OpenError::Missing {
                meant: files::nearest(path),
                path: path.to_owned(),
            });
        }
        let text = read(&files.manifest, LARGEST_MANIFEST)?;
        let manifest = Manifest::parse(&text).map_err(|source| OpenError::Manifest {
            path: files.manifest.clone(),
            source,
        })?;
        let signature = read(&files.signature, LONGEST_SIGNATURE)?;
        let (signed, fingerprint) = check_signature(&files, text, signature)?;
        std::fs::File::open(&files.tarball).map_err(|source| unread(&files.tarball, source))?;
        Ok(Self {
            files,
            manifest,
            signed,
            fingerprint,
        })
    }

    /// Checks the tarball, all of it. Blocks for as long as that takes.
    pub fn open(self) -> Result<Release, OpenError> {
        let tarball = &self.files.tarball;
        let (tar, listing) =
            plain_tar::spool(tarball, &self.manifest, tar_reader::read).map_err(|source| {
                OpenError::Tarball {
                    path: tarball.clone(),
                    source,
                }
            })?;
        let listing = listing.map_err(|source| OpenError::Tar {
            path: tarball.clone(),
            source,
        })?;
        listing.check_links().map_err(|error| OpenError::Tar {
            path: tarball.clone(),
            source: error.into(),
        })?;
        check_tree(tarball, &self.manifest, &listing.tree)?;
        Ok(Release {
            store: contents::Store::new(tar, listing, tarball),
            signed: self,
        })
    }

    /// Compares the software bill of materials with the signed one. It is for people alone, so a
    /// release is whole without it.
    pub fn check_bill(&self) -> Result<Bill, OpenError> {
        let Some(signed) = &self.manifest.sbom else {
            return Ok(Bill::NotMade);
        };
        let path = &self.files.sbom;
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Bill::NotHere),
            opened => opened.map_err(|source| unread(path, source))?,
        };
        let mut read = Digesting::new(io::Read::take(file, signed.size.saturating_add(1)));
        io::copy(&mut read, &mut io::sink()).map_err(|source| unread(path, source))?;
        let (size, digest, _) = read.finish();
        if (size, digest) == (signed.size, signed.sha256) {
            Ok(Bill::Fits)
        } else {
            Err(OpenError::Mismatch { path: path.clone() })
        }
    }

    /// What was signed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The exact text that was signed and its signature, as hosts want them.
    pub fn signed(&self) -> &SignedManifest {
        &self.signed
    }

    /// The fingerprint of the key that signed, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Where the release lies.
    pub fn files(&self) -> &ReleaseFiles {
        &self.files
    }
}

/// What there is of a software bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bill {
    /// The release names none.
    NotMade,
    /// It names one that does not lie beside it.
    NotHere,
    /// The one that was signed.
    Fits,
}

/// A checked release. Share it in an [`Arc`]; its methods block, so call them where that is fine.
#[derive(Debug)]
pub struct Release {
    signed: SignedRelease,
    store: contents::Store,
}

impl Release {
    /// Opens the release that `path` is a file of, and checks all of it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        SignedRelease::read(path)?.open()
    }

    /// What was signed.
    pub fn manifest(&self) -> &Manifest {
        self.signed.manifest()
    }

    /// The list that a host rebuilds the release from.
    pub fn tree(&self) -> &Tree {
        &self.store.listing().tree
    }

    /// The content of one file, of which no more than `most` bytes are read.
    pub(crate) fn content(&self, path: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        self.store.content(path, most)
    }

    /// What a host asks for, as one zstd frame.
    pub fn answer(&self, question: &Question) -> Result<Contents, ContentsError> {
        self.store.zst(question)
    }
}

fn unread(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => OpenError::Part(path),
        _ => OpenError::Read { path, source },
    }
}

fn meant_words(meant: Option<&Path>) -> String {
    meant.map_or_else(String::new, |meant| {
        format!("; did you mean `{}`?", meant.display())
    })
}

fn check_signature(
    files: &ReleaseFiles,
    manifest: Vec<u8>,
    signature: Vec<u8>,
) -> Result<(SignedManifest, String), OpenError> {
    let path = &files.signature;
    let no_text = |source| OpenError::Signature {
        path: path.clone(),
        source,
    };
    let signature = String::from_utf8(signature).map_err(|_| no_text(SshSigError::Armor))?;
    let sshsig = SshSig::parse(&signature).map_err(no_text)?;
    let fits = sshsig.namespace() == RELEASE_NAMESPACE && sshsig.fits(&manifest);
    let manifest = String::from_utf8(manifest).ok().filter(|_| fits);
    let Some(manifest) = manifest else {
        return Err(OpenError::Mismatch { path: path.clone() });
    };
    let signed = SignedManifest {
        manifest,
        signature,
    };
    Ok((signed, sshsig.fingerprint()))
}

fn check_tree(tarball: &Path, manifest: &Manifest, tree: &Tree) -> Result<(), OpenError> {
    let text = tree.render();
    let found = Sha256Digest::of(text.as_bytes());
    let signed = &manifest.tree;
    let fits = found == signed.sha256
        && text.len() as u64 == signed.size
        && tree.entries().len() as u64 == signed.entries
        && tree.bytes() == signed.bytes;
    if fits {
        return Ok(());
    }
    Err(OpenError::OtherTree {
        path: tarball.to_owned(),
        found,
        signed: signed.sha256,
    })
}
