//! From a tarball on disk to its plain tar in an unnamed temporary file, byte for byte as signed.
//!
//! While it is unpacked it is also digested and read: each is as much work as the other, and whoever
//! deploys waits for all of it.

use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flate2::bufread::GzDecoder;
use fs_err::File;
use longshore_shared::digest::Digesting;
use longshore_shared::manifest::{Artifact, Manifest};
use thiserror::Error;

/// Deflate, no flags, no time: whatever else a gzip header can hold has no place in a release.
const GZIP_START: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
const BUFFER: usize = 128 * 1024;
/// Blocks that were unpacked and not looked at yet.
const READ_AHEAD: usize = 16;

/// Why a tarball is not the signed one.
#[derive(Debug, Error)]
pub enum TarballError {
    #[error("cannot read the tarball")]
    Read(#[source] io::Error),
    #[error("cannot keep the unpacked tar in a temporary file")]
    Spool(#[source] io::Error),
    #[error("the tarball is not the signed one: {found}, and {signed} was signed")]
    OtherTarball { found: String, signed: String },
    #[error("the tarball is not one gzip stream with an empty header")]
    Gzip,
    #[error("the tarball's gzip stream is damaged")]
    Damaged(#[source] io::Error),
    #[error("the tar inside is not the signed one: {found}, and {signed} was signed")]
    OtherTar { found: String, signed: String },
}

/// Checks the whole tarball first; only then is any of it unpacked. Also gives back what `read`
/// made of the tar, which is to be believed only where there is no error.
pub(super) fn spool<T: Send>(
    tarball: &Path,
    manifest: &Manifest,
    read: impl FnOnce(Blocks) -> T + Send,
) -> Result<(std::fs::File, T), TarballError> {
    let mut file = File::open(tarball).map_err(TarballError::Read)?;
    let signed = &manifest.tarball;
    let size = file.metadata().map_err(TarballError::Read)?.len();
    if size != signed.size {
        return Err(TarballError::OtherTarball {
            found: format!("it has {size} bytes"),
            signed: format!("one of {} bytes", signed.size),
        });
    }
    let found = measure(&mut (&mut file).take(signed.size.saturating_add(1)))
        .map_err(TarballError::Read)?;
    if found != *signed {
        return Err(TarballError::OtherTarball {
            found: format!("its digest is {}", found.sha256),
            signed: signed.sha256.to_string(),
        });
    }
    file.rewind().map_err(TarballError::Read)?;
    let (digested, to_digest) = blocks();
    let (being_read, to_read) = blocks();
    std::thread::scope(|scope| {
        let digest = scope.spawn(move || measure(&mut { to_digest }));
        let reading = scope.spawn(move || read(to_read));
        let spool = unpack(file, tarball, &manifest.tar, &[digested, being_read]);
        let died = || io::Error::other("a thread that reads the tar has died");
        let found = digest.join().unwrap_or_else(|_| Err(died()));
        let made = reading.join().map_err(|_| TarballError::Spool(died()))?;
        let (spool, found) = (spool?, found.map_err(TarballError::Spool)?);
        if found != manifest.tar {
            return Err(TarballError::OtherTar {
                found: format!(
                    "it has {} bytes or more, of digest {}",
                    found.size, found.sha256
                ),
                signed: format!(
                    "{} bytes of digest {}",
                    manifest.tar.size, manifest.tar.sha256
                ),
            });
        }
        Ok((spool, made))
    })
}

type Block = Arc<Vec<u8>>;

/// What is unpacked, read by another thread.
#[derive(Debug)]
pub(super) struct Blocks {
    coming: Receiver<Block>,
    block: Block,
    at: usize,
}

fn blocks() -> (SyncSender<Block>, Blocks) {
    let (sender, coming) = sync_channel(READ_AHEAD);
    let blocks = Blocks {
        coming,
        block: Block::default(),
        at: 0,
    };
    (sender, blocks)
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            (self.block, self.at) = (self.coming.recv().unwrap_or_default(), 0);
        }
        let read = self.block.get(self.at..).unwrap_or_default().read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

/// Size and digest of everything in `reader`.
pub(crate) fn measure(reader: &mut impl Read) -> io::Result<Artifact> {
    let mut reader = Digesting::new(reader);
    let mut buffer = vec![0; BUFFER];
    while reader.read(&mut buffer)? > 0 {}
    let (size, sha256, _) = reader.finish();
    Ok(Artifact { size, sha256 })
}

fn unpack(
    file: File,
    tarball: &Path,
    signed: &Artifact,
    others: &[SyncSender<Block>],
) -> Result<std::fs::File, TarballError> {
    let mut input = BufReader::with_capacity(BUFFER, file);
    let start = input.fill_buf().map_err(TarballError::Read)?;
    if !start.starts_with(GZIP_START) {
        return Err(TarballError::Gzip);
    }
    let mut decoder = GzDecoder::new(input);
    let mut spool = beside(tarball).map_err(TarballError::Spool)?;
    let mut limited = (&mut decoder).take(signed.size.saturating_add(1));
    loop {
        let mut block = Vec::with_capacity(BUFFER);
        let read = (&mut limited).take(BUFFER as u64).read_to_end(&mut block);
        read.map_err(TarballError::Damaged)?;
        if block.is_empty() {
            break;
        }
        spool.write_all(&block).map_err(TarballError::Spool)?;
        let block = Block::new(block);
        for other in others {
            // One that has read enough has an opinion already.
            let _heard = other.send(Arc::clone(&block));
        }
    }
    // The decoder stops after one member without a word about what follows.
    let mut rest = decoder.into_inner();
    if !rest.fill_buf().map_err(TarballError::Read)?.is_empty() {
        return Err(TarballError::Gzip);
    }
    Ok(spool)
}

/// Unnamed, and on the disk that holds the tarball: the system's own folder is often memory.
pub(super) fn beside(tarball: &Path) -> io::Result<std::fs::File> {
    let folder = match tarball.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    tempfile::tempfile_in(folder).or_else(|_| tempfile::tempfile())
}
