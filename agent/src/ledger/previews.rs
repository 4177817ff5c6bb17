//! Previews: which there are, and until when. What is made for one is written down before it is begun.

use jiff::Timestamp;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::instance::Instance;
use rusqlite::{OptionalExtension as _, Row, params};
use semver::Version;

use super::{Ledger, Result, now, time, typed, version_at};

/// A preview as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreviewRow {
    pub(crate) app: Instance,
    pub(crate) git_ref: String,
    pub(crate) who: String,
    pub(crate) created: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) made: Made,
    /// The release that made it, and is to take away what it made.
    pub(crate) maker: Option<Version>,
    /// By what it was made: a release that goes by another needs another.
    pub(crate) recipe: Option<Sha256Digest>,
}

/// What a preview is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PreviewWanted<'a> {
    /// Nothing where there has to be one.
    pub(crate) git_ref: Option<&'a str>,
    pub(crate) who: &'a str,
    pub(crate) until: Timestamp,
    /// Whether one that stays for longer does so.
    pub(crate) at_least: bool,
    /// So many there may be.
    pub(crate) most: u32,
}

/// How far the release's own work came that makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Nothing,
    /// It was begun, and there may be something to take away.
    Begun,
    All,
    /// What was made is not known by its names, so nobody can take it away.
    Unknown,
}

const COLUMNS: &str = "app, git, who, created, until_time, made, maker, recipe";

