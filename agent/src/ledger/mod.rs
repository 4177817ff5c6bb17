//! What happened on this host, in SQLite, so that it can be read with the tool that ops know.
//!
//! What is *live* is told by the links alone. Every write is one durable transaction.

mod operations;
mod previews;
mod releases;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use longshore_shared::instance::Instance;
use rusqlite::Connection;
use semver::Version;
use thiserror::Error;

pub(crate) use operations::{NewOperation, OperationRow, Refusal};
pub(crate) use previews::{Made, PreviewRow, PreviewWanted};
pub(crate) use releases::{Migrated, ReleaseRow, Verdict, Warm};

/// What each schema adds to the one before it. One that was released is never edited.
const SCHEMAS: [&str; 6] = [
    include_str!("schema.sql"),
    "ALTER TABLE releases ADD COLUMN signed INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE servings ADD COLUMN settings INTEGER;",
    "CREATE TABLE previews (
        app        TEXT PRIMARY KEY,
        git        TEXT NOT NULL,
        who        TEXT NOT NULL,
        created    INTEGER NOT NULL,
        until_time INTEGER NOT NULL,
        made       INTEGER NOT NULL,
        maker      TEXT,
        recipe     TEXT
    ) STRICT;",
    // One on each line.
    "ALTER TABLE migrations ADD COLUMN names TEXT NOT NULL DEFAULT '';",
    "ALTER TABLE migrations ADD COLUMN whole INTEGER NOT NULL DEFAULT 1;",
];
const SCHEMA_VERSION: usize = SCHEMAS.len();

/// The open ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    connection: Mutex<Connection>,
}

/// Why the ledger did not answer.
#[derive(Debug, Error)]
pub(crate) enum LedgerError {
    #[error("the ledger cannot be opened")]
    Open(#[source] rusqlite::Error),
    #[error(
        "the ledger was written by a newer agent (its schema is {0}, and this agent knows {SCHEMA_VERSION}): install that agent again"
    )]
    Newer(u32),
    #[error("the ledger cannot be read or written")]
    Use(#[from] rusqlite::Error),
}

type Result<T> = std::result::Result<T, LedgerError>;

impl Ledger {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path).map_err(LedgerError::Open)?;
        Self::prepare(connection)
    }

    fn prepare(connection: Connection) -> Result<Self> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // The agent is small at rest, and so is what it asks of its ledger.
        connection.pragma_update(None, "cache_size", -256)?;
        let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let missing = SCHEMAS.get(found as usize..);
        let missing = missing.ok_or(LedgerError::Newer(found))?;
        if !missing.is_empty() {
            let missing = missing.join("\n");
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; {missing} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            ))?;
        }
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::prepare(Connection::open_in_memory().unwrap()).unwrap()
    }

    /// A thread that panicked inside a transaction had it rolled back, so the ledger is whole.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A text that this agent wrote and that has to be of its type; anything else is damage.
fn typed<T: std::str::FromStr>(text: &str) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn version_at(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<Version>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| typed(&text)).transpose()
}

fn app_at(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<Instance>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| typed(&text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_of_an_earlier_agent_is_taken_over_and_one_of_a_later_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(SCHEMAS[0]).unwrap();
        old.execute_batch(
            "INSERT INTO releases VALUES ('a', '1.0.0', '', 's', 'c', 1, 2, 'good');
             PRAGMA user_version = 1;",
        )
        .unwrap();
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.signed_until().unwrap(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            Ledger::open(&path).unwrap().signed_until().unwrap(),
            Timestamp::UNIX_EPOCH
        );
        old.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Newer(_))));
    }
}
