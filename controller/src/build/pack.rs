//! A folder into a tarball that is the same on every machine, and its tree.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use fs_err as fs;
use longshore_shared::digest::{Digesting, Sha256Digest};
use longshore_shared::manifest::{Artifact, TreeArtifact};
use longshore_shared::tree::{Entry, Kind, Tree, TreeError};
use thiserror::Error;

use super::found::{Found, utf8};
use super::tar_writer::{END, Member, padding};

/// The name for "unknown" in a gzip header.
const NO_SYSTEM: u8 = 255;
const LEVEL: u32 = 6;
const BUFFER: usize = 128 * 1024;

/// Why a folder cannot become a release.
#[derive(Debug, Error)]
pub enum PackError {
    #[error("cannot read the built folder")]
    Read(#[source] io::Error),
    #[error("cannot write the tarball")]
    Write(#[source] io::Error),
    #[error("{path:?} is {what}, which no release can hold")]
    Type { path: String, what: &'static str },
    #[error("the name {0:?} is not UTF-8")]
    Name(String),
    #[error("{path:?} changed while it was read: something still writes there")]
    Changed { path: String },
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What was written.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) tarball: Artifact,
    pub(super) tar: Artifact,
    pub(super) tree: TreeArtifact,
}

/// Writes the tarball of what was found in `folder` to `out`. `time` is in seconds since 1970.
pub(super) fn pack(
    folder: &Path,
    found: Vec<Found>,
    time: i64,
    out: impl Write,
) -> Result<Packed, PackError> {
    let out = Digesting::new(io::BufWriter::with_capacity(BUFFER, out));
    let gzip: GzEncoder<_> = GzBuilder::new()
        .mtime(0)
        .operating_system(NO_SYSTEM)
        .write(out, Compression::new(LEVEL));
    let mut packer = Packer {
        folder,
        time: u64::try_from(time).unwrap_or(0),
        out: Digesting::new(gzip),
        entries: Vec::with_capacity(found.len()),
        targets: BTreeMap::new(),
        buffer: vec![0; BUFFER],
    };
    for Found { path, kind } in found {
        packer.add(path, kind)?;
    }
    packer.finish()
}

struct Packer<'a, W: Write> {
    folder: &'a Path,
    time: u64,
    out: Digesting<GzEncoder<Digesting<io::BufWriter<W>>>>,
    entries: Vec<Entry>,
    targets: BTreeMap<String, String>,
    buffer: Vec<u8>,
}

impl<W: Write> Packer<'_, W> {
    fn add(&mut self, path: String, kind: Kind) -> Result<(), PackError> {
        let place = self.folder.join(&path);
        let (size, digest) = match kind {
            Kind::EmptyFolder => {
                self.header(&path, kind, 0, "")?;
                (0, Sha256Digest::of(b""))
            }
            Kind::Symlink => {
                let target = fs::read_link(&place).map_err(PackError::Read)?;
                let target = utf8(&target)?;
                self.header(&path, kind, 0, &target)?;
                let digest = Sha256Digest::of(target.as_bytes());
                let size = target.len() as u64;
                self.targets.insert(path.clone(), target);
                (size, digest)
            }
            Kind::File | Kind::Executable => self.add_file(&path, kind, &place)?,
        };
        self.entries.push(Entry {
            kind,
            size,
            digest,
            path,
        });
        Ok(())
    }

    fn add_file(
        &mut self,
        path: &str,
        kind: Kind,
        place: &Path,
    ) -> Result<(u64, Sha256Digest), PackError> {
        let file = fs::File::open(place).map_err(PackError::Read)?;
        let size = file.metadata().map_err(PackError::Read)?.len();
        self.header(path, kind, size, "")?;
        let mut content = Digesting::new(file.take(size.saturating_add(1)));
        let mut written = 0;
        loop {
            let read = content.read(&mut self.buffer).map_err(PackError::Read)?;
            let bytes = self.buffer.get(..read).unwrap_or_default();
            written += bytes.len() as u64;
            if bytes.is_empty() || written > size {
                break;
            }
            self.out.write_all(bytes).map_err(PackError::Write)?;
        }
        if written != size {
            let path = path.to_owned();
            return Err(PackError::Changed { path });
        }
        let zeros = END.get(..padding(size)).unwrap_or_default();
        self.out.write_all(zeros).map_err(PackError::Write)?;
        let (_, digest, _) = content.finish();
        Ok((size, digest))
    }

    fn header(&mut self, path: &str, kind: Kind, size: u64, target: &str) -> Result<(), PackError> {
        let member = Member {
            path,
            kind,
            size,
            target,
            time: self.time,
        };
        self.out
            .write_all(&member.blocks())
            .map_err(PackError::Write)
    }

    fn finish(mut self) -> Result<Packed, PackError> {
        let tree = Tree::from_entries(self.entries)?;
        let targets = self
            .targets
            .iter()
            .map(|(path, target)| (path.as_str(), target.clone()))
            .collect();
        tree.check_links(&targets)?;
        self.out.write_all(&END).map_err(PackError::Write)?;
        let (size, sha256, gzip) = self.out.finish();
        let tar = Artifact { size, sha256 };
        let (size, sha256, mut out) = gzip.finish().map_err(PackError::Write)?.finish();
        out.flush().map_err(PackError::Write)?;
        let text = tree.render();
        Ok(Packed {
            tarball: Artifact { size, sha256 },
            tar,
            tree: TreeArtifact {
                size: text.len() as u64,
                sha256: Sha256Digest::of(text.as_bytes()),
                entries: tree.entries().len() as u64,
                bytes: tree.bytes(),
            },
        })
    }
}
