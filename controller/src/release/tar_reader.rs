//! Reads a plain tar into a [`Tree`] and the places of its contents.
//!
//! Only what a release can hold passes: files, folders and symlinks. Anything
//! that two readers could see differently is refused for the whole archive, never skipped. Modes
//! become 0644 or 0755; owners, times and attributes are not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use longshore_shared::digest::{Digesting, Sha256Digest};
use longshore_shared::tree::{Entry, Kind, MOST_ENTRIES, Tree, TreeError, check_path};
use tar::{EntryType, Header};
use thiserror::Error;

use super::pax;

const BLOCK: u64 = 512;
/// The largest size that eleven octal digits hold; beyond it stands a pax record.
pub(crate) const LARGEST_OCTAL: u64 = 0o777_7777_7777;

/// Why an archive is refused.
#[derive(Debug, Error)]
pub enum TarError {
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    #[error("the archive is cut short")]
    CutShort,
    #[error("the archive goes on after its end marker")]
    AfterEnd,
    #[error("a header of the archive is damaged (at byte {at})")]
    Header { at: u64 },
    #[error("{path:?} is {what}, which no release can hold")]
    Type { path: String, what: &'static str },
    #[error("the size of {path:?} is written in a way that can be read in two")]
    Size { path: String },
    #[error("the name {0:?} is not UTF-8")]
    Name(String),
    #[error("an extended header of the archive is malformed or misleading")]
    Pax,
    #[error("the folder {path:?} is there twice, or is also a file")]
    Folder { path: String },
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Where the content of one entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the tar, from this byte on.
    At(u64),
    /// A symlink's target.
    Target(String),
    /// There is none.
    Empty,
}

/// A tar that was read to its end.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) tree: Tree,
    /// One for each entry of the tree, in its order.
    pub(crate) places: Vec<Place>,
}

impl Listing {
    /// Refuses symlinks that leave the release or end at nothing.
    pub(crate) fn check_links(&self) -> Result<(), TreeError> {
        let targets: BTreeMap<&str, String> = self
            .tree
            .entries()
            .iter()
            .zip(&self.places)
            .filter_map(|(entry, place)| match place {
                Place::Target(target) => Some((entry.path.as_str(), target.clone())),
                Place::At(_) | Place::Empty => None,
            })
            .collect();
        self.tree.check_links(&targets)
    }
}

/// Reads the whole archive. Where its links lead is for [`Listing::check_links`] to say.
pub(crate) fn read(tar: impl Read) -> Result<Listing, TarError> {
    let mut reader = Reader {
        tar,
        at: 0,
        members: Vec::new(),
        folders: BTreeSet::new(),
    };
    reader.run()?;
    reader.finish()
}

/// What extended headers said about the entry that must follow them.
#[derive(Debug, Default)]
struct Pending {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    had: BTreeSet<u8>,
}

struct Reader<R> {
    tar: R,
    at: u64,
    members: Vec<(Entry, Place)>,
    folders: BTreeSet<String>,
}

impl<R: Read> Reader<R> {
    fn run(&mut self) -> Result<(), TarError> {
        let mut pending = Pending::default();
        loop {
            let block = self.block()?;
            if is_zero(&block) {
                return if pending.had.is_empty() {
                    self.end()
                } else {
                    Err(TarError::Pax)
                };
            }
            let header = Header::from_byte_slice(&block);
            self.check_header(header)?;
            match header.entry_type() {
                EntryType::XHeader => {
                    let records = self.extension(header, &mut pending)?;
                    let pax = pax::parse(&records)?;
                    pending.path = pax.path;
                    pending.link = pax.link;
                    pending.size = pax.size;
                }
                EntryType::XGlobalHeader if pending.had.is_empty() => {
                    let records = self.extension(header, &mut Pending::default())?;
                    pax::check_global(&records)?;
                }
                EntryType::GNULongName => {
                    let name = self.extension(header, &mut pending)?;
                    pending.path = Some(without_nul(name)?);
                }
                EntryType::GNULongLink => {
                    let name = self.extension(header, &mut pending)?;
                    pending.link = Some(without_nul(name)?);
                }
                _ => {
                    self.member(header, std::mem::take(&mut pending))?;
                    if self.members.len() + self.folders.len() > 2 * MOST_ENTRIES {
                        return Err(TreeError::TooMany.into());
                    }
                }
            }
        }
    }

    /// The content of an extended header, of which one entry has at most one of a kind.
    fn extension(&mut self, header: &Header, pending: &mut Pending) -> Result<Vec<u8>, TarError> {
        let kind = header.entry_type().as_byte();
        let pax_and_gnu = (kind == b'x') != pending.had.contains(&b'x') && !pending.had.is_empty();
        if pax_and_gnu || !pending.had.insert(kind) {
            return Err(TarError::Pax);
        }
        let size = octal(&header.as_old().size).ok_or(TarError::Pax)?;
        if size > pax::LONGEST {
            return Err(TarError::Pax);
        }
        let mut content = vec![0; usize::try_from(size).map_err(|_| TarError::Pax)?];
        self.fill(&mut content)?;
        self.padding(size)?;
        Ok(content)
    }

