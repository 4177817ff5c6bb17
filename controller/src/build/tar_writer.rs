//! Headers of a tar that has one spelling: ustar, and a pax record only where ustar cannot say it.

use longshore_shared::tree::Kind;
use tar::{EntryType, Header};

use crate::release::tar_reader::LARGEST_OCTAL;

pub(super) const BLOCK: usize = 512;
/// Two blocks of zeros.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What a header says.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) path: &'a str,
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// Of a symlink.
    pub(super) target: &'a str,
    /// Seconds since 1970, the same for every member.
    pub(super) time: u64,
}

impl Member<'_> {
    /// All blocks before the content.
    pub(super) fn blocks(&self) -> Vec<u8> {
        let folder;
        let path = if self.kind == Kind::EmptyFolder {
            folder = format!("{}/", self.path);
            &folder
        } else {
            self.path
        };
        let mut records = Vec::new();
        let mut header = self.header(match self.kind {
            Kind::File | Kind::Executable => EntryType::Regular,
            Kind::Symlink => EntryType::Symlink,
            Kind::EmptyFolder => EntryType::Directory,
        });
        // A symlink's target is in its header, not after it.
        let size = match self.kind {
            Kind::File | Kind::Executable => self.size,
            Kind::Symlink | Kind::EmptyFolder => 0,
        };
        if size > LARGEST_OCTAL {
            record(&mut records, "size", &size.to_string());
        } else {
            header.set_size(size);
        }
        header.set_mode(match self.kind {
            Kind::File => 0o644,
            Kind::Executable | Kind::Symlink | Kind::EmptyFolder => 0o755,
        });
        if !put_name(&mut header, path) {
            record(&mut records, "path", path);
        }
        if !put(&mut header.as_old_mut().linkname, self.target) {
            record(&mut records, "linkpath", self.target);
        }
        header.set_cksum();
        let mut blocks = Vec::new();
        if !records.is_empty() {
            let mut extended = self.header(EntryType::XHeader);
            extended.set_size(records.len() as u64);
            extended.set_mode(0o644);
            put(&mut extended.as_old_mut().name, "././@PaxHeader");
            extended.set_cksum();
            blocks.extend_from_slice(extended.as_bytes());
            let padding = padding(records.len() as u64);
            blocks.append(&mut records);
            blocks.resize(blocks.len() + padding, 0);
        }
        blocks.extend_from_slice(header.as_bytes());
        blocks
    }

    fn header(&self, kind: EntryType) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.time.min(LARGEST_OCTAL));
        header
    }
}

/// How many zeros fill the last block.
pub(super) fn padding(size: u64) -> usize {
    let block = BLOCK as u64;
    // Always below a block.
    (size.next_multiple_of(block) - size) as usize
}

/// Whole in the name field, or cut at the first slash that leaves both parts short enough.
fn put_name(header: &mut Header, path: &str) -> bool {
    if put(&mut header.as_old_mut().name, path) {
        return true;
    }
    let cut = path
        .match_indices('/')
        .map(|(at, _)| (path.get(..at), path.get(at + 1..)))
        .find_map(|parts| match parts {
            (Some(prefix), Some(name))
                if prefix.len() <= 155 && name.len() <= 100 && !name.is_empty() =>
            {
                Some((prefix, name))
            }
            _ => None,
        });
    let (Some((prefix, name)), Some(ustar)) = (cut, header.as_ustar_mut()) else {
        // A reader without pax sees the beginning of the name.
        let _cut_short = put(
            &mut header.as_old_mut().name,
            path.get(..path.floor_char_boundary(100))
                .unwrap_or_default(),
        );
        return false;
    };
    put(&mut ustar.prefix, prefix) && put(&mut ustar.name, name)
}

fn put(field: &mut [u8], text: &str) -> bool {
    let Some(start) = field.get_mut(..text.len()) else {
        return false;
    };
    start.copy_from_slice(text.as_bytes());
    true
}

/// `length key=value\n`, where the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() > length {
        length += 1;
    }
    records.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for (value, expected) in [
            ("a".to_owned(), 9),
            ("a".repeat(90), 99),
            ("a".repeat(91), 101),
            ("a".repeat(92), 102),
        ] {
            let mut records = Vec::new();
            record(&mut records, "path", &value);
            assert_eq!(records.len(), expected, "{value}");
            let text = String::from_utf8(records).unwrap();
            let length = text.split(' ').next().unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), expected);
        }
    }

    #[test]
    fn a_size_beyond_the_octal_field_is_a_record() {
        let blocks = |size| {
            let member = Member {
                path: "large",
                kind: Kind::File,
                size,
                target: "",
                time: 0,
            };
            member.blocks()
        };
        let most = blocks(LARGEST_OCTAL);
        assert_eq!(most.len(), BLOCK);
        let header = Header::from_byte_slice(&most);
        assert_eq!(header.entry_size().unwrap(), LARGEST_OCTAL);

        let more = blocks(LARGEST_OCTAL + 1);
        assert_eq!(more.len(), 3 * BLOCK);
        let records = String::from_utf8_lossy(&more[BLOCK..2 * BLOCK]);
        assert_eq!(records.trim_end_matches('\0'), "19 size=8589934592\n");
        let header = Header::from_byte_slice(&more[2 * BLOCK..]);
        assert_eq!(header.entry_size().unwrap(), 0);
    }

    #[test]
    fn nothing_of_this_machine_is_in_a_header() {
        let member = Member {
            path: "bin/tool",
            kind: Kind::Executable,
            size: 3,
            target: "",
            time: 1_700_000_000,
        };
        let blocks = member.blocks();
        let header = Header::from_byte_slice(&blocks);
        assert_eq!(header.mode().unwrap(), 0o755);
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.mtime().unwrap(), 1_700_000_000);
        assert_eq!(header.username().unwrap(), Some(""));
        assert_eq!(header.groupname().unwrap(), Some(""));
    }
}
