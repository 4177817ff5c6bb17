//! Git LFS: the content that a pointer in the commit stands for, from this clone's own store.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use longshore_shared::digest::Sha256Digest;

use super::ExportError;
use crate::build::found::Content;
use crate::release::measure;

const START: &[u8] = b"version https://git-lfs.github.com/spec/";
/// A pointer is three short lines; extensions may add some.
const LONGEST: u64 = 1024;

/// Gives the content that was meant, if `content` is a pointer. Whether a file is one is told by what
/// it holds: without its attributes a pointer is of no more use.
pub(super) fn resolve(path: &str, content: Content, store: &Path) -> Result<Content, ExportError> {
    let (size, mut reader) = content.open().map_err(ExportError::Write)?;
    if size >= LONGEST {
        return Ok(content);
    }
    let mut text = Vec::new();
    reader.read_to_end(&mut text).map_err(ExportError::Write)?;
    if !text.starts_with(START) {
        return Ok(content);
    }
    let missing = |why| ExportError::LfsPointer {
        path: path.to_owned(),
        why,
    };
    let (digest, size) = parse(&text).ok_or_else(|| missing(WhyLfs::Malformed))?;
    let object = object(store, &digest);
    let Ok(mut file) = std::fs::File::open(&object) else {
        return Err(missing(WhyLfs::NotHere));
    };
    let there = measure(&mut file).map_err(|_| missing(WhyLfs::NotHere))?;
    if there.sha256 != digest || there.size != size {
        return Err(missing(WhyLfs::Damaged(object)));
    }
    Ok(Content::File(object))
}

/// Why the content of a pointer cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub enum WhyLfs {
    Malformed,
    NotHere,
    Damaged(PathBuf),
}

impl std::fmt::Display for WhyLfs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => out.write_str("it names no content"),
            Self::NotHere => out.write_str("its content is not in this clone"),
            Self::Damaged(path) => write!(out, "its content in {} is damaged", path.display()),
        }
    }
}

fn parse(pointer: &[u8]) -> Option<(Sha256Digest, u64)> {
    let text = std::str::from_utf8(pointer).ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let digest = Sha256Digest::parse(value("oid sha256:")?).ok()?;
    Some((digest, value("size ")?.parse().ok()?))
}

fn object(store: &Path, digest: &Sha256Digest) -> PathBuf {
    let name = digest.to_string();
    let folder = |from: usize| name.get(from..from + 2).unwrap_or_default();
    store.join(folder(0)).join(folder(2)).join(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_a_digest_and_a_size() {
        let digest = Sha256Digest::of(b"x");
        let pointer =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 1\n");
        assert_eq!(parse(pointer.as_bytes()), Some((digest, 1)));
        assert_eq!(parse(b"version https://git-lfs.github.com/spec/v1\n"), None);
        let place = object(Path::new("store"), &digest);
        assert_eq!(place, Path::new("store/2d/71").join(digest.to_string()));
    }
}
