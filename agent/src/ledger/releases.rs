//! Releases, what was found of them, and which served when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::Slot;
use rusqlite::{OptionalExtension as _, params};
use semver::Version;

use super::{Ledger, Result, now, time, typed};
use crate::layout::{slot_name, slot_named};

/// How far a release has migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Migrated {
    Whole,
    /// It is to be run again.
    BrokeOff,
}

/// What was found of a release on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has not served.
    Staged,
    /// It became healthy and served.
    Good,
    /// It did not become healthy, or was rolled back from.
    Bad,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }

    fn named(word: &str) -> Self {
        [Self::Good, Self::Bad]
            .into_iter()
            .find(|v| v.word() == word)
            .unwrap_or(Self::Staged)
    }
}

/// A release as the ledger has it.
#[derive(Debug, Clone)]
pub(crate) struct ReleaseRow {
    pub(crate) version: Version,
    /// The digest of the signed manifest, which tells whether two releases are the same.
    pub(crate) manifest: Sha256Digest,
    pub(crate) signer: String,
    pub(crate) commit: String,
    pub(crate) bytes: u64,
    pub(crate) staged: Timestamp,
    /// The time that its signed manifest tells, though never one that had not come yet.
    pub(crate) signed: Timestamp,
    pub(crate) verdict: Verdict,
}

/// A slot that was left and still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Warm {
    pub(crate) slot: Slot,
    pub(crate) until: Timestamp,
}

