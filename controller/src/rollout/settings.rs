//! New settings for all hosts: written everywhere, then what serves is started anew with them; and
//! as they were again, everywhere, where it did not come up with them on one host.

use std::collections::BTreeSet;

use longshore_shared::settings::SettingName;
use longshore_shared::wire::latest::{
    Order, Problem, Reply, SettingsChange, SettingsState, SwitchReason,
};

use super::Goal;
use super::interrupt::Interrupts;
use super::member::{Member, Progress, Stakes};
use super::outcome::{HostFailure, Outcome};
use super::phases::Run;
use crate::event::Phase;

/// What is to become of the settings, and when.
#[derive(Debug, Clone)]
pub(crate) struct NewSettings {
    pub(crate) what: What,
    /// They wait for the next start of whatever serves.
    pub(crate) later: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Change(SettingsChange),
    /// As they were before the last change, host by host.
    Previous,
    /// As they were when what is gone back to served last.
    AsServed,
}

impl Run {
    /// By themselves, or together with what is to serve.
    fn new_settings(&self) -> Option<NewSettings> {
        match &self.job.goal {
            Goal::Settings(new) => Some(new.clone()),
            Goal::Back {
                with_settings: true,
                ..
            } => Some(NewSettings {
                what: What::AsServed,
                later: false,
            }),
            Goal::Ship(shipment) => shipment.settings().map(|set| NewSettings {
                what: What::Change(SettingsChange::Edit {
                    set: set.clone(),
                    unset: Vec::new(),
                }),
                later: false,
            }),
            _ => None,
        }
    }

    pub(super) fn changes_settings(&self) -> bool {
        matches!(self.job.goal, Goal::Settings(_))
    }

    /// A host that came later may lack what was set on the others before.
    pub(super) fn tell_missing_settings(&self, members: &mut [Member]) {
        let all: BTreeSet<SettingName> = members
            .iter()
            .filter_map(|member| member.settings_names.as_ref())
            .flatten()
            .cloned()
            .collect();
        let environment = &self.job.plan.environment;
        for member in members.iter_mut().filter(|member| member.is_active()) {
            let Some(own) = &member.settings_names else {
                continue;
            };
            let missing: Vec<&str> = all
                .iter()
                .filter(|name| !own.contains(name))
                .map(SettingName::as_str)
                .collect();
            if !missing.is_empty() {
                member.remark(format!(
                    "it has no setting {}, which other hosts have: longshore settings list {environment}",
                    missing.join(", ")
                ));
            }
        }
    }

    pub(super) fn brings_settings(&self) -> bool {
        self.new_settings().is_some()
    }

    /// Before all steps of the release, which run with them.
    pub(super) async fn bring_settings(&self, mut members: Vec<Member>) -> Vec<Member> {
        if self.new_settings().is_none() {
            return members;
        }
        self.refuse_numbers_of_each(&mut members);
        if self.must_stop(&members) {
            return members;
        }
        self.phase(Phase::Settings, members).await
    }

    /// What was to come with them does not.
    pub(super) async fn take_settings_back(&self, members: Vec<Member>) -> Vec<Member> {
        if members
            .iter()
            .all(|member| member.settings_before.is_none())
        {
            return members;
        }
        self.phase(Phase::Return, members).await
    }

    /// Everything has been looked at.
    pub(super) async fn through_settings(&self, mut members: Vec<Member>) -> Vec<Member> {
        self.refuse_numbers_of_each(&mut members);
        if self.must_stop(&members) {
            return members;
        }
        let members = self.phase(Phase::Settings, members).await;
        let failed = |members: &[Member]| {
            let bad = |m: &Member| !matches!(m.outcome(), None | Some(Outcome::Skipped));
            members.iter().any(bad) || self.interrupts().is_asked()
        };
        let restarts = members.iter().any(|member| member.goes_to.is_some());
        let members = if failed(&members) || !restarts {
            members
        } else {
            self.phase(Phase::Switch, members).await
        };
        let changed = |member: &Member| member.settings_before.is_some();
        if failed(&members) && members.iter().any(changed) {
            return self.phase(Phase::Return, members).await;
        }
        members
    }

