//! What was found into a tarball that is the same on every machine, and its tree.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use longshore_shared::digest::{Digesting, Sha256Digest};
use longshore_shared::manifest::{Artifact, TreeArtifact};
use longshore_shared::tree::{Entry, Kind, Tree, TreeError};
use thiserror::Error;

use super::found::{Content, Found};
use super::tar_writer::{END, Member, padding};

/// The name for "unknown" in a gzip header.
const NO_SYSTEM: u8 = 255;
const LEVEL: u32 = 6;
const BUFFER: usize = 128 * 1024;
/// Always of this size but for the last one, however files are read: a compressor may put a seam
/// where its input has one.
const CHUNK: usize = 256 * 1024;
/// How far reading may be ahead of compressing.
const CHUNKS_AHEAD: usize = 8;

/// Why a folder cannot become a release.
#[derive(Debug, Error)]
pub enum PackError {
    #[error("cannot read what was built")]
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
    pub(super) tree: Tree,
}

impl Packed {
    /// What a manifest says of the tree.
    pub(super) fn tree_artifact(&self) -> TreeArtifact {
        let text = self.tree.render();
        TreeArtifact {
            size: text.len() as u64,
            sha256: Sha256Digest::of(text.as_bytes()),
            entries: self.tree.entries().len() as u64,
            bytes: self.tree.bytes(),
        }
    }
}

/// Writes the tarball of what was found to `out`. `time` is in seconds since 1970. Reading goes on
/// while another thread compresses.
pub(super) fn pack(
    found: &[Found],
    time: i64,
    out: impl Write + Send,
) -> Result<Packed, PackError> {
    std::thread::scope(|scope| {
        let (chunks, received) = mpsc::sync_channel(CHUNKS_AHEAD);
        let compressor = scope.spawn(|| compress(received, out));
        let read = Packer::new(time, chunks).pack(found);
        let tarball = match compressor.join() {
            // It tells why reading could not go on, too.
            Ok(tarball) => tarball.map_err(PackError::Write)?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let (tar, tree) = read?;
        Ok(Packed { tarball, tar, tree })
    })
}

fn compress(chunks: Receiver<Vec<u8>>, out: impl Write) -> io::Result<Artifact> {
    let out = Digesting::new(io::BufWriter::with_capacity(BUFFER, out));
    let mut gzip: GzEncoder<_> = GzBuilder::new()
        .mtime(0)
        .operating_system(NO_SYSTEM)
        .write(out, Compression::new(LEVEL));
    for chunk in chunks {
        gzip.write_all(&chunk)?;
    }
    let (size, sha256, mut out) = gzip.finish()?.finish();
    out.flush()?;
    Ok(Artifact { size, sha256 })
}

/// Hands bytes on in chunks of one size.
struct Chunks {
    next: Vec<u8>,
    ahead: SyncSender<Vec<u8>>,
}

impl Chunks {
    fn hand_on(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.next, Vec::with_capacity(CHUNK));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.ahead.send(chunk).map_err(gone)
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.next.len());
        self.next
            .extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.next.len() == CHUNK {
            self.hand_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Packer {
    time: u64,
    out: Digesting<Chunks>,
    entries: Vec<Entry>,
    targets: BTreeMap<String, String>,
    buffer: Vec<u8>,
}

impl Packer {
    fn new(time: i64, ahead: SyncSender<Vec<u8>>) -> Self {
        Self {
            time: u64::try_from(time).unwrap_or(0),
            out: Digesting::new(Chunks {
                next: Vec::with_capacity(CHUNK),
                ahead,
            }),
            entries: Vec::new(),
            targets: BTreeMap::new(),
            buffer: vec![0; BUFFER],
        }
    }

    fn pack(mut self, found: &[Found]) -> Result<(Artifact, Tree), PackError> {
        for found in found {
            let (size, digest) = self.add(found)?;
            self.entries.push(Entry {
                kind: found.kind,
                size,
                digest,
                path: found.path.clone(),
            });
        }
        let tree = Tree::from_entries(self.entries)?;
        let targets = self
            .targets
            .iter()
            .map(|(path, target)| (path.as_str(), target.clone()))
            .collect();
        tree.check_links(&targets)?;
        self.out.write_all(&END).map_err(PackError::Write)?;
        let (size, sha256, mut chunks) = self.out.finish();
        chunks.hand_on().map_err(PackError::Write)?;
        Ok((Artifact { size, sha256 }, tree))
    }

    fn add(&mut self, found: &Found) -> Result<(u64, Sha256Digest), PackError> {
        let Found {
            path,
            kind,
            content,
        } = found;
        match content {
            Content::Nothing => {
                self.header(path, *kind, 0, "")?;
                Ok((0, Sha256Digest::of(b"")))
            }
            Content::Target(target) => {
                self.header(path, *kind, 0, target)?;
                self.targets.insert(path.clone(), target.clone());
                let digest = Sha256Digest::of(target.as_bytes());
                Ok((target.len() as u64, digest))
            }
            Content::File(_) | Content::Archived { .. } => self.add_file(path, *kind, content),
        }
    }

    fn add_file(
        &mut self,
        path: &str,
        kind: Kind,
        content: &Content,
    ) -> Result<(u64, Sha256Digest), PackError> {
        let (size, file) = content.open().map_err(PackError::Read)?;
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
}
