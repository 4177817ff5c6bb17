//! Migrations: once for all hosts, on one of them. First those that the release which comes does not
//! have, then its own.

use longshore_shared::wire::latest::{Order, Problem, Reply};

use super::Goal;
use super::member::{Member, Stakes};
use super::outcome::HostFailure;
use super::phases::Run;
use crate::event::{Phase, RunEvent};

impl Run {
    pub(super) async fn migrate(&self, members: Vec<Member>) -> Vec<Member> {
        let (leaves, migrates) = match &self.job.goal {
            Goal::Ship(shipment) => {
                let migrate = &shipment.signed().manifest().app_file.migrate;
                let live_checks = members.iter().any(|member| member.live_checks);
                (
                    migrate.check.is_some() || live_checks,
                    !migrate.run.is_empty(),
                )
            }
            Goal::Kept(_) => (true, true),
            // What serves already has migrated, and a rollback migrates nothing.
            Goal::Back { .. } => (true, false),
            Goal::Stage(_) | Goal::Sync(_) | Goal::Restart | Goal::Settings(_) => (false, false),
        };
        let taking_part: Vec<_> = members
            .iter()
            .filter(|member| member.is_active())
            .map(|member| member.name().clone())
            .collect();
        let Some(place) = self
            .job
            .plan
            .migration_place(&taking_part)
            .filter(|_| leaves || migrates)
        else {
            return members;
        };
        let report = &self.job.reach.report;
        if migrates {
            report.event(RunEvent::Phase(Phase::Migrate));
        }
        if let Some(remark) = place.remark.filter(|_| migrates) {
            report.event(RunEvent::Note(remark));
        }
        let mut migrated = Vec::with_capacity(members.len());
        for mut member in members {
            let here = *member.name() == place.host;
            if here && leaves {
                self.leave(&mut member).await;
            }
            migrated.push(if here && migrates {
                self.one(Phase::Migrate, member).await
            } else {
                member
            });
        }
        migrated
    }

    /// What serves may have migrations that the release which comes does not have.
    async fn leave(&self, member: &mut Member) {
        let Some(version) = self.version_for(member) else {
            return;
        };
        let app = self.job.plan.app.clone();
        let order = Order::Leave {
            app,
            version: version.clone(),
        };
        let (stay, undone) = match self.order(member, order, None, Stakes::Migration).await {
            None => return,
            Some(Reply::Left { stay, undone }) => (stay, undone),
            Some(other) => return member.ended_by(other),
        };
        let note = |what: String| self.job.reach.report.event(RunEvent::Note(what));
        if !undone.is_empty() {
            note(format!("undone in the database: {}", undone.join(", ")));
            member.undone = undone;
        }
        if stay.is_empty() {
            return;
        }
        let what = format!("in the database, and not in {version}: {}", stay.join(", "));
        if self.job.past_migrations {
            return note(what);
        }
        member.past_migrations = true;
        member.refused(HostFailure::of_problems(&[Problem {
            what,
            next: "Make sure that it can live with them; then the same command with --yes goes on, and they stay."
                .to_owned(),
        }]));
    }

    /// What was undone for a release that does not serve after all is done again for the one that does.
    pub(super) async fn migrate_again(&self, mut members: Vec<Member>) -> Vec<Member> {
        for member in &mut members {
            let undone = std::mem::take(&mut member.undone).join(", ");
            let serves = member.serves.version().cloned();
            if undone.is_empty() || serves == self.version_for(member) {
                continue;
            }
            let Some(version) = serves else {
                member.remark(format!(
                    "undone in the database: {undone}; what serves may be without them: deploy it again"
                ));
                continue;
            };
            let app = self.job.plan.app.clone();
            let order = Order::Migrate {
                app,
                version: version.clone(),
            };
            let again = match member.insist(order).await {
                Ok(_) => format!("{version} still serves, and has migrated again: {undone}"),
                Err(why) => format!(
                    "{version} still serves, and what was undone could not be done again ({why}): {undone}. Deploy it again"
                ),
            };
            member.remark(again);
        }
        members
    }

    pub(super) async fn migrate_one(&self, member: &mut Member) {
        let Some(version) = self.job.goal.version() else {
            return;
        };
        let app = self.job.plan.app.clone();
        match self
            .order(
                member,
                Order::Migrate { app, version },
                None,
                Stakes::Migration,
            )
            .await
        {
            None | Some(Reply::Migrated { .. } | Reply::Switched(_)) => {}
            Some(other) => member.ended_by(other),
        }
    }
}
