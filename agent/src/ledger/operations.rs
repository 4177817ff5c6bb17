//! Operations and their steps: written before they are begun.

use jiff::Timestamp;
use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{OperationStatus, Outcome, Slot, SwitchReason};
use rusqlite::{Row, params};
use semver::Version;

use super::{Ledger, Result, app_at, now, time, version_at};
use crate::layout::{slot_name, slot_named};

/// How many refusals are kept, and how long the message of one may be.
const MOST_REFUSALS: u32 = 1000;
const LONGEST_REFUSAL: usize = 2000;

/// What is known of an operation before it is begun: all that is needed to finish it or to take
/// it back.
#[derive(Debug, Clone)]
pub(crate) struct NewOperation {
    pub(crate) app: Instance,
    pub(crate) verb: &'static str,
    pub(crate) version: Option<Version>,
    pub(crate) previous: Option<Version>,
    pub(crate) slot: Option<Slot>,
    pub(crate) why: Option<SwitchReason>,
    pub(crate) who: String,
}

/// An order that was not carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) app: Option<&'a Instance>,
    pub(crate) verb: &'a str,
    pub(crate) version: Option<&'a Version>,
    pub(crate) who: &'a str,
    pub(crate) message: &'a str,
}

/// An operation as the ledger has it.
#[derive(Debug, Clone)]
pub(crate) struct OperationRow {
    pub(crate) id: u64,
    /// Nothing where it was about the host as a whole.
    pub(crate) app: Option<Instance>,
    pub(crate) verb: String,
    pub(crate) version: Option<Version>,
    pub(crate) previous: Option<Version>,
    pub(crate) slot: Option<Slot>,
    pub(crate) why: Option<SwitchReason>,
    pub(crate) who: String,
    pub(crate) begun: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) outcome: Outcome,
    pub(crate) message: Option<String>,
}

impl OperationRow {
    pub(crate) fn status(self) -> OperationStatus {
        OperationStatus {
            id: self.id,
            verb: self.verb,
            version: self.version,
            who: self.who,
            begun: self.begun,
            ended: self.ended,
            outcome: self.outcome,
            message: self.message,
        }
    }
}

