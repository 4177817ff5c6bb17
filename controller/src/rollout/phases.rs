//! What each phase asks of a host, and when a rollout stops.

use std::sync::Arc;

use longshore_shared::digest::Sha256Digest;
use longshore_shared::wire::latest::{Order, Preflighted, Reply, SwitchReason};
use semver::Version;

use super::interrupt::Interrupts;
use super::link::HostLink;
use super::member::{Member, Progress, Stakes};
use super::outcome::{HostFailure, HostResult, Outcome};
use super::{Goal, Job, Shipment, wheels};
use crate::event::{Change, HostEvent, Phase, RunEvent};
use crate::fleet;

/// How often a staging goes on after its line was lost.
const MOST_TRIES: usize = 20;

/// A rollout under way. Cheap to clone: every host's task has one.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) job: Arc<Job>,
}

impl Run {
    pub(super) fn new(job: Job) -> Self {
        Run { job: Arc::new(job) }
    }

    pub(super) fn interrupts(&self) -> &Interrupts {
        &self.job.interrupts
    }

    /// Whether nothing more may be begun. A host that is left out is no reason.
    pub(super) fn must_stop(&self, members: &[Member]) -> bool {
        let bad = |member: &Member| !matches!(member.outcome(), None | Some(Outcome::Skipped));
        self.interrupts().is_asked()
            || members.iter().any(bad)
            || !members.iter().any(Member::is_active)
    }

    /// Takes all hosts through one phase at once. Nothing new is begun after an interrupt.
    pub(super) async fn phase(&self, phase: Phase, members: Vec<Member>) -> Vec<Member> {
        // What was written on a host that failed since has to be put back there, too.
        let takes_part = |member: &Member| {
            member.is_active() || (phase == Phase::Return && member.settings_before.is_some())
        };
        let nobody = phase != Phase::Connect && !members.iter().any(takes_part);
        if nobody || (self.interrupts().is_asked() && phase != Phase::Return) {
            return members;
        }
        self.job.reach.report.event(RunEvent::Phase(phase));
        self.on_all(phase, members).await
    }

    async fn on_all(&self, phase: Phase, members: Vec<Member>) -> Vec<Member> {
        fleet::on_all(members, |member| {
            let run = self.clone();
            async move { run.one(phase, member).await }
        })
        .await
    }

    /// The first host's lock decides: two rollouts that begin at once must not get half of the
    /// hosts each. Without it no other host is locked.
    pub(super) async fn lock(&self, mut members: Vec<Member>) -> Vec<Member> {
        let Some(first) = members.iter().position(Member::is_active) else {
            return members;
        };
        let others = members.split_off(first + 1);
        if let Some(first) = members.last_mut() {
            first.decides = true;
        }
        let mut members = self.phase(Phase::Lock, members).await;
        let decided = members.last().is_some_and(Member::is_active);
        members.extend(if decided && !others.is_empty() {
            self.on_all(Phase::Lock, others).await
        } else {
            others
        });
        members
    }

    pub(super) fn only_stages(&self) -> bool {
        matches!(self.job.goal, Goal::Stage(_))
    }

    pub(super) fn only_restarts(&self) -> bool {
        matches!(self.job.goal, Goal::Restart)
    }

    /// What is going to change where, now that every host has said what it serves.
    pub(super) fn tell_plan(&self, members: &[Member]) {
        if self.only_stages() || self.only_restarts() {
            return;
        }
        let change = |member: &Member| {
            Some(Change {
                host: member.name().clone(),
                from: member.before.version().cloned(),
                to: self.version_for(member)?,
            })
        };
        let active = members.iter().filter(|member| member.is_active());
        let changes: Vec<Change> = active.filter_map(change).collect();
        self.job.reach.report.event(RunEvent::Plan(changes));
    }

    pub(super) fn version_for(&self, member: &Member) -> Option<Version> {
        match &self.job.goal {
            Goal::Back { .. } | Goal::Restart | Goal::Settings(_) => member.goes_to.clone(),
            goal => goal.version(),
        }
    }

    /// A rollback has nothing to bring along, and neither has a release that all hosts hold: its
    /// tarball here is not waited for.
    pub(super) async fn stage(&self, mut members: Vec<Member>) -> Vec<Member> {
        let Some(shipment) = self.job.goal.shipment() else {
            return members;
        };
        let mut active = members.iter_mut().filter(|member| member.is_active());
        if active.any(|member| !member.holds_release) {
            let release = shipment.release().await;
            for member in members.iter_mut().filter(|member| member.is_active()) {
                match &release {
                    Err(failure) => member.refused(failure.clone()),
                    Ok(release) if !member.holds_release => {
                        if let Some(failure) = wheels::misfit(release, member) {
                            member.refused(failure);
                        }
                    }
                    Ok(_) => {}
                }
            }
            if self.must_stop(&members) {
                return members;
            }
        }
        self.phase(Phase::Stage, members).await
    }

