//! Going from one release to another that does not have all of its migrations. What is undone is undone
//! by the release that has them, the newest first, before the other one serves.

use longshore_shared::digest::Sha256Digest;
use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;
use longshore_shared::setup::OnLeave;
use longshore_shared::wire::latest::Reply;
use semver::Version;

use super::applied::{applied, without};
use super::direction::found_good;
use super::{live, migrate};
use crate::agent::Agent;
use crate::host::Host;
use crate::layout::AppLayout;
use crate::ledger::{LedgerError, Migrated, ReleaseRow};
use crate::operation::{Operation, Trouble};
use crate::step_unit::StepUnit;

/// Two releases of which the second is to serve.
#[derive(Debug)]
pub(crate) struct Leave {
    layout: AppLayout,
    /// The one that serves; nothing where it is the same, or none does.
    from: Option<Manifest>,
    /// Those that migrated and then did not come to serve, the newest first; none where nobody undoes.
    strays: Vec<Stray>,
    to: Manifest,
    /// Whether `to` has to migrate, as it was undone before or never ran.
    lacks: bool,
    on_leave: OnLeave,
}

/// What a deployment that failed has left in the database.
#[derive(Debug)]
struct Stray {
    version: Version,
    digest: Sha256Digest,
    manifest: Option<Manifest>,
}

/// What was found and done.
#[derive(Debug, Default)]
struct Told {
    stay: Vec<String>,
    undone: Vec<String>,
    remarks: Vec<String>,
}

pub(crate) fn prepare(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    version: &Version,
) -> Result<Leave, Trouble> {
    let layout = AppLayout::new(app);
    let (row, to) = migrate::staged(agent, &layout, version)?;
    let live = live::live(&layout).filter(|live| live.version != *version);
    let from = match live {
        Some(live) => Some(migrate::staged(agent, &layout, &live.version)?.1),
        None => None,
    };
    let on_leave = host.hosted(app).map(|app| app.on_leave).unwrap_or_default();
    let undoes = on_leave == OnLeave::Undo;
    let migrated = agent.ledger.migrated(app, &row.manifest)?;
    Ok(Leave {
        strays: match undoes {
            true => strays(agent, &layout, &row)?,
            false => Vec::new(),
        },
        lacks: undoes && !migrated && !to.app_file.migrate.run.is_empty(),
        layout,
        from,
        to,
        on_leave,
    })
}

/// Those that migrated and never served: what served was looked at when something else came.
fn strays(agent: &Agent, layout: &AppLayout, to: &ReleaseRow) -> Result<Vec<Stray>, LedgerError> {
    let migrations = agent.ledger.migrations(&layout.app)?;
    let to_has = migrations.get(&to.manifest).cloned().unwrap_or_default();
    let live = live::live(layout).map(|live| live.version);
    let mut strays = Vec::new();
    for row in agent.ledger.releases(&layout.app)? {
        let has_served =
            live.as_ref() == Some(&row.version) || found_good(agent, &layout.app, &row.version)?;
        let Some(left) = migrations.get(&row.manifest) else {
            continue;
        };
        let is_whole = agent.ledger.migrated(&layout.app, &row.manifest)?;
        let known = is_whole && without(left, &to_has).is_empty();
        if has_served || row.version == to.version || known {
            continue;
        }
        strays.push(Stray {
            manifest: live::manifest(layout, &row.version).ok(),
            version: row.version,
            digest: row.manifest,
        });
    }
    Ok(strays)
}

impl Leave {
    pub(crate) fn run(self, agent: &Agent, operation: &Operation) -> Result<Reply, Trouble> {
        let mut told = Told::default();
        for stray in &self.strays {
            self.clear(agent, stray, operation, &mut told)?;
        }
        if let Some(from) = &self.from {
            self.leave(agent, from, operation, &mut told)?;
        }
        Ok(Reply::Left {
            stay: told.stay,
            undone: told.undone,
            remark: (!told.remarks.is_empty()).then(|| told.remarks.join("; ")),
            lacks: self.lacks,
        })
    }

    fn leave(
        &self,
        agent: &Agent,
        from: &Manifest,
        operation: &Operation,
        told: &mut Told,
    ) -> Result<(), Trouble> {
        // What comes after it has what it has, unless it was a branch's; whoever undoes looks all the same.
        let goes_on = self.on_leave == OnLeave::Never
            && self.to.version > from.version
            && from.version.pre.is_empty();
        if goes_on || from.tree == self.to.tree {
            return Ok(());
        }
        let left = self.beyond(from, operation, told)?;
        if left.is_empty() || self.on_leave == OnLeave::Never {
            told.stay = left;
            return Ok(());
        }
        operation.step("undo", || self.undo(agent, from, &left, operation))?;
        operation.remember(format!("undone: {}", left.join(", ")));
        told.undone = left;
        Ok(())
    }

    /// Nobody serves with what is left of a deployment that failed: where it cannot be undone, it is told,
    /// and what comes comes all the same.
    fn clear(
        &self,
        agent: &Agent,
        stray: &Stray,
        operation: &Operation,
        told: &mut Told,
    ) -> Result<(), Trouble> {
        let Stray { version, .. } = stray;
        let may = |why: &str| format!("{version} may have left migrations in the database: {why}");
        let Some(manifest) = &stray.manifest else {
            told.remarks.push(may("it is damaged on this host"));
            return Ok(());
        };
        let left = match self.beyond(manifest, operation, told) {
            Err(trouble) if !operation.is_cancelled() => {
                told.remarks.push(may(&trouble.message()));
                return Ok(());
            }
            left => left?,
        };
        let (app, ledger) = (&self.layout.app, &agent.ledger);
        if left.is_empty() {
            return Ok(ledger.forget_migration(app, &stray.digest)?);
        }
        // To be tried again where this is stopped.
        ledger.set_migrated(app, &stray.digest, Migrated::BrokeOff, &left)?;
        let names = left.join(", ");
        let undone = operation.step("undo", || self.undo(agent, manifest, &left, operation));
        if operation.is_cancelled() {
            return undone;
        }
        told.remarks.push(match undone {
            Ok(()) => {
                ledger.forget_migration(app, &stray.digest)?;
                operation.remember(format!("undone: {names}"));
                format!("undone in the database, where {version} had left it: {names}")
            }
            Err(trouble) => {
                let why = trouble.message();
                format!("left in the database by {version}, and not undone ({why}): {names}")
            }
        });
        Ok(())
    }