    /// Hosts that were changed one by one have other settings under the same number.
    fn refuse_numbers_of_each(&self, members: &mut [Member]) {
        let by_number = matches!(
            self.new_settings().map(|new| new.what),
            Some(What::Previous | What::Change(SettingsChange::Restore { .. }))
        );
        let mut all = members
            .iter()
            .filter_map(|member| member.settings_then.as_ref());
        let alike = |one: &SettingsState, other: &SettingsState| {
            let same_number =
                one.now.number == other.now.number && one.now.again == other.now.again;
            same_number && one.settings == other.settings && one.by_hand == other.by_hand
        };
        let Some(first) = all.next() else { return };
        if !by_number || all.all(|other| alike(first, other)) {
            return;
        }
        let environment = &self.job.plan.environment;
        let problem = Problem {
            what: "the hosts have different settings, so that going back would mean another thing on each".to_owned(),
            next: format!("Compare them: longshore settings list {environment}; then go back on one host at a time, with --on."),
        };
        for member in members.iter_mut().filter(|member| member.is_active()) {
            member.refused(HostFailure::of_problems(std::slice::from_ref(&problem)));
        }
    }

    /// What the settings are, and whether what serves could be started a second time.
    pub(super) async fn look_at_settings(&self, member: &mut Member) {
        let Some(new) = self.new_settings() else {
            return;
        };
        if !self.ask_settings(member, &new).await {
            return;
        }
        let Some(status) = self.ask_status(member).await else {
            return;
        };
        let Some(version) = status.and_then(|status| status.version) else {
            return;
        };
        member.found(Some(version.clone()));
        if !new.later {
            member.goes_to = Some(version.clone());
            self.preflight_of(member, self.kept(version)).await;
        }
    }

    /// What the settings are, for those that come together with what is to serve.
    pub(super) async fn look_at_brought_settings(&self, member: &mut Member) {
        if let Some(new) = self.new_settings().filter(|_| member.is_active()) {
            self.ask_settings(member, &new).await;
        }
    }

    /// Whether they can be changed as is wanted.
    async fn ask_settings(&self, member: &mut Member, new: &NewSettings) -> bool {
        let app = self.job.plan.app.clone();
        let order = Order::Settings { app, values: false };
        let state = match self
            .order(member, order, None, self.nothing_at_stake())
            .await
        {
            None => return false,
            Some(Reply::Settings(state)) => state,
            Some(other) => {
                member.ended_by(other);
                return false;
            }
        };
        if let Some(problem) = self.problem(new, &state, member) {
            member.refused(HostFailure::of_problems(&[problem]));
            return false;
        }
        member.settings_then = Some(state);
        true
    }

    /// What cannot be done to these settings.
    fn problem(
        &self,
        new: &NewSettings,
        state: &SettingsState,
        member: &Member,
    ) -> Option<Problem> {
        let environment = &self.job.plan.environment;
        let list = format!("See which there are: longshore settings list {environment}");
        match &new.what {
            What::Change(SettingsChange::Edit { unset, .. }) => {
                let known = |name: &SettingName| state.settings.iter().any(|s| s.name == *name);
                let unknown = unset.iter().find(|name| !known(name))?;
                Some(Problem {
                    what: format!("there is no setting {unknown} here"),
                    next: list,
                })
            }
            What::Change(SettingsChange::Restore { number }) => {
                let kept = state.earlier.iter().any(|kept| kept.number == *number);
                (!kept).then(|| Problem {
                    what: format!("settings {number} are not kept here"),
                    next: list,
                })
            }
            What::AsServed => {
                let kept = |number: &u64| {
                    let mut earlier = state.earlier.iter().map(|kept| kept.number);
                    // Before the first change there was nothing, which is not kept.
                    *number == 0
                        || *number == state.now.number
                        || earlier.any(|kept| kept == *number)
                };
                let known = as_served(state, member).filter(kept);
                known.is_none().then(|| Problem {
                    what: "the settings that it served with are not kept here".to_owned(),
                    next: format!("Go back without --with-settings. {list}"),
                })
            }
            What::Previous => previous(state).is_none().then(|| Problem {
                what: "nothing is kept here of before these settings".to_owned(),
                next: list,
            }),
        }
    }

