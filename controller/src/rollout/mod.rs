//! A rollout from lock to result: every phase on all hosts at once, and back again where one fails.

mod goes_to;
mod interrupt;
mod link;
mod member;
mod migrations;
mod outcome;
mod payload;
mod phases;
mod preview;
mod settings;
mod shipment;
#[cfg(test)]
mod tests;
mod wheels;

use std::time::Instant;

use longshore_shared::wire::latest::SwitchReason;
use semver::Version;

pub use interrupt::Interrupts;
pub(crate) use link::{HostLink, LinkError, Reach};
pub use outcome::{FailureKind, HostFailure, HostResult, Outcome, RunEnd, Serving, exit_of};

use crate::event::{Phase, RunEvent};
use crate::plan::Plan;
use member::{Member, Progress};
use phases::Run;
pub(crate) use settings::{NewSettings, What};
pub(crate) use shipment::Shipment;

/// What is to serve at the end.
#[derive(Debug, Clone)]
pub(crate) enum Goal {
    /// A release that is brought along.
    Ship(Shipment),
    /// The same, and there it ends: nothing serves anything else.
    Stage(Shipment),
    /// The release that the environment serves, for hosts that lack it. Its migration has run.
    Sync(Shipment),
    /// A version that the hosts keep.
    Kept(Version),
    /// The version given, or else what served before, host by host.
    Back {
        to: Option<Version>,
        /// Also where the key that signed it was revoked.
        even_revoked: bool,
        /// With the settings that it served with last.
        with_settings: bool,
    },
    /// What serves, started anew.
    Restart,
    /// Other settings, and what serves started anew with them.
    Settings(NewSettings),
}

/// Everything that a rollout needs.
pub(crate) struct Job {
    pub(crate) verb: &'static str,
    pub(crate) plan: Plan,
    pub(crate) goal: Goal,
    pub(crate) skip_offline: bool,
    /// Goes on where migrations stay in the database that the release does not have.
    pub(crate) past_migrations: bool,
    pub(crate) reach: Reach,
    pub(crate) interrupts: Interrupts,
}

impl Goal {
    fn version(&self) -> Option<Version> {
        match self {
            Goal::Ship(shipment) | Goal::Stage(shipment) | Goal::Sync(shipment) => {
                Some(shipment.signed().manifest().version.clone())
            }
            Goal::Kept(version) => Some(version.clone()),
            Goal::Back { to, .. } => to.clone(),
            Goal::Restart | Goal::Settings(_) => None,
        }
    }

    fn reason(&self) -> SwitchReason {
        match self {
            Goal::Ship(_) | Goal::Stage(_) | Goal::Sync(_) | Goal::Kept(_) => SwitchReason::Deploy,
            Goal::Back { .. } => SwitchReason::Rollback,
            Goal::Restart | Goal::Settings(_) => SwitchReason::Restart,
        }
    }

    /// What is brought along, if anything is.
    fn shipment(&self) -> Option<&Shipment> {
        match self {
            Goal::Ship(shipment) | Goal::Stage(shipment) | Goal::Sync(shipment) => Some(shipment),
            Goal::Kept(_) | Goal::Back { .. } | Goal::Restart | Goal::Settings(_) => None,
        }
    }

    fn even_revoked(&self) -> bool {
        matches!(
            self,
            Goal::Back {
                even_revoked: true,
                ..
            }
        )
    }
}

/// Carries the job out and says how it ended. Never leaves a lock behind: a lock lives no longer
/// than its connection.
pub(crate) async fn roll_out(job: Job) -> RunEnd {
    let begun = Instant::now();
    let plan = job.plan.clone();
    job.reach.report.event(RunEvent::Started {
        verb: job.verb,
        app: plan.app.clone(),
        environment: plan.environment.clone(),
        version: job.goal.version(),
        hosts: plan.hosts.iter().map(|host| host.name.clone()).collect(),
    });
    let (verb, goal) = (job.verb, job.goal.clone());
    let members = plan.hosts.iter().cloned().map(Member::new).collect();
    let run = Run::new(job);
    let members = run.through(members).await;
    let members = run.migrate_again(members).await;
    let members = run.drop_failed_preview(members).await;
    let interrupted = run.interrupts().is_asked();
    let hosts = run.close(members).await;
    let version = goal.version().or_else(|| common_version(&hosts));
    RunEnd {
        verb,
        app: plan.app.to_string(),
        environment: plan.environment.to_string(),
        version,
        seconds: begun.elapsed().as_secs_f64(),
        exit: exit_of(&hosts, interrupted),
        hosts,
    }
}

impl Run {
    /// All phases, as far as they go.
    async fn through(&self, members: Vec<Member>) -> Vec<Member> {
        let members = self.phase(Phase::Connect, members).await;
        let members = self.lock(members).await;
        let mut members = self.phase(Phase::Preflight, members).await;
        if self.must_stop(&members) {
            return members;
        }
        if self.changes_settings() {
            return self.through_settings(members).await;
        }
        self.tell_missing_settings(&mut members);
        self.tell_plan(&members);
        let members = self.keep_preview(members).await;
        if self.must_stop(&members) {
            return members;
        }
        let members = self.bring_settings(members).await;
        if self.must_stop(&members) {
            return self.take_settings_back(members).await;
        }
        let members = self.stage(members).await;
        if self.must_stop(&members) || self.only_stages() {
            return self.take_settings_back(members).await;
        }
        let members = self.make_preview(members).await;
        if self.must_stop(&members) {
            return self.take_settings_back(members).await;
        }
        let members = self.migrate(members).await;
        if self.must_stop(&members) {
            return self.take_settings_back(members).await;
        }
        let members = self.phase(Phase::Switch, members).await;
        // A host whose switch was cancelled by the person has failed too: all go back together.
        let failed = members
            .iter()
            .any(|m| matches!(m.outcome(), Some(Outcome::Failed | Outcome::Refused)));
        let switched = |member: &Member| member.progress == Progress::Switched;
        // Where a restart failed, what served goes on, and it is the same release as elsewhere.
        if failed && !self.only_restarts() && members.iter().any(switched) {
            let members = self.migrate_back(members).await;
            return self.phase(Phase::Return, members).await;
        }
        match failed {
            true => self.take_settings_back(members).await,
            false => members,
        }
    }
}

/// The one version that all hosts were moved to, if it is one.
fn common_version(hosts: &[HostResult]) -> Option<Version> {
    let mut versions = hosts
        .iter()
        .filter(|host| matches!(host.outcome, Outcome::Switched | Outcome::Unchanged))
        .map(|host| host.serves.version());
    let first = versions.next()??;
    versions
        .all(|version| version == Some(first))
        .then(|| first.clone())
}