    /// Those in the database that a release has, and the one that comes has not. Whatever cannot be told,
    /// nobody undoes.
    fn beyond(
        &self,
        from: &Manifest,
        operation: &Operation,
        told: &mut Told,
    ) -> Result<Vec<String>, Trouble> {
        operation.step("compare", || {
            let here = match applied(&self.layout, from, operation) {
                // It may be broken, and nobody can mend it by staying with it.
                Err(trouble) if self.on_leave == OnLeave::Never && !operation.is_cancelled() => {
                    told.remarks.push(told_nothing(from, &trouble));
                    return Ok(Vec::new());
                }
                here => here?.unwrap_or_default(),
            };
            if here.is_empty() {
                return Ok(Vec::new());
            }
            let Some(known) = applied(&self.layout, &self.to, operation)? else {
                told.remarks.push(cannot_tell(&self.to, &here));
                return Ok(Vec::new());
            };
            Ok(without(&here, &known))
        })
    }

    fn undo(
        &self,
        agent: &Agent,
        from: &Manifest,
        left: &[String],
        operation: &Operation,
    ) -> Result<(), Trouble> {
        let steps = &from.app_file.migrate.undo;
        if steps.is_empty() {
            return Err(Trouble::refused(
                format!(
                    "{} {} has no `undo` in its [migrate], and {} does not have these migrations of it: {}",
                    self.layout.app,
                    from.version,
                    self.to.version,
                    left.join(", ")
                ),
                "undo them by hand, or say on_leave = \"never\" in the inventory and run longshore bootstrap",
            ));
        }
        let all = applied(&self.layout, from, operation)?.unwrap_or_default();
        agent.ledger.forget_those_with(&self.layout.app, left)?;
        for name in left.iter().rev() {
            operation.note("undo", name);
            let longest = from.app_file.migrate.timeout;
            let mut unit = StepUnit::of_kept(&self.layout, from, longest);
            let about = [
                ("LONGSHORE_MIGRATION", name.clone()),
                ("LONGSHORE_MIGRATION_BEFORE", before(name, &all)),
            ];
            unit.environment.extend(about);
            let undone = steps
                .iter()
                .try_for_each(|command| unit.run(operation, "undo", command.as_str()));
            undone.map_err(|trouble| trouble.and(&self.how_it_stands(from, left, operation)))?;
        }
        let still = self.still_there(from, left, operation)?;
        if still.is_empty() {
            return Ok(());
        }
        Err(Trouble::failed(
            format!(
                "`undo` said that all went well, and these are still in the database: {}",
                still.join(", ")
            ),
            "correct `undo` in [migrate]; the release that serves has them, and goes on serving",
        ))
    }

    fn still_there(
        &self,
        from: &Manifest,
        left: &[String],
        operation: &Operation,
    ) -> Result<Vec<String>, Trouble> {
        let now = applied(&self.layout, from, operation)?.unwrap_or_default();
        Ok(left
            .iter()
            .filter(|name| now.contains(name))
            .cloned()
            .collect())
    }

    fn how_it_stands(&self, from: &Manifest, left: &[String], operation: &Operation) -> String {
        match self.still_there(from, left, operation) {
            Ok(still) if still.is_empty() => "all that was to be undone is undone".to_owned(),
            Ok(still) => format!("still in the database: {}", still.join(", ")),
            Err(_) => "what is in the database now is not known".to_owned(),
        }
    }
}

fn told_nothing(from: &Manifest, trouble: &Trouble) -> String {
    format!(
        "{} cannot tell which migrations are in the database ({}); all of them stay",
        from.version,
        trouble.message()
    )
}

fn cannot_tell(to: &Manifest, here: &[String]) -> String {
    format!(
        "{} has no `check` in [migrate], so nobody can tell which of the {} migrations in the database it does not have; all of them stay",
        to.version,
        here.len()
    )
}

/// The one before it of the same part, as Django has it (`board.0002_title` is of `board`); without
/// the part's name. Nothing is before the first.
fn before(name: &str, all: &[String]) -> String {
    let part = |name: &str| name.split_once('.').map(|(part, _)| part.to_owned());
    let own = part(name);
    let earlier = all.iter().take_while(|other| *other != name);
    let same = earlier.filter(|other| part(other) == own).last();
    let bare = |name: &String| match name.split_once('.') {
        Some((_, rest)) => rest.to_owned(),
        None => name.clone(),
    };
    same.map(bare).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_before_is_of_the_same_part() {
        let all = ["auth.0001_x", "board.0001_a", "auth.0002_y", "board.0002_b"].map(str::to_owned);
        assert_eq!(before("board.0002_b", &all), "0001_a");
        assert_eq!(before("board.0001_a", &all), "");
        assert_eq!(before("auth.0002_y", &all), "0001_x");
        let plain = ["one", "two"].map(str::to_owned);
        assert_eq!(before("two", &plain), "one");
    }
}