impl Ledger {
    pub(crate) fn add_release(&self, app: &Instance, release: &ReleaseRow) -> Result<()> {
        self.lock().execute(
            "INSERT OR REPLACE INTO releases (app, version, manifest, signer, git, bytes, staged, verdict, signed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                app.as_str(),
                release.version.to_string(),
                release.manifest.to_string(),
                release.signer,
                release.commit,
                i64::try_from(release.bytes).unwrap_or(i64::MAX),
                release.staged.as_millisecond(),
                release.verdict.word(),
                release.signed.as_millisecond(),
            ],
        )?;
        Ok(())
    }

    pub(crate) fn set_signer(&self, app: &Instance, version: &Version, signer: &str) -> Result<()> {
        self.lock().execute(
            "UPDATE releases SET signer = ?3 WHERE app = ?1 AND version = ?2",
            params![app.as_str(), version.to_string(), signer],
        )?;
        Ok(())
    }

    pub(crate) fn remove_release(&self, app: &Instance, version: &Version) -> Result<()> {
        self.lock().execute(
            "DELETE FROM releases WHERE app = ?1 AND version = ?2",
            params![app.as_str(), version.to_string()],
        )?;
        Ok(())
    }

    /// The newest staged first.
    pub(crate) fn releases(&self, app: &Instance) -> Result<Vec<ReleaseRow>> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT version, manifest, signer, git, bytes, staged, verdict, signed FROM releases
             WHERE app = ?1 ORDER BY staged DESC, rowid DESC",
        )?;
        let rows = query.query_map(params![app.as_str()], |row| {
            Ok(ReleaseRow {
                version: typed(&row.get::<_, String>(0)?)?,
                manifest: digest(&row.get::<_, String>(1)?)?,
                signer: row.get(2)?,
                commit: row.get(3)?,
                bytes: row.get::<_, i64>(4)?.unsigned_abs(),
                staged: time(row.get(5)?),
                verdict: Verdict::named(&row.get::<_, String>(6)?),
                signed: time(row.get(7)?),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The latest time that was signed by somebody whom this host trusted: it is not earlier now,
    /// whatever the clock says. The release that serves is never removed, so this never falls far.
    pub(crate) fn signed_until(&self) -> Result<Timestamp> {
        let query = "SELECT ifnull(max(signed), 0) FROM releases";
        Ok(time(self.lock().query_row(query, [], |row| row.get(0))?))
    }

    pub(crate) fn release(&self, app: &Instance, version: &Version) -> Result<Option<ReleaseRow>> {
        Ok(self
            .releases(app)?
            .into_iter()
            .find(|release| release.version == *version))
    }

    pub(crate) fn judge(&self, app: &Instance, version: &Version, verdict: Verdict) -> Result<()> {
        self.lock().execute(
            "UPDATE releases SET verdict = ?3 WHERE app = ?1 AND version = ?2",
            params![app.as_str(), version.to_string(), verdict.word()],
        )?;
        Ok(())
    }

    /// Notes that `version` serves from `slot`: found good, and from now on. Said twice, it counts
    /// once, since a switch that was interrupted is finished by doing it again.
    pub(crate) fn serve(
        &self,
        app: &Instance,
        version: &Version,
        slot: Slot,
        settings: Option<u64>,
    ) -> Result<()> {
        let mut connection = self.lock();
        let write = connection.transaction()?;
        let (text, slot) = (version.to_string(), slot_name(slot));
        let last: Option<(String, String)> = write
            .query_row(
                "SELECT version, slot FROM servings WHERE app = ?1 ORDER BY id DESC LIMIT 1",
                params![app.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        if last.is_none_or(|(version, place)| version != text || place != slot) {
            write.execute(
                "INSERT INTO servings (app, version, slot, since, settings) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![app.as_str(), text, slot, now(), settings.and_then(|number| i64::try_from(number).ok())],
            )?;
        }
        write.execute(
            "UPDATE releases SET verdict = 'good' WHERE app = ?1 AND version = ?2",
            params![app.as_str(), text],
        )?;
        write.commit()?;
        Ok(())
    }

    /// The same where the ledger, and not the links, missed it.
    pub(crate) fn serve_if_new(&self, app: &Instance, version: &Version, slot: Slot) -> Result<()> {
        match self.servings(app)?.first() {
            Some((last, _)) if last == version => Ok(()),
            _ => self.serve(app, version, slot, None),
        }
    }

    /// Which versions served since when, the newest first.
    pub(crate) fn servings(&self, app: &Instance) -> Result<Vec<(Version, Timestamp)>> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT version, since FROM servings WHERE app = ?1 ORDER BY id DESC LIMIT 1000",
        )?;
        let rows = query.query_map(params![app.as_str()], |row| {
            Ok((typed(&row.get::<_, String>(0)?)?, time(row.get(1)?)))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The number of the settings with which each version served last, where that is known.
    pub(crate) fn served_with(&self, app: &Instance) -> Result<Vec<(Version, u64)>> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT version, settings FROM servings WHERE id IN
             (SELECT MAX(id) FROM servings WHERE app = ?1 AND settings IS NOT NULL GROUP BY version)
             ORDER BY id DESC LIMIT 1000",
        )?;
        let rows = query.query_map(params![app.as_str()], |row| {
            let number: i64 = row.get(1)?;
            Ok((typed(&row.get::<_, String>(0)?)?, number.unsigned_abs()))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn set_warm(&self, app: &Instance, warm: Option<Warm>) -> Result<()> {
        let connection = self.lock();
        match warm {
            None => connection.execute("DELETE FROM warm WHERE app = ?1", params![app.as_str()])?,
            Some(warm) => connection.execute(
                "INSERT OR REPLACE INTO warm (app, slot, until_time) VALUES (?1, ?2, ?3)",
                params![
                    app.as_str(),
                    slot_name(warm.slot),
                    warm.until.as_millisecond()
                ],
            )?,
        };
        Ok(())
    }

    pub(crate) fn warm(&self, app: &Instance) -> Result<Option<Warm>> {
        let found: Option<(String, i64)> = self
            .lock()
            .query_row(
                "SELECT slot, until_time FROM warm WHERE app = ?1",
                params![app.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        Ok(found.and_then(|(slot, until)| {
            Some(Warm {
                slot: slot_named(&slot)?,
                until: time(until),
            })
        }))
    }

    /// A rebuilt release of the same version may migrate otherwise, so it is the manifest that counts.
    pub(crate) fn migrated(&self, app: &Instance, manifest: &Sha256Digest) -> Result<bool> {
        Ok(self
            .lock()
            .query_row(
                "SELECT 1 FROM migrations WHERE app = ?1 AND manifest = ?2 AND whole = 1",
                params![app.as_str(), manifest.to_string()],
                |_| Ok(()),
            )
            .optional()?
            .is_some())
    }

    /// What it had migrated is gone: every release has to migrate again.
    pub(crate) fn forget_migrated(&self, app: &Instance) -> Result<()> {
        let forget = "DELETE FROM migrations WHERE app = ?1";
        self.lock().execute(forget, params![app.as_str()])?;
        Ok(())
    }

    /// These were undone: whichever release has them, or cannot tell, has to migrate again. One that broke
    /// off has to anyway, and is remembered for what it left.
    pub(crate) fn forget_those_with(&self, app: &Instance, undone: &[String]) -> Result<()> {
        for (manifest, names) in self.migrations(app)? {
            let had = names.is_empty() || names.iter().any(|name| undone.contains(name));
            if had && self.migrated(app, &manifest)? {
                self.forget_migration(app, &manifest)?;
            }
        }
        Ok(())
    }

    /// Nothing of this release is in the database.
    pub(crate) fn forget_migration(&self, app: &Instance, manifest: &Sha256Digest) -> Result<()> {
        self.lock().execute(
            "DELETE FROM migrations WHERE app = ?1 AND manifest = ?2",
            params![app.as_str(), manifest.to_string()],
        )?;
        Ok(())
    }

    /// This release has migrated so far, and has these migrations; none where it cannot tell.
    pub(crate) fn set_migrated(
        &self,
        app: &Instance,
        manifest: &Sha256Digest,
        far: Migrated,
        names: &[String],
    ) -> Result<()> {
        let (names, whole) = (names.join("\n"), far == Migrated::Whole);
        self.lock().execute(
            "INSERT OR REPLACE INTO migrations (app, manifest, ran, names, whole)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![app.as_str(), manifest.to_string(), now(), names, whole],
        )?;
        Ok(())
    }

    /// The migrations of each release that has migrated or has broken off, by its manifest.
    pub(crate) fn migrations(&self, app: &Instance) -> Result<BTreeMap<Sha256Digest, Vec<String>>> {
        let connection = self.lock();
        let mut query =
            connection.prepare("SELECT manifest, names FROM migrations WHERE app = ?1")?;
        let rows = query.query_map(params![app.as_str()], |row| {
            let names: String = row.get(1)?;
            let names = names.lines().map(str::to_owned).collect();
            Ok((digest(&row.get::<_, String>(0)?)?, names))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn digest(text: &str) -> rusqlite::Result<Sha256Digest> {
    Sha256Digest::parse(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Instance {
        "cortico".parse().unwrap()
    }

    fn row(version: &Version) -> ReleaseRow {
        ReleaseRow {
            version: version.clone(),
            manifest: Sha256Digest::of(b"manifest"),
            signer: "release@example.com".to_owned(),
            commit: "a".repeat(40),
            bytes: 1,
            staged: Timestamp::now(),
            signed: Timestamp::from_second(1_700_000_000).unwrap(),
            verdict: Verdict::Staged,
        }
    }

    #[test]
    fn serving_is_noted_once_and_finds_the_release_good() {
        let (ledger, version) = (Ledger::in_memory(), Version::new(1, 0, 0));
        ledger.add_release(&app(), &row(&version)).unwrap();
        let serve = |slot, number| ledger.serve(&app(), &version, slot, number).unwrap();
        serve(Slot::Blue, Some(3));
        serve(Slot::Blue, Some(3));
        assert_eq!(ledger.servings(&app()).unwrap().len(), 1);
        serve(Slot::Green, Some(4));
        serve(Slot::Blue, None);
        assert_eq!(ledger.served_with(&app()).unwrap(), [(version.clone(), 4)]);
        let signed = ledger.signed_until().unwrap();
        assert_eq!(signed.as_second(), 1_700_000_000);
        assert_eq!(
            ledger.release(&app(), &version).unwrap().unwrap().verdict,
            Verdict::Good
        );
        assert!(
            ledger
                .release(&app(), &Version::new(2, 0, 0))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_migration_that_broke_off_is_known_and_to_be_run_again() {
        let (ledger, manifest) = (Ledger::in_memory(), Sha256Digest::of(b"manifest"));
        let names = ["0002".to_owned(), "0003".to_owned()];
        let migrate = |far, names: &[String]| {
            ledger.set_migrated(&app(), &manifest, far, names).unwrap();
            let known = ledger.migrations(&app()).unwrap();
            assert_eq!(known[&manifest], names);
            ledger.migrated(&app(), &manifest).unwrap()
        };
        assert!(!migrate(Migrated::BrokeOff, &names[..1]));
        let forget = |undone: &str| {
            let undone = [undone.to_owned()];
            ledger.forget_those_with(&app(), &undone).unwrap();
            ledger.migrations(&app()).unwrap().len()
        };
        assert_eq!(forget("0002"), 1);
        assert!(migrate(Migrated::Whole, &names));
        assert_eq!((forget("0001"), forget("0003")), (1, 0));
    }

    #[test]
    fn one_slot_of_an_app_is_warm_at_most() {
        let ledger = Ledger::in_memory();
        let until = Timestamp::from_second(1_700_000_000).unwrap();
        for slot in [Slot::Blue, Slot::Green] {
            ledger.set_warm(&app(), Some(Warm { slot, until })).unwrap();
        }
        assert_eq!(
            ledger.warm(&app()).unwrap(),
            Some(Warm {
                slot: Slot::Green,
                until
            })
        );
        ledger.set_warm(&app(), None).unwrap();
        assert_eq!(ledger.warm(&app()).unwrap(), None);
    }
}