impl Ledger {
    pub(crate) fn begin(&self, new: &NewOperation) -> Result<u64> {
        let mut connection = self.lock();
        let write = connection.transaction()?;
        // One operation of an app runs at a time. An older one whose end could not be written must
        // not be taken for one that was interrupted, at some later start.
        write.execute(
            "UPDATE operations SET outcome = ?2, ended = ?3, message = 'its end was not written down'
             WHERE app = ?1 AND outcome = 'running'",
            params![new.app.as_str(), outcome_word(Outcome::Failed), now()],
        )?;
        write.execute(
            "INSERT INTO operations (app, verb, version, previous, slot, why, who, begun, outcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                new.app.as_str(),
                new.verb,
                new.version.as_ref().map(ToString::to_string),
                new.previous.as_ref().map(ToString::to_string),
                new.slot.map(slot_name),
                new.why.map(reason_word),
                new.who,
                now(),
                outcome_word(Outcome::Running),
            ],
        )?;
        let id = write.last_insert_rowid().unsigned_abs();
        write.commit()?;
        Ok(id)
    }

    /// Written, and durable, before the step is begun.
    pub(crate) fn step(&self, operation: u64, step: &str) -> Result<()> {
        self.lock().execute(
            "INSERT INTO steps (operation, step, begun) VALUES (?1, ?2, ?3)",
            params![operation as i64, step, now()],
        )?;
        Ok(())
    }

    pub(crate) fn end(
        &self,
        operation: u64,
        outcome: Outcome,
        message: Option<&str>,
    ) -> Result<()> {
        self.lock().execute(
            "UPDATE operations SET ended = ?2, outcome = ?3, message = ?4 WHERE id = ?1",
            params![operation as i64, now(), outcome_word(outcome), message],
        )?;
        Ok(())
    }

    /// Notes what was refused before it was begun. However often somebody tries, it fills no disk.
    pub(crate) fn refused(&self, refusal: &Refusal<'_>) -> Result<()> {
        let mut connection = self.lock();
        let write = connection.transaction()?;
        write.execute(
            "INSERT INTO operations (app, verb, version, who, begun, ended, outcome, message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)",
            params![
                refusal.app.map(Instance::as_str),
                refusal.verb,
                refusal.version.map(ToString::to_string),
                refusal.who,
                now(),
                outcome_word(Outcome::Refused),
                refusal
                    .message
                    .chars()
                    .take(LONGEST_REFUSAL)
                    .collect::<String>(),
            ],
        )?;
        write.execute(
            "DELETE FROM operations WHERE outcome = ?1
             AND NOT EXISTS (SELECT 1 FROM steps WHERE operation = operations.id)
             AND id <= (SELECT id FROM operations WHERE outcome = ?1
                        ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![outcome_word(Outcome::Refused), MOST_REFUSALS],
        )?;
        write.commit()?;
        Ok(())
    }

    /// Notes a change of the host as a whole that was done.
    pub(crate) fn done(
        &self,
        verb: &str,
        app: Option<&Instance>,
        who: &str,
        message: &str,
    ) -> Result<()> {
        let app = app.map(Instance::as_str);
        self.lock().execute(
            "INSERT INTO operations (verb, app, who, begun, ended, outcome, message)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)",
            params![verb, app, who, now(), outcome_word(Outcome::Done), message],
        )?;
        Ok(())
    }

    /// The operations that were begun and have not ended, oldest first.
    pub(crate) fn running(&self) -> Result<Vec<OperationRow>> {
        self.rows("WHERE outcome = 'running' ORDER BY id", [])
    }

    /// The newest operations first.
    pub(crate) fn history(&self, app: Option<&Instance>, most: u32) -> Result<Vec<OperationRow>> {
        let app = app.map(Instance::as_str);
        self.rows(
            "WHERE ?1 IS NULL OR app = ?1 ORDER BY id DESC LIMIT ?2",
            params![app, most],
        )
    }

    /// Who moved traffic to a release last.
    pub(crate) fn brought_by(&self, app: &Instance, version: &Version) -> Result<Option<String>> {
        let rows = self.rows(
            "WHERE app = ?1 AND version = ?2 AND outcome = 'done'
             AND why IN ('deploy', 'rollback', 'return') ORDER BY id DESC LIMIT 1",
            params![app.as_str(), version.to_string()],
        )?;
        Ok(rows.into_iter().next().map(|row| row.who))
    }

    pub(crate) fn operation(&self, id: u64) -> Result<Option<OperationRow>> {
        Ok(self.rows("WHERE id = ?1", params![id as i64])?.pop())
    }

    fn rows(&self, which: &str, values: impl rusqlite::Params) -> Result<Vec<OperationRow>> {
        let connection = self.lock();
        let mut query = connection.prepare(&format!("SELECT * FROM operations {which}"))?;
        let rows = query.query_map(values, row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<OperationRow> {
    let slot: Option<String> = row.get("slot")?;
    let why: Option<String> = row.get("why")?;
    let outcome: String = row.get("outcome")?;
    Ok(OperationRow {
        id: row.get::<_, i64>("id")?.unsigned_abs(),
        app: app_at(row, "app")?,
        verb: row.get("verb")?,
        version: version_at(row, "version")?,
        previous: version_at(row, "previous")?,
        slot: slot.as_deref().and_then(slot_named),
        why: why.as_deref().and_then(reason_named),
        who: row.get("who")?,
        begun: time(row.get("begun")?),
        ended: row.get::<_, Option<i64>>("ended")?.map(time),
        outcome: outcome_named(&outcome),
        message: row.get("message")?,
    })
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Running => "running",
        Outcome::Done => "done",
        Outcome::Unchanged => "unchanged",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::TakenBack => "taken back",
        Outcome::Unknown => "unknown",
    }
}

fn outcome_named(word: &str) -> Outcome {
    use Outcome::{Done, Failed, Refused, Running, TakenBack, Unchanged};
    let known = [Running, Done, Unchanged, Refused, Failed, TakenBack];
    known
        .into_iter()
        .find(|one| outcome_word(*one) == word)
        .unwrap_or(Outcome::Unknown)
}

fn reason_word(why: SwitchReason) -> &'static str {
    match why {
        SwitchReason::Deploy => "deploy",
        SwitchReason::Rollback => "rollback",
        SwitchReason::Return => "return",
        SwitchReason::Restart => "restart",
    }
}

fn reason_named(word: &str) -> Option<SwitchReason> {
    [
        SwitchReason::Deploy,
        SwitchReason::Rollback,
        SwitchReason::Return,
        SwitchReason::Restart,
    ]
    .into_iter()
    .find(|why| reason_word(*why) == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_running_until_it_ends() {
        let ledger = Ledger::in_memory();
        let new = NewOperation {
            app: "cortico".parse().unwrap(),
            verb: "switch",
            version: Some(Version::new(1, 1, 0)),
            previous: Some(Version::new(1, 0, 0)),
            slot: Some(Slot::Green),
            why: Some(SwitchReason::Deploy),
            who: "ops1".to_owned(),
        };
        let id = ledger.begin(&new).unwrap();
        ledger.step(id, "start").unwrap();
        ledger.step(id, "health").unwrap();
        let running = ledger.running().unwrap();
        assert_eq!(running.len(), 1);
        assert_eq!(running[0].slot, Some(Slot::Green));
        assert_eq!(running[0].why, Some(SwitchReason::Deploy));
        let next = ledger.begin(&new).unwrap();
        assert_eq!(ledger.running().unwrap().len(), 1);
        assert_eq!(
            ledger.operation(id).unwrap().unwrap().outcome,
            Outcome::Failed
        );
        let id = next;
        ledger.end(id, Outcome::TakenBack, Some("killed")).unwrap();
        assert!(ledger.running().unwrap().is_empty());
        let ended = ledger.operation(id).unwrap().unwrap();
        assert_eq!(ended.outcome, Outcome::TakenBack);
        assert!(ended.ended.is_some());
    }

    #[test]
    fn refusals_are_kept_but_never_fill_the_disk() {
        let ledger = Ledger::in_memory();
        let app = "cortico".parse().unwrap();
        let long = "x".repeat(10 * LONGEST_REFUSAL);
        let refusal = |verb| Refusal {
            app: Some(&app),
            verb,
            version: None,
            who: "ci",
            message: &long,
        };
        ledger.done("signers", None, "ops1", "number 1").unwrap();
        for _ in 0..MOST_REFUSALS + 50 {
            ledger.refused(&refusal("stage")).unwrap();
        }
        ledger.refused(&refusal("deploy")).unwrap();
        let history = ledger.history(None, 10 * MOST_REFUSALS).unwrap();
        assert_eq!(history.len(), MOST_REFUSALS as usize + 1);
        let newest = &history[0];
        assert_eq!(
            (newest.verb.as_str(), newest.outcome),
            ("deploy", Outcome::Refused)
        );
        assert_eq!(newest.message.as_ref().unwrap().len(), LONGEST_REFUSAL);
        // What was done is never pushed out by what was not.
        let oldest = history.last().unwrap();
        assert_eq!((oldest.verb.as_str(), &oldest.app), ("signers", &None));
    }
}
