//! `[migrate]`: once per environment, on its first host, with the new release's code and settings.

use longshore_shared::digest::Sha256Digest;
use longshore_shared::manifest::Manifest;
use longshore_shared::wire::latest::Reply;
use semver::Version;

use super::applied::{applied, without};
use super::may_serve::{Wanted, may_serve};
use super::{live, made};
use crate::agent::Agent;
use crate::host::Host;
use crate::journal;
use crate::layout::AppLayout;
use crate::ledger::{Migrated, ReleaseRow};
use crate::operation::{Operation, Trouble};
use crate::step_unit::StepUnit;

/// A migration that can be begun.
#[derive(Debug)]
pub(crate) struct Migration {
    layout: AppLayout,
    manifest: Manifest,
    digest: Sha256Digest,
    ran: bool,
}

/// Looks up what is to be run. Its steps are code of the release, so it has to be one that may serve.
pub(crate) fn prepare(
    agent: &Agent,
    host: &Host,
    wanted: Wanted<'_>,
) -> Result<Migration, Trouble> {
    let Wanted { app, version, .. } = wanted;
    let layout = AppLayout::new(app);
    let (row, manifest) = staged(agent, &layout, version)?;
    may_serve(agent, host, wanted)?;
    made::is_made(agent, app, &manifest)?;
    let ran = agent.ledger.migrated(app, &row.manifest)?;
    Ok(Migration {
        layout,
        manifest,
        digest: row.manifest,
        ran,
    })
}

impl Migration {
    pub(crate) fn run(self, agent: &Agent, operation: &Operation) -> Result<Reply, Trouble> {
        let steps = &self.manifest.app_file.migrate.run;
        if steps.is_empty() || self.ran {
            return Ok(Reply::Migrated {
                unchanged: true,
                applied: Vec::new(),
            });
        }
        let longest = self.manifest.app_file.migrate.timeout;
        let unit = StepUnit::of_kept(&self.layout, &self.manifest, longest);
        let backup = &self.manifest.app_file.backup.run;
        if !backup.is_empty() {
            let backed_up = operation.step("backup", || {
                backup
                    .iter()
                    .try_for_each(|command| unit.run(operation, "backup", command.as_str()))
            });
            backed_up.map_err(|trouble| trouble.and("nothing was migrated"))?;
        }
        let told = || applied(&self.layout, &self.manifest, operation);
        let before = told()?;
        let new_in = |after: &[String]| without(after, before.as_deref().unwrap_or_default());
        let (app, ledger) = (&self.layout.app, &agent.ledger);
        // Whatever stops it: it may have left something that nobody else can undo.
        let there = before.clone().unwrap_or_default();
        let was_begun = ledger.migrations(app)?.contains_key(&self.digest);
        ledger.set_migrated(app, &self.digest, Migrated::BrokeOff, &there)?;
        let ran = operation.step("migrate", || {
            steps
                .iter()
                .try_for_each(|command| unit.run(operation, "migrate", command.as_str()))
        });
        ran.map_err(|trouble| match told() {
            _ if before.is_none() => trouble,
            Ok(after) => {
                let after = after.unwrap_or_default();
                let new = new_in(&after);
                let kept = match new.is_empty() && !was_begun {
                    true => ledger.forget_migration(app, &self.digest),
                    false => ledger.set_migrated(app, &self.digest, Migrated::BrokeOff, &after),
                };
                if let Err(error) = kept {
                    journal::say(&format!("what {app} migrated is not kept: {error}"));
                }
                if new.is_empty() {
                    return trouble.and("nothing of it is in the database");
                }
                trouble.and(&format!("in the database by now: {}", new.join(", ")))
            }
            Err(_) => trouble.and("what is in the database now is not known"),
        })?;
        let after = told()?.unwrap_or_default();
        let new = new_in(&after);
        if !new.is_empty() {
            operation.remember(format!("applied: {}", new.join(", ")));
            operation.note("migrate", &format!("applied: {}", new.join(", ")));
        }
        ledger.set_migrated(app, &self.digest, Migrated::Whole, &after)?;
        Ok(Reply::Migrated {
            unchanged: false,
            applied: new,
        })
    }
}

/// A release that is ready on this host, and its manifest.
pub(crate) fn staged(
    agent: &Agent,
    layout: &AppLayout,
    version: &Version,
) -> Result<(ReleaseRow, Manifest), Trouble> {
    let row = agent.ledger.release(&layout.app, version)?.ok_or_else(|| {
        Trouble::refused(
            format!("{} {version} is not on this host", layout.app),
            "deploy it; `longshore releases` lists what each host holds",
        )
    })?;
    let manifest = live::manifest(layout, version).map_err(|error| {
        Trouble::refused(
            format!("{} {version} is damaged on this host: {error}", layout.app),
            "deploy it under a new version",
        )
    })?;
    Ok((row, manifest))
}
