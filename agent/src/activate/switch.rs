//! One switch on this host, from its first step to its last.
//!
//! The work before the links can be taken back, and is (`take_back`); the work after them is
//! finished, now or at the agent's next start (`settle`).

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use longshore_shared::manifest::Manifest;
use longshore_shared::wire::latest::{Reply, Slot, SwitchReason, Switched};
use semver::Version;

use super::health::Candidate;
use super::live::{self, Live};
use super::may_serve::{Wanted, may_serve};
use super::settle::{report, settle};
use super::take_back::take_back;
use super::{health, made, migrate, processes, prune, site, units};
use crate::agent::Agent;
use crate::host::{Front, Host, HostedApp};
use crate::layout::{AppLayout, other_slot};
use crate::ledger::Verdict;
use crate::operation::{Operation, Trouble};
use crate::settings;
use crate::system_file::put;
use crate::systemd;

const MEND: &str =
    "the live release serves as before; mend what it says on this host, then try again";

const MEND_PROCESSES: &str =
    "the release serves; mend what it says on this host, then `longshore restart`";

/// What has to be done to get traffic onto a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It serves already, and well.
    Stay,
    /// It still runs, and well, in the slot that was left last.
    Warm,
    /// It has to be started.
    Start,
}

/// A switch that can be begun.
#[derive(Debug)]
pub(crate) struct Switch {
    layout: AppLayout,
    manifest: Manifest,
    verdict: Verdict,
    front: Option<Front>,
    single_here: bool,
    live: Option<Live>,
    slot: Slot,
    way: Way,
    why: SwitchReason,
}

/// What the history calls a switch.
pub(crate) fn verb(why: SwitchReason) -> &'static str {
    match why {
        SwitchReason::Deploy => "deploy",
        SwitchReason::Rollback => "rollback",
        SwitchReason::Return => "return",
        SwitchReason::Restart => "restart",
    }
}

/// The slot of the release that is to be started anew, which has to be the one that serves.
fn serving(layout: &AppLayout, live: Option<&Live>, version: &Version) -> Result<Slot, Trouble> {
    match live {
        Some(live) if live.version == *version => Ok(live.slot),
        _ => Err(Trouble::refused(
            format!(
                "{} {version} does not serve here, so it cannot be restarted",
                layout.app
            ),
            "see what serves: `longshore status`",
        )),
    }
}

