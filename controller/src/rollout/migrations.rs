//! Migrations: once for all hosts, on one of them. First those that the release which comes does not
//! have, then its own.

use longshore_shared::name::HostName;
use longshore_shared::wire::latest::{Order, Problem, Reply, SwitchReason};
use semver::Version;

use super::Goal;
use super::member::{Member, Progress, Stakes};
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
            // A rollback migrates nothing but what was undone since.
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
        let (mut members, mut lacks) = (members, false);
        if leaves && let Some(at) = self.leaves_at(&members, &place.host) {
            lacks = self.leave(&mut members[at]).await;
            if !members[at].is_active() {
                return members;
            }
        }
        if !migrates && !lacks {
            return members;
        }
        let mut migrated = Vec::with_capacity(members.len());
        for member in members {
            migrated.push(match *member.name() == place.host {
                true => self.one(Phase::Migrate, member).await,
                false => member,
            });
        }
        migrated
    }

    /// Where something else serves than what comes: there it is that can undo. The place where it migrates,
    /// if that is one.
    fn leaves_at(&self, members: &[Member], place: &HostName) -> Option<usize> {
        let differs =
            |member: &Member| member.before.version() != self.version_for(member).as_ref();
        let all = || members.iter().filter(|member| member.is_active());
        let host = all()
            .find(|member| member.name() == place && differs(member))
            .or_else(|| all().find(|member| differs(member)))
            .map_or(place, Member::name);
        members.iter().position(|member| member.name() == host)
    }

    /// What serves may have migrations that the release which comes does not have. Whether that one has to
    /// migrate whatever was meant.
    async fn leave(&self, member: &mut Member) -> bool {
        let Some(version) = self.version_for(member) else {
            return false;
        };
        let app = self.job.plan.app.clone();
        let order = Order::Leave {
            app,
            version: version.clone(),
        };
        let (stay, undone, lacks) = match self.order(member, order, None, Stakes::Migration).await {
            None => {
                member.undone = Some(Vec::new());
                return false;
            }
            Some(Reply::Left {
                stay,
                undone,
                remark,
                lacks,
            }) => {
                if let Some(remark) = remark {
                    self.job.reach.report.event(RunEvent::Note(remark));
                }
                (stay, undone, lacks)
            }
            Some(other) => {
                // Some of it may have been undone, and what serves has it.
                member.undone = Some(Vec::new());
                member.ended_by(other);
                return false;
            }
        };
        let note = |what: String| self.job.reach.report.event(RunEvent::Note(what));
        if !undone.is_empty() {
            note(format!("undone in the database: {}", undone.join(", ")));
            member.undone = Some(undone);
        }
        if stay.is_empty() {
            return lacks;
        }
        let what = format!("in the database, and not in {version}: {}", stay.join(", "));
        if self.job.past_migrations {
            note(what);
            return lacks;
        }
        member.past_migrations = true;
        member.refused(HostFailure::of_problems(&[Problem {
            what,
            next: "Make sure that it can live with them; then the same command with --yes goes on, and they stay."
                .to_owned(),
        }]));
        false
    }

    /// What was undone for a release that does not serve after all is done again for the one that does.
    pub(super) async fn migrate_again(&self, mut members: Vec<Member>) -> Vec<Member> {
        for member in &mut members {
            let serves = member.serves.version().cloned();
            let wanted = self.version_for(member);
            if serves.is_none() || serves != wanted {
                self.have_again(member, serves).await;
                tell_what_stays(member, wanted);
            }
        }
        members
    }

    /// The same for what hosts are about to go back to: it has to find what it needs when it starts.
    pub(super) async fn migrate_back(&self, mut members: Vec<Member>) -> Vec<Member> {
        for member in &mut members {
            let before = member.before.version().cloned();
            self.have_again(member, before).await;
        }
        members
    }

    async fn have_again(&self, member: &mut Member, version: Option<Version>) {
        let Some(undone) = member.undone.take() else {
            return;
        };
        let undone = match undone.is_empty() {
            true => "what was undone".to_owned(),
            false => undone.join(", "),
        };
        let Some(version) = version else {
            return member.remark(format!(
                "undone in the database: {undone}; what serves may need it: deploy it again"
            ));
        };
        let app = self.job.plan.app.clone();
        let order = Order::Migrate {
            app,
            version: version.clone(),
            why: Some(match member.serves.version() == Some(&version) {
                true => SwitchReason::Restart,
                false => SwitchReason::Return,
            }),
        };
        let why = match member.insist(order).await {
            Ok(
                Reply::Migrated {
                    unchanged: false, ..
                }
                | Reply::Switched(_),
            ) => {
                return member.remark(format!("{version} has migrated again: {undone}"));
            }
            // Nothing was undone yet.
            Ok(Reply::Migrated { .. }) => return,
            Ok(_) => "the agent gave an answer that does not fit the order".to_owned(),
            Err(why) => why,
        };
        member.remark(format!(
            "{version} could not migrate again ({why}), and needs it: {undone}. Deploy it again"
        ));
    }

    pub(super) async fn migrate_one(&self, member: &mut Member) {
        let Some(version) = self.version_for(member) else {
            return;
        };
        let app = self.job.plan.app.clone();
        let why = matches!(self.job.goal, Goal::Back { .. }).then_some(SwitchReason::Rollback);
        match self
            .order(
                member,
                Order::Migrate { app, version, why },
                None,
                Stakes::Migration,
            )
            .await
        {
            Some(Reply::Migrated { applied, .. }) => member.applied = applied,
            None | Some(Reply::Switched(_)) => {}
            Some(other) => member.ended_by(other),
        }
    }
}

/// What a release migrated that does not serve.
fn tell_what_stays(member: &mut Member, version: Option<Version>) {
    let applied = std::mem::take(&mut member.applied);
    // A new preview goes as a whole.
    let (Some(version), false) = (version, applied.is_empty() || member.new_preview) else {
        return;
    };
    // What served, if only for a moment, is left on purpose.
    let next = match member.progress == Progress::Returned {
        true => "deploy it again, or undo them by hand",
        false => {
            "where the inventory says on_leave = \"undo\", the next deploy or return undoes those that it does not have"
        }
    };
    member.remark(format!(
        "{version} does not serve, and these migrations of it are in the database: {}. What comes next has to live with them; {next}",
        applied.join(", ")
    ));
}
