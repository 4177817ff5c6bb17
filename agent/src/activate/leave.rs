//! Going from one release to another that does not have all of its migrations. What is undone is undone
//! by the release that has them, the newest first, before the other one serves.

use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;
use longshore_shared::setup::OnLeave;
use longshore_shared::wire::latest::Reply;
use semver::Version;

use super::applied::{applied, without};
use super::{live, migrate};
use crate::agent::Agent;
use crate::host::Host;
use crate::layout::AppLayout;
use crate::operation::{Operation, Trouble};
use crate::step_unit::StepUnit;

/// Two releases of which the second is to serve.
#[derive(Debug)]
pub(crate) struct Leave {
    layout: AppLayout,
    /// The one that serves; nothing where it is the same, or none does.
    from: Option<Manifest>,
    to: Manifest,
    on_leave: OnLeave,
}

pub(crate) fn prepare(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    version: &Version,
) -> Result<Leave, Trouble> {
    let layout = AppLayout::new(app);
    let (_, to) = migrate::staged(agent, &layout, version)?;
    let live = live::live(&layout).filter(|live| live.version != *version);
    let from = match live {
        Some(live) => Some(migrate::staged(agent, &layout, &live.version)?.1),
        None => None,
    };
    let on_leave = host.hosted(app).map(|app| app.on_leave).unwrap_or_default();
    Ok(Leave {
        layout,
        from,
        to,
        on_leave,
    })
}

impl Leave {
    pub(crate) fn run(self, agent: &Agent, operation: &Operation) -> Result<Reply, Trouble> {
        let Some(from) = &self.from else {
            return Ok(nothing());
        };
        // What comes after it has what it has, unless it was a branch's; whoever undoes looks all the same.
        let goes_on = self.on_leave == OnLeave::Never
            && self.to.version > from.version
            && from.version.pre.is_empty();
        if goes_on || from.tree == self.to.tree {
            return Ok(nothing());
        }
        // Whatever cannot be told, nobody undoes.
        let mut remark = None;
        let left = operation.step("compare", || {
            let here = match applied(&self.layout, from, operation) {
                // It may be broken, and nobody can mend it by staying with it.
                Err(trouble) if self.on_leave == OnLeave::Never && !operation.is_cancelled() => {
                    remark = Some(told_nothing(from, &trouble));
                    return Ok(Vec::new());
                }
                here => here?.unwrap_or_default(),
            };
            if here.is_empty() {
                return Ok(Vec::new());
            }
            let Some(known) = applied(&self.layout, &self.to, operation)? else {
                remark = Some(cannot_tell(&self.to, &here));
                return Ok(Vec::new());
            };
            Ok(without(&here, &known))
        })?;
        if left.is_empty() || self.on_leave == OnLeave::Never {
            return Ok(Reply::Left {
                stay: left,
                undone: Vec::new(),
                remark,
            });
        }
        operation.step("undo", || self.undo(agent, from, &left, operation))?;
        operation.remember(format!("undone: {}", left.join(", ")));
        Ok(Reply::Left {
            stay: Vec::new(),
            undone: left,
            remark,
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
        agent.ledger.forget_migrated(&self.layout.app)?;
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

fn nothing() -> Reply {
    Reply::Left {
        stay: Vec::new(),
        undone: Vec::new(),
        remark: None,
    }
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
