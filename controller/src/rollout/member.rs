//! One host in a rollout: its line, and what has become of it so far.

use std::time::Instant;

use longshore_shared::name::HostName;
use longshore_shared::settings::SettingName;
use longshore_shared::wire::latest::{Order, Reply, SettingsState, Switched};
use semver::Version;

use super::interrupt::Interrupts;
use super::link::{HostLink, LinkError};
use super::outcome::{HostFailure, HostResult, Outcome, Serving};
use crate::inventory::Host;
use crate::ssh::AgentGone;

pub(super) struct Member {
    pub(super) host: Host,
    pub(super) link: Option<HostLink>,
    /// What served before the rollout.
    pub(super) before: Serving,
    /// What serves now.
    pub(super) serves: Serving,
    /// Whether its lock decides about the others'.
    pub(super) decides: bool,
    /// Whether the release that is brought along is there already.
    pub(super) holds_release: bool,
    /// The host's Python, such as `3.11`.
    pub(super) python: Option<String>,
    /// Whether it is refused for a revoked key, which a person may overrule.
    pub(super) revoked: bool,
    /// Whether it is refused for migrations that stay, which a person may accept.
    pub(super) past_migrations: bool,
    /// Whether what serves can tell which migrations are in the database.
    pub(super) live_checks: bool,
    /// What the release that comes has put into the database.
    pub(super) applied: Vec<String>,
    /// What was undone in the database for the release that comes, as far as it is known by name.
    pub(super) undone: Option<Vec<String>>,
    /// What a rollback or a restart goes to on this host.
    pub(super) goes_to: Option<Version>,
    /// Its settings, as they were found.
    pub(super) settings_then: Option<SettingsState>,
    /// What serves there was not started with the settings of now.
    pub(super) starts_anew: bool,
    /// What is set there, by name.
    pub(super) settings_names: Option<Vec<SettingName>>,
    /// The number of its settings before they were changed.
    pub(super) settings_before: Option<u64>,
    /// It is a preview that was not there before.
    pub(super) new_preview: bool,
    uncertain: bool,
    begun: Instant,
    ended: Option<HostResult>,
    pub(super) progress: Progress,
    remarks: Vec<String>,
}

/// How far a host has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Nothing,
    Staged,
    Unchanged,
    Switched,
    Returned,
}

/// What is at stake when the line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stakes {
    /// Nothing: the host can be left out if the person allows it.
    Nothing { skip_offline: bool },
    /// The migration may or may not have happened.
    Migration,
    /// Traffic may or may not have moved.
    Traffic,
}