impl Switch {
    pub(crate) fn prepare(agent: &Agent, host: &Host, wanted: Wanted<'_>) -> Result<Self, Trouble> {
        let Wanted {
            app, version, why, ..
        } = wanted;
        let layout = AppLayout::new(app);
        let (row, manifest) = migrate::staged(agent, &layout, version)?;
        may_serve(agent, host, wanted)?;
        made::is_made(agent, app, &manifest)?;
        let hosted = host.hosted(app);
        let front = hosted.as_ref().and_then(HostedApp::front);
        let domain = front.as_ref().map(|front| front.domain.as_str());
        let live = live::live(&layout);
        if let Some(live) = &live {
            // What a failing disk left undone last time, before anything is built upon it.
            live::show(&layout, live.slot, &live.version)
                .map_err(|error| Trouble::because(&error, MEND))?;
            agent.ledger.serve_if_new(app, &live.version, live.slot)?;
        }
        let is_well = |slot| health::is_healthy(&layout, slot, &manifest, domain);
        let (slot, way) = match &live {
            _ if why == SwitchReason::Restart => (
                other_slot(serving(&layout, live.as_ref(), version)?),
                Way::Start,
            ),
            None => (Slot::Blue, Way::Start),
            Some(live) if live.version == *version && is_well(live.slot) => (live.slot, Way::Stay),
            Some(live) => {
                let idle = other_slot(live.slot);
                // The same release there was left by a restart, with what it was started with.
                let is_warm = live.version != *version
                    && agent
                        .ledger
                        .warm(app)?
                        .is_some_and(|warm| warm.slot == idle)
                    && live::in_slot(&layout, idle).as_ref() == Some(version)
                    && settings::are_of(&layout, idle)
                    && is_well(idle);
                (idle, if is_warm { Way::Warm } else { Way::Start })
            }
        };
        Ok(Self {
            layout,
            manifest,
            verdict: row.verdict,
            front,
            single_here: hosted.is_some_and(|app| app.single),
            live,
            slot,
            way,
            why,
        })
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    pub(crate) fn previous(&self) -> Option<Version> {
        self.live.as_ref().map(|live| live.version.clone())
    }

    pub(crate) fn run(self, agent: &Arc<Agent>, operation: &Operation) -> Result<Reply, Trouble> {
        let begun = Instant::now();
        self.move_traffic(agent, operation).map_err(|mut trouble| {
            if let Trouble::Failed(failed) = &mut trouble {
                failed.live = live::live(&self.layout).map(|live| live.version);
            }
            trouble
        })?;
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut remarks: Vec<String> = self.other_settings(agent).into_iter().collect();
        remarks.extend(self.is_open_now());
        remarks.extend(self.hand_over(operation));
        if self.way != Way::Stay {
            let left = self.live.as_ref().map(|live| &live.version);
            // The release serves. Whatever is wrong with the rest, it is not a failed switch.
            let settled = operation.step_to_the_end("settle", || {
                Ok(settle(
                    agent,
                    &self.layout,
                    &self.manifest,
                    self.slot,
                    left,
                    self.why,
                )?)
            });
            remarks.extend(settled.err().map(|trouble| trouble.message()));
        }
        Ok(Reply::Switched(Switched {
            version: self.manifest.version.clone(),
            previous: self.previous(),
            unchanged: self.way == Way::Stay,
            milliseconds,
            remarks,
        }))
    }

    fn move_traffic(&self, agent: &Agent, operation: &Operation) -> Result<(), Trouble> {
        if self.way == Way::Start {
            let proven = self.start(agent, operation);
            if let Err(trouble) = &proven {
                self.judge(agent, trouble);
            }
            proven.map_err(|trouble| self.undo(agent, operation, trouble))?;
        } else {
            // Its processes follow once it serves: some may still be ending, and nobody waits for that.
            operation.unchanged("start", "it runs already, and is healthy");
        }
        self.install_site(operation)
            .map_err(|trouble| self.undo(agent, operation, trouble))?;
        if self.way == Way::Stay {
            return Ok(());
        }
        let moved = operation.step_to_the_end("links", || {
            live::go_live(&self.layout, self.slot, &self.manifest.version)
                .map_err(|error| Trouble::because(&error, MEND))
        });
        moved.map_err(|trouble| {
            // The lasting truth decides: where it has moved, the new release is what serves, and
            // the next switch, or start of the agent, brings the rest after it.
            let moved = live::live(&self.layout).is_some_and(|live| live.slot == self.slot);
            if moved {
                trouble
            } else {
                self.undo(agent, operation, trouble)
            }
        })
    }

    /// Starts the release in the idle slot, and proves that it is healthy.
    fn start(&self, agent: &Agent, operation: &Operation) -> Result<(), Trouble> {
        operation.step("slot", || self.prepare_slot(agent))?;
        let begun = (Instant::now(), Timestamp::now());
        let beside = operation.step("start", || {
            let unit = self.layout.unit(self.slot);
            systemd::start(&[&unit]).map_err(|error| {
                let log = systemd::log(&unit, 20, Some(begun.1));
                Trouble::because(&error, MEND).with_log(log)
            })?;
            processes::start_beside_others(&self.layout, self.slot, &self.manifest)
                .map_err(|error| error.trouble(MEND))
        })?;
        let candidate = Candidate {
            layout: &self.layout,
            slot: self.slot,
            manifest: &self.manifest,
            domain: self.front.as_ref().map(|front| front.domain.as_str()),
            started: begun.1,
        };
        operation.step("health", || {
            candidate.wait(operation)?;
            beside.prove(operation)
        })
    }

    /// Settings are not rolled back with code: whoever goes back is told which are others by now.
    fn other_settings(&self, agent: &Agent) -> Option<String> {
        let (app, version) = (&self.layout.app, &self.manifest.version);
        if self.why != SwitchReason::Rollback {
            return None;
        }
        let served = agent.ledger.served_with(app).ok()?;
        let (_, number) = served.iter().find(|(served, _)| served == version)?;
        let changed = settings::changed_since(&self.layout, *number)?;
        Some(format!(
            "its settings are not those that it served with last, which were {number}. Since then: {changed}"
        ))
    }

    /// Who may see a site comes and goes with the release.
    fn is_open_now(&self) -> Option<String> {
        let left = live::manifest(&self.layout, &self.live.as_ref()?.version).ok()?;
        let closed = |manifest: &Manifest| manifest.app_file.site.basic_auth.is_some();
        let (now, before) = (&self.manifest.version, &left.version);
        (closed(&left) && !closed(&self.manifest) && self.front.is_some()).then(|| {
            format!("the site is open to everybody: {now} has no `basic_auth`, and {before} had")
        })
    }

    /// The release serves, whatever becomes of what runs beside it. What went wrong.
    fn hand_over(&self, operation: &Operation) -> Option<String> {
        if !processes::any(&self.layout, &self.manifest) {
            return None;
        }
        let handed = operation.step_to_the_end("processes", || {
            processes::hand_over(&self.layout, self.slot, &self.manifest, self.single_here)
                .map_err(|error| error.trouble(MEND_PROCESSES))
        });
        handed.err().map(|trouble| trouble.message())
    }

    /// Empties the idle slot and puts the release there.
    fn prepare_slot(&self, agent: &Agent) -> Result<(), Trouble> {
        let (layout, slot) = (&self.layout, self.slot);
        // What still works beside it, or ends, does so in the release that it was started in.
        systemd::stop_soon(&processes::units(layout, slot))
            .map_err(|error| Trouble::because(&error, MEND))?;
        if layout.unit_file(slot).exists() {
            systemd::stop(&[layout.unit(slot)]).map_err(|error| Trouble::because(&error, MEND))?;
        }
        agent.ledger.set_warm(&layout.app, None)?;
        settings::files::lay_out(layout, &self.manifest.app_file.settings.files)?;
        let unit = units::slot(layout, slot, &self.manifest);
        let changed = live::fill(layout, slot, &self.manifest.version)
            .and_then(|()| put(&layout.unit_file(slot), &unit))
            .map_err(|error| Trouble::because(&error, MEND))?;
        if changed {
            systemd::reload_units().map_err(|error| Trouble::because(&error, MEND))?;
        }
        processes::install(layout, slot, &self.manifest, self.single_here)
            .map_err(|error| error.trouble(MEND))
    }

    fn install_site(&self, operation: &Operation) -> Result<(), Trouble> {
        let Some(front) = &self.front else {
            return Ok(());
        };
        if site::is_served(&self.layout, &self.manifest, front) {
            return Ok(());
        }
        operation.step("site", || {
            Ok(site::install(&self.layout, &self.manifest, front)?)
        })
    }

    /// Only a release that has never served, and failed by itself, is bad: a broken host says
    /// nothing about it.
    fn judge(&self, agent: &Agent, trouble: &Trouble) {
        let own_fault = matches!(trouble, Trouble::Failed(failed) if failed.probe.is_some());
        if own_fault && self.verdict == Verdict::Staged {
            report(
                agent
                    .ledger
                    .judge(&self.layout.app, &self.manifest.version, Verdict::Bad),
            );
        }
    }

    fn undo(&self, agent: &Agent, operation: &Operation, mut trouble: Trouble) -> Trouble {
        let started = (self.way == Way::Start).then_some(self.slot);
        for problem in take_back(&self.layout, self.front.as_ref(), started) {
            operation.note("take back", &problem);
            if let Trouble::Failed(failed) = &mut trouble {
                failed.what.push_str(&format!(
                    "; and it could not be taken back whole: {problem}"
                ));
            }
        }
        let keep = self.manifest.app_file.app.keep_releases;
        report(prune::prune(&agent.ledger, &self.layout, None, keep));
        trouble
    }
}