    pub(super) async fn one(&self, phase: Phase, mut member: Member) -> Member {
        match phase {
            Phase::Connect => self.connect(&mut member).await,
            Phase::Return if self.changes_settings() => {
                self.restore_settings(&mut member).await;
                return member;
            }
            Phase::Return if member.settings_before.is_some() => {
                self.back_with_settings(&mut member).await;
                return member;
            }
            _ if !member.is_active() => return member,
            Phase::Lock => self.lock_one(&mut member).await,
            Phase::Preflight => self.preflight(&mut member).await,
            Phase::Stage => self.stage_one(&mut member).await,
            Phase::Migrate => self.migrate_one(&mut member).await,
            Phase::Settings => self.write_settings(&mut member).await,
            Phase::Switch => self.switch(&mut member).await,
            Phase::Return if member.progress != Progress::Switched => return member,
            Phase::Return => self.send_back(&mut member).await,
        }
        if member.is_active() {
            let (host, what) = (member.name().clone(), HostEvent::PhaseDone { phase });
            self.job.reach.report.event(RunEvent::Host { host, what });
        }
        member
    }

    async fn connect(&self, member: &mut Member) {
        match HostLink::open(&self.job.reach, &member.host).await {
            Ok(link) => member.link = Some(link),
            Err(error) => member.lost(&error, self.nothing_at_stake()),
        }
    }

    async fn lock_one(&self, member: &mut Member) {
        // Whoever holds locks already must not wait for others: they may wait for them.
        let shipment = self.job.goal.shipment().filter(|_| member.decides);
        let manifest = shipment.map(|shipment| &shipment.signed().signed().manifest);
        let order = Order::Lock {
            environment: self.job.plan.environment.clone(),
            app: self.job.plan.app.clone(),
            verb: self.job.verb.to_owned(),
            release: manifest.map(|text| Sha256Digest::of(text.as_bytes())),
        };
        match self
            .order(member, order, None, self.nothing_at_stake())
            .await
        {
            None | Some(Reply::Locked) => {}
            Some(other) => member.ended_by(other),
        }
    }

    async fn preflight(&self, member: &mut Member) {
        if self.changes_settings() {
            return self.look_at_settings(member).await;
        }
        let release = match &self.job.goal {
            Goal::Ship(shipment) | Goal::Stage(shipment) | Goal::Sync(shipment) => {
                Preflighted::Deploy {
                    release: shipment.signed().signed().clone(),
                }
            }
            Goal::Kept(version) => self.kept(version.clone()),
            Goal::Back { to, .. } => {
                let Some(version) = self.way_back(member, to.clone()).await else {
                    return;
                };
                self.kept(version)
            }
            Goal::Restart => {
                let Some(version) = self.what_serves(member).await else {
                    return;
                };
                self.kept(version)
            }
            Goal::Settings(_) => return,
        };
        self.preflight_of(member, release).await;
        self.look_at_brought_settings(member).await;
    }

    pub(super) async fn preflight_of(&self, member: &mut Member, release: Preflighted) {
        let order = Order::Preflight {
            app: self.job.plan.app.clone(),
            domain: self.job.plan.domain.clone(),
            single: Some(self.job.plan.first == member.host.name),
            settings_follow: self.brings_settings(),
            preview: self.job.plan.preview.clone(),
            release,
        };
        match self
            .order(member, order, None, self.nothing_at_stake())
            .await
        {
            None => {}
            Some(Reply::Preflight {
                problems,
                staged,
                live,
                revoked,
                python,
                settings,
                live_checks,
            }) => {
                member.found(live);
                member.settings_names = Some(settings);
                member.revoked = revoked;
                member.python = python;
                member.live_checks = live_checks;
                member.holds_release = staged;
                for problem in &problems {
                    let (host, what) = (member.name().clone(), HostEvent::Problem(problem.clone()));
                    self.job.reach.report.event(RunEvent::Host { host, what });
                }
                if !problems.is_empty() {
                    member.refused(HostFailure::of_problems(&problems));
                }
            }
            Some(other) => member.ended_by(other),
        }
    }

    pub(super) fn kept(&self, version: Version) -> Preflighted {
        Preflighted::Kept {
            version,
            why: self.job.goal.reason(),
            even_revoked: self.job.goal.even_revoked(),
        }
    }

