//! From a tarball on disk to its plain tar in an unnamed temporary file, byte for byte as signed.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use flate2::bufread::GzDecoder;
use fs_err::File;
use longshore_shared::digest::Digesting;
use longshore_shared::manifest::{Artifact, Manifest};
use thiserror::Error;

/// Deflate, no flags, no time: whatever else a gzip header can hold has no place in a release.
const GZIP_START: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
const BUFFER: usize = 128 * 1024;

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

/// Checks the whole tarball first; only then is any of it unpacked.
pub(super) fn spool(tarball: &Path, manifest: &Manifest) -> Result<std::fs::File, TarballError> {
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
    unpack(file, tarball, &manifest.tar)
}

/// Size and digest of everything in `reader`.
pub(crate) fn measure(reader: &mut impl Read) -> io::Result<Artifact> {
    let mut reader = Digesting::new(reader);
    let mut buffer = vec![0; BUFFER];
    while reader.read(&mut buffer)? > 0 {}
    let (size, sha256, _) = reader.finish();
    Ok(Artifact { size, sha256 })
}

fn unpack(file: File, tarball: &Path, signed: &Artifact) -> Result<std::fs::File, TarballError> {
    let mut input = BufReader::with_capacity(BUFFER, file);
    let start = input.fill_buf().map_err(TarballError::Read)?;
    if !start.starts_with(GZIP_START) {
        return Err(TarballError::Gzip);
    }
    let mut decoder = GzDecoder::new(input);
    let spool = beside(tarball).map_err(TarballError::Spool)?;
    let mut output = BufWriter::with_capacity(BUFFER, Digesting::new(spool));
    let mut buffer = vec![0; BUFFER];
    let mut limited = (&mut decoder).take(signed.size.saturating_add(1));
    loop {
        let read = limited.read(&mut buffer).map_err(TarballError::Damaged)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        output.write_all(bytes).map_err(TarballError::Spool)?;
    }
    let output = output
        .into_inner()
        .map_err(|error| TarballError::Spool(error.into_error()))?;
    let (size, sha256, spool) = output.finish();
    if size != signed.size || sha256 != signed.sha256 {
        return Err(TarballError::OtherTar {
            found: format!("it has {size} bytes or more, of digest {sha256}"),
            signed: format!("{} bytes of digest {}", signed.size, signed.sha256),
        });
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