impl Member {
    pub(super) fn new(host: Host) -> Self {
        Member {
            host,
            link: None,
            before: Serving::NotKnown,
            serves: Serving::NotKnown,
            decides: false,
            holds_release: false,
            python: None,
            revoked: false,
            past_migrations: false,
            live_checks: false,
            applied: Vec::new(),
            undone: None,
            goes_to: None,
            settings_then: None,
            starts_anew: false,
            settings_names: None,
            settings_before: None,
            new_preview: false,
            uncertain: false,
            begun: Instant::now(),
            ended: None,
            progress: Progress::Nothing,
            remarks: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &HostName {
        &self.host.name
    }

    /// Takes part in what comes next.
    pub(super) fn is_active(&self) -> bool {
        self.ended.is_none() && self.link.is_some()
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.ended.as_ref().map(|ended| ended.outcome)
    }

    /// What the host says before anything was done.
    pub(super) fn found(&mut self, live: Option<Version>) {
        self.before = live.into();
        self.serves = self.before.clone();
    }

    pub(super) fn switched(&mut self, switched: Switched) {
        self.serves = Serving::Version(switched.version);
        self.remarks.extend(switched.remarks);
        self.progress = if switched.unchanged {
            Progress::Unchanged
        } else {
            self.before = switched.previous.into();
            Progress::Switched
        };
    }

    /// Went back to `version`, because another host failed.
    pub(super) fn returned(&mut self, version: Version) {
        self.serves = Serving::Version(version);
        self.progress = Progress::Returned;
    }

    /// Nobody can say that all is as it was.
    pub(super) fn unsure(&mut self) {
        self.uncertain = true;
        if let Some(ended) = &mut self.ended {
            ended.uncertain = true;
        }
    }

    /// Orders what is put right at the end, which nobody may interrupt. Else why it was not done.
    pub(super) async fn insist(&mut self, order: Order) -> Result<Reply, String> {
        let done = match self.link.as_mut() {
            Some(link) => link.order(order, None, &Interrupts::never()).await,
            None => Err(LinkError::Gone(AgentGone::Lost)),
        };
        match done {
            Ok(Reply::Failed(failed)) => Err(failed.what),
            Ok(Reply::Refused { problems }) => {
                Err(HostFailure::of_problems(&problems).in_one_line())
            }
            Ok(done) => Ok(done),
            Err(error) => Err(error.failure().in_one_line()),
        }
    }

    /// Something that a person should know, whatever the host's part ends with.
    pub(super) fn remark(&mut self, what: String) {
        match &mut self.ended {
            Some(ended) => ended.remarks.push(what),
            None => self.remarks.push(what),
        }
    }

    fn end(&mut self, outcome: Outcome, failure: Option<HostFailure>) {
        self.ended = Some(self.result(outcome, failure));
    }

    fn result(&self, outcome: Outcome, failure: Option<HostFailure>) -> HostResult {
        HostResult {
            host: self.host.name.clone(),
            outcome,
            serves: self.serves.clone(),
            before: self.before.clone(),
            seconds: self.begun.elapsed().as_secs_f64(),
            failure,
            uncertain: self.uncertain,
            revoked: self.revoked,
            past_migrations: self.past_migrations,
            remarks: self.remarks.clone(),
        }
    }

    /// The host could not be talked to, or not any more.
    pub(super) fn lost(&mut self, error: &LinkError, stakes: Stakes) {
        let outcome = match (stakes, error.outcome()) {
            (Stakes::Nothing { skip_offline: true }, Outcome::Unreachable) => Outcome::Skipped,
            (Stakes::Nothing { .. }, outcome) => outcome,
            (Stakes::Migration | Stakes::Traffic, _) => Outcome::Failed,
        };
        if stakes == Stakes::Traffic {
            self.serves = Serving::NotKnown;
        }
        self.end(outcome, Some(error.failure()));
        if let Some(ended) = self.ended.as_mut() {
            ended.uncertain = stakes == Stakes::Traffic;
        }
    }

    /// Could not be sent back: it keeps what it was switched to, and says why.
    pub(super) fn stuck(&mut self, failure: HostFailure) {
        self.end(Outcome::Switched, Some(failure));
    }

    pub(super) fn refused(&mut self, failure: HostFailure) {
        self.end(Outcome::Refused, Some(failure));
    }

    /// A reply that ends this host's part, because it is not the one that was hoped for.
    pub(super) fn ended_by(&mut self, reply: Reply) {
        match reply {
            Reply::Refused { problems } => self.refused(HostFailure::of_problems(&problems)),
            Reply::Failed(failed) => {
                if let Some(live) = &failed.live {
                    self.serves = Serving::Version(live.clone());
                }
                self.end(Outcome::Failed, Some(HostFailure::of_failed(failed)));
            }
            other => {
                let failure = HostFailure {
                    what: "the agent gave an answer that does not fit the order".to_owned(),
                    causes: vec![name_of(&other).to_owned()],
                    ..HostFailure::default()
                };
                self.end(Outcome::Failed, Some(failure));
            }
        }
    }

    /// The result at the end of the run; a host that was stopped on its way says how far it came.
    pub(super) fn into_result(mut self) -> (HostResult, Option<HostLink>) {
        let link = self.link.take();
        let result = self.ended.take().unwrap_or_else(|| {
            let outcome = match self.progress {
                Progress::Nothing => Outcome::Skipped,
                Progress::Staged => Outcome::Staged,
                Progress::Unchanged => Outcome::Unchanged,
                Progress::Switched => Outcome::Switched,
                Progress::Returned => Outcome::Reverted,
            };
            self.result(outcome, None)
        });
        (result, link)
    }
}

fn name_of(reply: &Reply) -> &'static str {
    match reply {
        Reply::Status { .. } => "status",
        Reply::Locked => "locked",
        Reply::Unlocked => "unlocked",
        Reply::Preflight { .. } => "preflight",
        Reply::Staged { .. } => "staged",
        Reply::Left { .. } => "left",
        Reply::Migrated { .. } => "migrated",
        Reply::Switched(_) => "switched",
        Reply::Settings(_) => "settings",
        Reply::Logged => "logged",
        Reply::Ran { .. } => "ran",
        Reply::Trust { .. } => "trust",
        Reply::Trusted { .. } => "trusted",
        Reply::Refused { .. } => "refused",
        Reply::Failed(_) => "failed",
        Reply::Maintenance { .. } => "maintenance",
        Reply::Preview { .. } => "preview",
        Reply::PreviewMade { .. } => "preview made",
        Reply::PreviewDropped { .. } => "preview dropped",
        Reply::Unknown => "unknown",
    }
}
