//! Databases of SQLite among what a preview gets a copy of. Their files, copied while somebody writes, would
//! be of no one moment, so SQLite itself copies them.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::Access;
use thiserror::Error;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// In MiB: so much stays free.
const SPARE: u64 = 64;
/// Nobody writes for longer without a pause.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
/// So long it is tried without holding anybody up.
const BY_PARTS: Duration = Duration::from_secs(10);
/// Whoever waits to write gets in.
const PAUSE: Duration = Duration::from_millis(2);
/// Pages, most of them of 4 KiB.
const PART: i32 = 4096;

/// Why there is no copy.
#[derive(Debug, Error)]
pub(crate) enum SnapshotError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("{path} cannot be copied as a database of SQLite: {source}")]
    Database {
        path: String,
        source: rusqlite::Error,
    },
    #[error("the disk has {free} MiB free, and the whole copy of {path} takes {takes} MiB")]
    Room { path: String, free: u64, takes: u64 },
    #[error("{path} was written to for {PATIENCE:?} without a pause")]
    Busy { path: String },
}

/// Copies those at and below `paths` of one folder into another, each to where it is. It is run by whoever
/// may read them, and follows no links. What goes away meanwhile is passed over.
pub(crate) fn snapshot(from: &Path, to: &Path, paths: Vec<PathBuf>) -> Result<(), SnapshotError> {
    let mut left = paths;
    while let Some(inner) = left.pop() {
        let path = from.join(&inner);
        let entries = match look(&path) {
            Ok(Found::Folder(entries)) => entries,
            Ok(Found::Database) => {
                copy_if_sound(&path, &to.join(&inner))?;
                continue;
            }
            Ok(Found::Nothing) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        left.extend(entries.into_iter().map(|name| inner.join(name)));
    }
    Ok(())
}

enum Found {
    Folder(Vec<OsString>),
    Database,
    Nothing,
}

fn look(path: &Path) -> io::Result<Found> {
    let kind = fs_err::symlink_metadata(path)?.file_type();
    Ok(if kind.is_dir() {
        let entries = fs_err::read_dir(path)?.map(|entry| Ok(entry?.file_name()));
        Found::Folder(entries.collect::<io::Result<_>>()?)
    } else if kind.is_file() && is_database(path)? {
        Found::Database
    } else {
        Found::Nothing
    })
}

/// What only begins like one stays the file that it is: anybody may have uploaded it. So does one in a
/// folder where the app cannot write, and has no log or journal.
fn copy_if_sound(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    let place = from.parent().unwrap_or(from);
    if rustix::fs::access(place, Access::WRITE_OK).is_err() {
        return Ok(());
    }
    if let Some(place) = to.parent() {
        fs_err::create_dir_all(place)?;
    }
    make_sure_of_room(from, to)?;
    match copy_database(from, to) {
        Err(SnapshotError::Database { source, .. }) if is_none(&source) => {
            Ok(fs_err::remove_file(to)?)
        }
        Err(error) => Err(error),
        Ok(()) => Ok(fs_err::set_permissions(
            to,
            fs_err::metadata(from)?.permissions(),
        )?),
    }
}

/// It is there twice for a while, as the file that it was and as the one that is whole.
fn make_sure_of_room(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    let disk = rustix::fs::statvfs(to.parent().unwrap_or(to)).map_err(io::Error::from)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    let takes = (fs_err::metadata(from)?.len() >> 20) + SPARE;
    if free >= takes {
        return Ok(());
    }
    let path = from.display().to_string();
    Err(SnapshotError::Room { path, free, takes })
}

fn is_none(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
    )
}

fn is_database(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::with_capacity(MAGIC.len());
    let mut file = fs_err::File::open(path)?.take(MAGIC.len() as u64);
    file.read_to_end(&mut begin)?;
    Ok(begin == MAGIC)
}

fn copy_database(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    let path = from.display().to_string();
    let tell = |source| SnapshotError::Database {
        path: path.clone(),
        source,
    };
    // What is in a log beside it is seen by those alone who may write there.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(from, flags).map_err(tell)?;
    from.busy_timeout(PATIENCE).map_err(tell)?;
    let mut to = Connection::open(to).map_err(tell)?;
    // Nothing lasts of it but what is copied on from here.
    to.pragma_update(None, "synchronous", "OFF").map_err(tell)?;
    let mode: String = from
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(tell)?;
    let backup = Backup::new(&from, &mut to).map_err(tell)?;
    let begun = Instant::now();
    loop {
        // Without a log whoever writes waits for whoever reads, so they get pauses; and each write in one
        // of them begins the copy anew.
        let pages = match mode != "wal" && begun.elapsed() < BY_PARTS {
            true => PART,
            false => -1,
        };
        match backup.step(pages).map_err(tell)? {
            StepResult::Done => return Ok(()),
            StepResult::More => std::thread::sleep(PAUSE),
            _ if begun.elapsed() > PATIENCE => return Err(SnapshotError::Busy { path }),
            _ => std::thread::sleep(BETWEEN_TRIES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_log_beside_it_is_copied_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let here = |name: &str| folder.path().join(name);
        fs_err::create_dir_all(here("data/deep")).unwrap();
        fs_err::write(here("data/text"), "SQLite format 3").unwrap();
        fs_err::write(here("data/broken"), "SQLite format 3\0 and no more").unwrap();
        let writer = Connection::open(here("data/deep/db")).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer
            .execute_batch("CREATE TABLE t (n); BEGIN; INSERT INTO t VALUES (1); COMMIT; BEGIN; INSERT INTO t VALUES (2);")
            .unwrap();
        rustix::fs::symlink(here("data/deep/db"), here("data/link")).unwrap();
        let copies = here("copies");
        snapshot(folder.path(), &copies, vec!["data".into(), "gone".into()]).unwrap();
        for other in ["text", "broken", "link"] {
            assert!(!copies.join("data").join(other).exists(), "{other}");
        }
        let copy = Connection::open(copies.join("data/deep/db")).unwrap();
        let sum: i64 = copy
            .query_row("SELECT sum(n) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sum, 1);
    }
}