    fn member(&mut self, header: &Header, pending: Pending) -> Result<(), TarError> {
        let name = pending
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let path = text(name)?;
        let size_error = || TarError::Size { path: path.clone() };
        let in_header = octal(&header.as_old().size).ok_or_else(size_error)?;
        let size = match pending.size {
            None => in_header,
            Some(size) if in_header == 0 && size > LARGEST_OCTAL => size,
            Some(_) => return Err(size_error()),
        };
        let kind = match header.entry_type() {
            EntryType::Regular => {
                let mode = octal(&header.as_old().mode).unwrap_or(0);
                if mode & 0o111 == 0 {
                    Kind::File
                } else {
                    Kind::Executable
                }
            }
            EntryType::Symlink if size == 0 => Kind::Symlink,
            EntryType::Directory if size == 0 => Kind::EmptyFolder,
            EntryType::Symlink | EntryType::Directory => return Err(size_error()),
            other => {
                let what = name_of(other);
                return Err(TarError::Type { path, what });
            }
        };
        if kind == Kind::EmptyFolder {
            let folder = path.strip_suffix('/').unwrap_or(&path).to_owned();
            check_path(&folder)?;
            if !self.folders.insert(folder) {
                return Err(TarError::Folder { path });
            }
            return Ok(());
        }
        check_path(&path)?;
        let (size, digest, place) = if kind == Kind::Symlink {
            let target = pending
                .link
                .or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
            let target = text(target.unwrap_or_default())?;
            let digest = Sha256Digest::of(target.as_bytes());
            (target.len() as u64, digest, Place::Target(target))
        } else {
            let at = self.at;
            let mut content = Digesting::new((&mut self.tar).take(size));
            io::copy(&mut content, &mut io::sink()).map_err(TarError::Read)?;
            let (read, digest, _) = content.finish();
            if read != size {
                return Err(TarError::CutShort);
            }
            self.at += size;
            self.padding(size)?;
            (size, digest, Place::At(at))
        };
        let entry = Entry {
            kind,
            size,
            digest,
            path,
        };
        self.members.push((entry, place));
        Ok(())
    }

    /// The tree has folders only where nothing is in them; the archive may name every one.
    fn finish(mut self) -> Result<Listing, TarError> {
        let mut parents = BTreeSet::new();
        let leaves: BTreeSet<&str> = self
            .members
            .iter()
            .map(|(entry, _)| entry.path.as_str())
            .collect();
        for path in leaves
            .iter()
            .copied()
            .chain(self.folders.iter().map(String::as_str))
        {
            for (slash, _) in path.match_indices('/') {
                parents.insert(path.get(..slash).unwrap_or_default().to_owned());
            }
        }
        if let Some(path) = self
            .folders
            .iter()
            .find(|folder| leaves.contains(folder.as_str()))
        {
            let path = path.clone();
            return Err(TarError::Folder { path });
        }
        for folder in self.folders.difference(&parents) {
            let entry = Entry {
                kind: Kind::EmptyFolder,
                size: 0,
                digest: Sha256Digest::of(b""),
                path: folder.clone(),
            };
            self.members.push((entry, Place::Empty));
        }
        self.members
            .sort_by(|(one, _), (other, _)| one.path.as_bytes().cmp(other.path.as_bytes()));
        let (entries, places): (Vec<Entry>, Vec<Place>) = self.members.into_iter().unzip();
        let tree = Tree::from_entries(entries)?;
        Ok(Listing { tree, places })
    }

    /// One more block of zeros, and nothing but zeros after it.
    fn end(&mut self) -> Result<(), TarError> {
        if !is_zero(&self.block()?) {
            return Err(TarError::AfterEnd);
        }
        let mut rest = [0; 8192];
        loop {
            match self.tar.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(read) if is_zero(rest.get(..read).unwrap_or_default()) => {}
                Ok(_) => return Err(TarError::AfterEnd),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
    }

    fn block(&mut self) -> Result<[u8; BLOCK as usize], TarError> {
        let mut block = [0; BLOCK as usize];
        self.fill(&mut block)?;
        Ok(block)
    }

    fn padding(&mut self, size: u64) -> Result<(), TarError> {
        let mut padding = vec![0; (size.next_multiple_of(BLOCK) - size) as usize];
        self.fill(&mut padding)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        self.tar
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => TarError::CutShort,
                _ => TarError::Read(error),
            })?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    fn check_header(&self, header: &Header) -> Result<(), TarError> {
        let mut again = header.clone();
        again.set_cksum();
        let same = matches!((again.cksum(), header.cksum()), (Ok(one), Ok(other)) if one == other);
        let known = header.as_ustar().is_some() || header.as_gnu().is_some();
        if same && known {
            Ok(())
        } else {
            let at = self.at.saturating_sub(BLOCK);
            Err(TarError::Header { at })
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn text(name: Vec<u8>) -> Result<String, TarError> {
    String::from_utf8(name).map_err(|error| {
        let name = String::from_utf8_lossy(error.as_bytes());
        TarError::Name(name.chars().take(200).collect())
    })
}

/// GNU's long names end in one NUL.
fn without_nul(mut name: Vec<u8>) -> Result<Vec<u8>, TarError> {
    if name.pop() == Some(0) && !name.is_empty() {
        Ok(name)
    } else {
        Err(TarError::Pax)
    }
}

/// Octal digits, then NULs or spaces. The binary form of GNU is refused: it can say too much.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'7'))
        .unwrap_or(field.len());
    let (digits, rest) = field.split_at_checked(digits)?;
    if digits.is_empty() || !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |number, digit| number << 3 | u64::from(digit - b'0')),
    )
}

fn name_of(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a fifo",
        EntryType::GNUSparse => "a sparse file",
        EntryType::XGlobalHeader => "a global header in the middle of an entry",
        _ => "of an unknown type",
    }
}