impl Ledger {
    /// In the order of their names.
    pub(crate) fn previews(&self) -> Result<Vec<PreviewRow>> {
        let connection = self.lock();
        let query = format!("SELECT {COLUMNS} FROM previews ORDER BY app");
        let mut statement = connection.prepare(&query)?;
        let rows = statement.query_map([], row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn preview(&self, app: &Instance) -> Result<Option<PreviewRow>> {
        let connection = self.lock();
        let query = format!("SELECT {COLUMNS} FROM previews WHERE app = ?1");
        let mut statement = connection.prepare(&query)?;
        Ok(statement.query_row([app.as_str()], row).optional()?)
    }

    /// There is to be this preview; one that is there stays somebody's, and only its end changes.
    /// Nothing where there are as many as there may be: nobody comes between the count and the row.
    pub(crate) fn keep_preview(
        &self,
        app: &Instance,
        wanted: PreviewWanted<'_>,
    ) -> Result<Option<PreviewRow>> {
        let until = wanted.until.as_millisecond();
        {
            let mut connection = self.lock();
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE previews SET until_time = CASE WHEN ?2 THEN max(until_time, ?3) ELSE ?3 END
                 WHERE app = ?1",
                params![app.as_str(), wanted.at_least, until],
            )?;
            // One that was to end is made from nothing.
            transaction.execute(
                "UPDATE previews SET created = ?2
                 WHERE app = ?1 AND NOT EXISTS (SELECT 1 FROM servings WHERE app = ?1)",
                params![app.as_str(), now()],
            )?;
            transaction.execute(
                "INSERT INTO previews (app, git, who, created, until_time, made)
                 SELECT ?1, ?2, ?3, ?4, ?5, 0
                 WHERE ?2 IS NOT NULL AND (SELECT count(*) FROM previews) < ?6
                 ON CONFLICT (app) DO NOTHING",
                params![
                    app.as_str(),
                    wanted.git_ref,
                    wanted.who,
                    now(),
                    until,
                    wanted.most
                ],
            )?;
            transaction.commit()?;
        }
        self.preview(app)
    }

    /// It ends now: whoever finds it finishes what was begun.
    pub(crate) fn end_preview(&self, app: &Instance) -> Result<()> {
        self.lock().execute(
            "UPDATE previews SET until_time = min(until_time, ?2) WHERE app = ?1",
            params![app.as_str(), now()],
        )?;
        Ok(())
    }

    /// A release is about to make what it needs, and stands for taking it away.
    pub(crate) fn begin_making(&self, app: &Instance, maker: &Version) -> Result<()> {
        self.lock().execute(
            "UPDATE previews SET made = 1, maker = ?2, recipe = NULL WHERE app = ?1",
            params![app.as_str(), maker.to_string()],
        )?;
        Ok(())
    }

    /// It is there as a whole.
    pub(crate) fn set_made(&self, app: &Instance, recipe: &Sha256Digest) -> Result<()> {
        self.lock().execute(
            "UPDATE previews SET made = 2, recipe = ?2 WHERE app = ?1",
            params![app.as_str(), recipe.to_string()],
        )?;
        Ok(())
    }

    /// Its settings are not what it was made with.
    pub(crate) fn set_unknown(&self, app: &Instance) -> Result<()> {
        self.lock().execute(
            "UPDATE previews SET made = 3, recipe = NULL WHERE app = ?1",
            [app.as_str()],
        )?;
        Ok(())
    }

    /// Something of it may be there, and something not.
    pub(crate) fn set_begun(&self, app: &Instance) -> Result<()> {
        self.lock().execute(
            "UPDATE previews SET made = 1, recipe = NULL WHERE app = ?1",
            [app.as_str()],
        )?;
        Ok(())
    }

    /// Nothing of it is there, or it is nobody's to take away.
    pub(crate) fn set_unmade(&self, app: &Instance) -> Result<()> {
        self.lock().execute(
            "UPDATE previews SET made = 0, maker = NULL, recipe = NULL WHERE app = ?1",
            [app.as_str()],
        )?;
        Ok(())
    }

    /// It serves no more, and what it had is to be made anew.
    pub(crate) fn forget_servings(&self, app: &Instance) -> Result<()> {
        self.forget(app, &["servings", "warm", "migrations"])
    }

    pub(crate) fn forget_releases(&self, app: &Instance) -> Result<()> {
        self.forget(app, &["releases"])
    }

    /// Nothing of it is here any more; what happened to it stays in the history.
    pub(crate) fn forget_preview(&self, app: &Instance) -> Result<()> {
        let all = ["releases", "servings", "warm", "migrations", "previews"];
        self.forget(app, &all)
    }

    fn forget(&self, app: &Instance, tables: &[&str]) -> Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        for table in tables {
            transaction.execute(
                &format!("DELETE FROM {table} WHERE app = ?1"),
                [app.as_str()],
            )?;
        }
        Ok(transaction.commit()?)
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<PreviewRow> {
    let app: String = row.get("app")?;
    let made: i64 = row.get("made")?;
    let recipe: Option<String> = row.get("recipe")?;
    Ok(PreviewRow {
        app: typed(&app)?,
        git_ref: row.get("git")?,
        who: row.get("who")?,
        created: time(row.get("created")?),
        until: time(row.get("until_time")?),
        made: match made {
            0 => Made::Nothing,
            1 => Made::Begun,
            2 => Made::All,
            _ => Made::Unknown,
        },
        maker: version_at(row, "maker")?,
        recipe: recipe.and_then(|text| Sha256Digest::parse(&text).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_kept_renewed_ended_and_forgotten() {
        let ledger = Ledger::in_memory();
        let app: Instance = "cortico--login".parse().unwrap();
        let until = |seconds| Timestamp::from_second(seconds).unwrap();
        let wanted = PreviewWanted {
            git_ref: Some("login"),
            who: "ann",
            until: until(1 << 33),
            at_least: false,
            most: 1,
        };
        let keep = |app: &Instance, wanted| ledger.keep_preview(app, wanted).unwrap();
        let renewed = PreviewWanted {
            git_ref: None,
            ..wanted
        };
        assert_eq!(keep(&app, renewed), None);
        assert!(keep(&app, wanted).is_some());
        assert_eq!(keep(&"shop--x".parse().unwrap(), wanted), None);
        ledger.begin_making(&app, &Version::new(1, 0, 0)).unwrap();
        for (at_least, seconds, end) in [(false, 99, 99), (true, 98, 99), (true, 1 << 34, 1 << 34)]
        {
            let row = keep(
                &app,
                PreviewWanted {
                    git_ref: Some("other"),
                    who: "bob",
                    until: until(seconds),
                    at_least,
                    most: 1,
                },
            );
            let row = row.unwrap();
            assert_eq!((row.git_ref.as_str(), row.who.as_str()), ("login", "ann"));
            assert_eq!((row.until, row.made), (until(end), Made::Begun));
        }
        let recipe = Sha256Digest::of(b"how");
        ledger.set_made(&app, &recipe).unwrap();
        let row = ledger.preview(&app).unwrap().unwrap();
        assert_eq!(
            (row.made, row.maker),
            (Made::All, Some(Version::new(1, 0, 0)))
        );
        assert_eq!(row.recipe, Some(recipe));
        ledger.set_begun(&app).unwrap();
        let row = ledger.preview(&app).unwrap().unwrap();
        assert_eq!((row.made, row.recipe), (Made::Begun, None));
        assert!(row.maker.is_some());
        ledger.set_unmade(&app).unwrap();
        let row = ledger.preview(&app).unwrap().unwrap();
        assert_eq!((row.made, row.maker), (Made::Nothing, None));
        ledger.end_preview(&app).unwrap();
        let row = ledger.preview(&app).unwrap().unwrap();
        assert!(row.until <= Timestamp::now());
        ledger.forget_preview(&app).unwrap();
        assert_eq!(ledger.previews().unwrap(), []);
    }
}