    async fn stage_one(&self, member: &mut Member) {
        let Some(shipment) = self.job.goal.shipment() else {
            return;
        };
        let order = Order::Stage {
            app: self.job.plan.app.clone(),
            release: shipment.signed().signed().clone(),
            recipes: true,
        };
        let mut reply = None;
        for _ in 0..MOST_TRIES {
            reply = self
                .order(
                    member,
                    order.clone(),
                    Some(shipment),
                    self.nothing_at_stake(),
                )
                .await;
            // The line was lost and is there again: the host goes on from where it was.
            match &reply {
                Some(Reply::Failed(failed))
                    if failed.resumable && !self.interrupts().is_asked() => {}
                _ => break,
            }
        }
        match reply {
            None => {}
            // After a restart the agent tells of every operation that was done as of a switch.
            Some(Reply::Staged { .. } | Reply::Switched(_)) => {
                member.progress = Progress::Staged;
                let sent = member.link.as_ref().map_or(0, HostLink::shipped);
                let release = shipment.signed().manifest().tree.bytes;
                let saved = release.saturating_sub(sent);
                let (host, what) = (member.name().clone(), HostEvent::Sent { sent, saved });
                self.job.reach.report.event(RunEvent::Host { host, what });
            }
            Some(other) => member.ended_by(other),
        }
    }

    async fn switch(&self, member: &mut Member) {
        let Some(version) = self.version_for(member) else {
            return;
        };
        let order = Order::Switch {
            app: self.job.plan.app.clone(),
            version,
            why: self.reason_for(member),
            even_revoked: self.job.goal.even_revoked(),
        };
        match self.order(member, order, None, Stakes::Traffic).await {
            None => {}
            Some(Reply::Switched(switched)) => member.switched(switched),
            Some(other) => member.ended_by(other),
        }
    }

    /// What serves already is started anew where its settings are others now.
    fn reason_for(&self, member: &Member) -> SwitchReason {
        let same = self.version_for(member).as_ref() == member.before.version();
        match same && member.starts_anew {
            true => SwitchReason::Restart,
            false => self.job.goal.reason(),
        }
    }

    /// The same together with the settings of before.
    async fn back_with_settings(&self, member: &mut Member) {
        let switched = member.is_active() && member.progress == Progress::Switched;
        // What has nothing to go back to goes on serving, and with what it was started with.
        if switched && member.before.version().is_none() {
            member.remark("it keeps the settings that came with it".to_owned());
            return self.send_back(member).await;
        }
        let again = self.settings_again(member).await;
        if switched {
            self.send_back(member).await;
            if again && member.progress != Progress::Returned {
                member.remark(
                    "what serves there was started with the settings that were taken back"
                        .to_owned(),
                );
                member.unsure();
            }
        }
    }

    /// Another host failed: back to what served before. Nobody may interrupt this.
    async fn send_back(&self, member: &mut Member) {
        let Some(version) = member.before.version().cloned() else {
            member.stuck(HostFailure {
                what: "nothing served here before, so there is nothing to go back to".to_owned(),
                ..HostFailure::default()
            });
            return;
        };
        let why = match member.serves.version() == Some(&version) {
            true => SwitchReason::Restart,
            false => SwitchReason::Return,
        };
        self.back_to(member, version, why).await;
    }

    pub(super) async fn back_to(&self, member: &mut Member, version: Version, why: SwitchReason) {
        let order = Order::Switch {
            app: self.job.plan.app.clone(),
            version,
            why,
            even_revoked: false,
        };
        let Some(link) = member.link.as_mut() else {
            return;
        };
        match link.order(order, None, &Interrupts::never()).await {
            Ok(Reply::Switched(back)) => member.returned(back.version),
            Ok(Reply::Failed(failed)) => member.stuck(HostFailure::of_failed(failed)),
            Ok(Reply::Refused { problems }) => member.stuck(HostFailure::of_problems(&problems)),
            Ok(other) => member.ended_by(other),
            Err(error) => member.lost(&error, Stakes::Traffic),
        }
    }

    /// Before traffic moves, a host that is lost is a host that cannot be reached.
    pub(super) fn nothing_at_stake(&self) -> Stakes {
        Stakes::Nothing {
            skip_offline: self.job.skip_offline,
        }
    }

    /// `None` when the line broke, which the member then knows.
    pub(super) async fn order(
        &self,
        member: &mut Member,
        order: Order,
        shipment: Option<&Shipment>,
        stakes: Stakes,
    ) -> Option<Reply> {
        let link = member.link.as_mut()?;
        match link.order(order, shipment, self.interrupts()).await {
            Ok(reply) => Some(reply),
            Err(error) => {
                member.lost(&error, stakes);
                None
            }
        }
    }

    /// Says good-bye to all hosts, which frees the locks, and collects what became of them.
    pub(super) async fn close(&self, members: Vec<Member>) -> Vec<HostResult> {
        fleet::on_all(members, |member| async move {
            let (result, link) = member.into_result();
            if let Some(link) = link {
                link.close().await;
            }
            result
        })
        .await
    }
}
