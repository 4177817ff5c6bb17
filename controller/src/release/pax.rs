//! The records of a pax extended header. Two readers of one archive must never see two archives,
//! so whatever could be read in two ways is refused.

use super::tar_reader::TarError;

/// No path and no comment needs more.
pub(super) const LONGEST: u64 = 64 * 1024;

/// What the records say about the entry after them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

/// Reads `length key=value\n` records.
pub(super) fn parse(records: &[u8]) -> Result<Pax, TarError> {
    let mut pax = Pax::default();
    for_each(records, |key, value| {
        let first = match key {
            b"path" => pax.path.replace(value.to_vec()).is_none(),
            b"linkpath" => pax.link.replace(value.to_vec()).is_none(),
            b"size" => pax.size.replace(number(value)?).is_none(),
            b"hdrcharset" => false,
            _ => !key.starts_with(b"GNU.sparse.") && key != b"SUN.holesdata",
        };
        first.then_some(())
    })?;
    Ok(pax)
}

/// A global header may hold a comment, such as git's commit, and nothing that changes entries.
pub(super) fn check_global(records: &[u8]) -> Result<(), TarError> {
    for_each(records, |key, _| (key == b"comment").then_some(()))
}

fn for_each(
    mut records: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Option<()>,
) -> Result<(), TarError> {
    while !records.is_empty() {
        let (record, rest) = split(records).ok_or(TarError::Pax)?;
        let equals = record.iter().position(|byte| *byte == b'=');
        let (key, value) = equals
            .and_then(|at| record.split_at_checked(at))
            .ok_or(TarError::Pax)?;
        let value = value.get(1..).unwrap_or_default();
        if key.is_empty() || value.is_empty() || record.contains(&0) {
            return Err(TarError::Pax);
        }
        take(key, value).ok_or(TarError::Pax)?;
        records = rest;
    }
    Ok(())
}

/// The first record without its length and newline, and what follows it.
fn split(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(records.get(..space)?)?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    Some((record, rest))
}

/// Decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_is_needed_and_passes_over_the_harmless() {
        let pax = parse(b"12 path=a/b\n20 mtime=1700000000\n10 size=7\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(pax.size, Some(7));
        check_global(b"16 comment=abcd\n").unwrap();
    }

    #[test]
    fn malformed_and_misleading_records_are_refused() {
        for records in [
            &b"99 path=a\n"[..],
            b"9 path=a/",
            b"8 path a\n",
            b"10 path=a\0\n",
            b"10 path=a\n10 path=b\n",
            b"10 size=1\n10 size=2\n",
            b"11 size=-1\n",
            b"11 size=+1\n",
            b"30 size=99999999999999999999999\n",
            b"22 GNU.sparse.major=1\n",
            b"18 SUN.holesdata=1\n",
            b"8 path=\n",
            b"+10 path=a\n",
            b"path=a\n",
            b"0 \n",
        ] {
            let shown = String::from_utf8_lossy(records);
            assert!(parse(records).is_err(), "{shown:?} passed");
        }
        assert!(check_global(b"10 path=a\n").is_err());
        assert!(check_global(b"10 size=1\n").is_err());
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&noise);
            let _ = check_global(&noise);
        }
    }
}