    pub(super) async fn write_settings(&self, member: &mut Member) {
        let (Some(new), Some(then)) = (self.new_settings(), member.settings_then.take()) else {
            return;
        };
        let restore = |number| SettingsChange::Restore { number };
        let change = match &new.what {
            What::Change(change) => Some(change.clone()),
            What::Previous => previous(&then).map(restore),
            What::AsServed => as_served(&then, member)
                .filter(|number| *number != then.now.number)
                .map(restore),
        };
        let Some(change) = change else { return };
        let app = self.job.plan.app.clone();
        let order = Order::ChangeSettings { app, change };
        // Until the host has said that nothing was changed, something may have been.
        let (before, by_hand) = (then.now.number, then.by_hand);
        member.settings_before = Some(before);
        match self.order(member, order, None, Stakes::Migration).await {
            None => {}
            Some(Reply::Settings(state)) if state.now.number == before => {
                member.settings_before = None;
                if !self.changes_settings() {
                    member.starts_anew = state.in_effect == Some(false);
                    return;
                }
                // They may have been written before, and nothing started with them since.
                if state.in_effect == Some(false) && !new.later {
                    return member.remark(format!("settings {before} were not in effect yet"));
                }
                member.progress = Progress::Unchanged;
                member.goes_to = None;
            }
            Some(Reply::Settings(state)) => {
                let now = state.now.number;
                // What somebody wrote by hand was kept under a number of its own.
                if let Some(kept) = state.earlier.first().filter(|_| by_hand) {
                    member.settings_before = Some(kept.number);
                }
                member.starts_anew = true;
                if !self.changes_settings() {
                    return member.remark(format!("settings {now}, before {before}"));
                }
                member.progress = Progress::Staged;
                member.remark(match (new.later, &member.goes_to) {
                    (true, _) => format!("settings {now} are taken at the next start"),
                    (false, None) => format!("settings {now}; nothing serves here yet"),
                    (false, Some(_)) => format!("settings {now}, before {before}"),
                });
            }
            Some(Reply::Refused { problems }) => {
                member.settings_before = None;
                member.ended_by(Reply::Refused { problems });
            }
            Some(other) => member.ended_by(other),
        }
    }

    /// On one host what serves did not come up: nobody is to start with these settings, not at the
    /// next reboot either.
    pub(super) async fn restore_settings(&self, member: &mut Member) {
        if member.settings_before.is_none() || !self.settings_again(member).await {
            return;
        }
        let Some(version) = member
            .goes_to
            .clone()
            .filter(|_| member.progress == Progress::Switched)
        else {
            member.progress = Progress::Returned;
            return;
        };
        self.back_to(member, version, SwitchReason::Restart).await;
        if member.progress != Progress::Returned {
            member.remark("what serves there has the new settings".to_owned());
            member.unsure();
        }
    }

    /// Whether a host has the settings of before. Nobody may interrupt this.
    pub(super) async fn settings_again(&self, member: &mut Member) -> bool {
        let Some(number) = member.settings_before else {
            return true;
        };
        let app = self.job.plan.app.clone();
        let change = SettingsChange::Restore { number };
        let order = Order::ChangeSettings { app, change };
        let restored = match member.link.as_mut() {
            Some(link) => link.order(order, None, &Interrupts::never()).await.ok(),
            None => None,
        };
        let Some(Reply::Settings(state)) = restored else {
            let environment = &self.job.plan.environment;
            member.remark(format!(
                "its settings may be the new ones: longshore settings rollback {environment} {number} --on {}",
                member.name()
            ));
            member.unsure();
            return false;
        };
        member.remark(format!(
            "its settings are those of {number} again, as {}",
            state.now.number
        ));
        true
    }
}

/// The number with which the release that this host goes to served last.
fn as_served(state: &SettingsState, member: &Member) -> Option<u64> {
    let mut served = state.served.iter();
    let version = member.goes_to.as_ref()?;
    Some(served.find(|served| served.version == *version)?.number)
}

/// The number to go back to: one that was brought back is what it was before.
fn previous(state: &SettingsState) -> Option<u64> {
    let now = state.now.again.unwrap_or(state.now.number);
    let mut earlier = state.earlier.iter().map(|kept| kept.number);
    earlier.find(|number| *number < now)
}
