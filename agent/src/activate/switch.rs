//! One switch on this host, from its first step to its last; and how one that was interrupted is
//! finished or taken back.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::AppName;
use longshore_shared::wire::latest::{Reply, Slot, SwitchReason, Switched};
use semver::Version;

use super::health::Candidate;
use super::live::{self, Live};
use super::{cooldown, migrate, prune, site, slot_unit, systemd};
use crate::host::Host;
use crate::intake::put;
use crate::layout::{AppLayout, other_slot};
use crate::ledger::{Ledger, LedgerError, Verdict, Warm};
use crate::links;
use crate::operation::{Operation, Trouble, chain};
use crate::server::Agent;

const MEND: &str =
    "the live release serves as before; mend what it says on this host, then deploy again";

/// What has to be done to get traffic onto a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It serves already.
    Stay,
    /// It still runs in the slot that was left last.
    Warm,
    /// It has to be started.
    Start,
}

/// A switch that can be begun.
#[derive(Debug)]
pub(crate) struct Switch {
    layout: AppLayout,
    manifest: Manifest,
    domain: Option<String>,
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
    }
}

impl Switch {
    pub(crate) fn prepare(
        agent: &Agent,
        host: &Host,
        app: &AppName,
        version: &Version,
        why: SwitchReason,
    ) -> Result<Self, Trouble> {
        let layout = AppLayout::new(app);
        let manifest = migrate::staged_manifest(agent, &layout, version)?;
        let live = live::live(&layout);
        let domain = host.apps.get(app).and_then(|app| app.domain.as_ref());
        let (slot, way) = match &live {
            None => (Slot::Blue, Way::Start),
            Some(live) if live.version == *version => (live.slot, Way::Stay),
            Some(live) => {
                let idle = other_slot(live.slot);
                let is_warm = agent
                    .ledger
                    .warm(app)?
                    .is_some_and(|warm| warm.slot == idle)
                    && live::in_slot(&layout, idle).as_ref() == Some(version)
                    && systemd::is_active(&layout.unit(idle)).unwrap_or(false);
                (idle, if is_warm { Way::Warm } else { Way::Start })
            }
        };
        let domain = domain.map(|domain| domain.as_str().to_owned());
        Ok(Self {
            layout,
            manifest,
            domain,
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
        if let Err(mut trouble) = self.get_ready(agent, operation) {
            self.undo(agent, operation, &trouble);
            if let Trouble::Failed(failed) = &mut trouble {
                failed.live = self.previous();
            }
            return Err(trouble);
        }
        let version = &self.manifest.version;
        if self.way != Way::Stay {
            operation.step_to_the_end("links", || {
                live::go_live(&self.layout, self.slot, version).map_err(|error| {
                    Trouble::because(&error, "mend the disk, then run `longshore status`: the agent finishes the switch at its next start")
                })
            })?;
        }
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut remarks = Vec::new();
        // The release serves. Whatever is wrong with the rest, it is not a failed switch.
        if self.way != Way::Stay
            && let Err(error) = operation.step_to_the_end("settle", || {
                let left = self.previous();
                Ok(settle(
                    agent,
                    &self.layout,
                    &self.manifest,
                    self.slot,
                    left.as_ref(),
                    self.why,
                )?)
            })
        {
            remarks.push(match error {
                Trouble::Failed(failed) => failed.what,
                Trouble::Refused(_) => String::new(),
            });
        }
        Ok(Reply::Switched(Switched {
            version: version.clone(),
            previous: self.previous(),
            unchanged: self.way == Way::Stay,
            milliseconds,
            remarks,
        }))
    }

    fn get_ready(&self, agent: &Agent, operation: &Operation) -> Result<(), Trouble> {
        let started = Timestamp::now().as_second();
        match self.way {
            Way::Start => {
                operation.step("slot", || self.prepare_slot(agent))?;
                operation.step("start", || {
                    let unit = self.layout.unit(self.slot);
                    systemd::start(&unit).map_err(|error| {
                        let log = systemd::log(&unit, 20, Some(started));
                        Trouble::because(&error, MEND).with_log(log)
                    })
                })?;
            }
            Way::Warm => operation.unchanged("start", "it still runs in the slot that was left"),
            Way::Stay => operation.unchanged("start", "it serves already"),
        }
        let candidate = Candidate {
            layout: &self.layout,
            slot: self.slot,
            manifest: &self.manifest,
            domain: self.domain.as_deref(),
            started,
        };
        operation.step("health", || candidate.wait(operation))?;
        let Some(domain) = &self.domain else {
            return Ok(());
        };
        if site::is_installed(&self.layout, &self.manifest, domain) {
            return Ok(());
        }
        operation.step("site", || {
            Ok(site::install(&self.layout, &self.manifest, domain)?)
        })
    }

    /// Empties the idle slot and puts the release there.
    fn prepare_slot(&self, agent: &Agent) -> Result<(), Trouble> {
        let (layout, slot) = (&self.layout, self.slot);
        let unit = layout.unit(slot);
        if layout.unit_file(slot).exists() {
            systemd::stop(&unit).map_err(|error| Trouble::because(&error, MEND))?;
        }
        agent.ledger.set_warm(&layout.app, None)?;
        let placed = live::fill(layout, slot, &self.manifest.version).and_then(|()| {
            put(
                &layout.unit_file(slot),
                &slot_unit::render(layout, slot, &self.manifest),
            )
        });
        let changed = placed.map_err(|error| Trouble::because(&error, MEND))?;
        if changed {
            systemd::reload_units().map_err(|error| Trouble::because(&error, MEND))?;
        }
        Ok(())
    }

    fn undo(&self, agent: &Agent, operation: &Operation, trouble: &Trouble) {
        let started = self.way == Way::Start;
        let version = &self.manifest.version;
        let failed_by_itself = matches!(trouble, Trouble::Failed(failed) if !failed.cancelled);
        if started && failed_by_itself {
            report(agent.ledger.judge(&self.layout.app, version, Verdict::Bad));
        }
        for problem in take_back(
            &self.layout,
            self.domain.as_deref(),
            started.then_some(self.slot),
        ) {
            operation.note("take back", &problem);
        }
        report(prune::prune(
            &agent.ledger,
            &self.layout,
            self.manifest.app_file.app.keep_releases,
        ));
    }
}

/// Undoes what a switch did before its links: stops the slot that it started, and gives nginx the
/// site of what serves. Gives back what could not be undone.
pub(crate) fn take_back(
    layout: &AppLayout,
    domain: Option<&str>,
    started: Option<Slot>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let live = live::live(layout);
    let idle = started.filter(|slot| live.as_ref().is_none_or(|live| live.slot != *slot));
    if let Some(slot) = idle
        && let Err(error) = systemd::stop(&layout.unit(slot))
    {
        problems.push(chain(&error));
    }
    let restored = match (&live, domain) {
        (Some(live), Some(domain)) => match live::manifest(layout, &live.version) {
            Ok(manifest) if !site::is_installed(layout, &manifest, domain) => {
                site::install(layout, &manifest, domain)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                problems.push(error.to_string());
                Ok(())
            }
        },
        (None, _) => site::remove(layout),
        (Some(_), None) => Ok(()),
    };
    problems.extend(restored.err().map(|error| chain(&error)));
    if live.is_none()
        && let Err(error) = links::remove(&layout.current())
    {
        problems.push(error.to_string());
    }
    problems
}

/// Finishes a switch whose links were begun, at the agent's next start.
pub(crate) fn finish_links(
    agent: &Arc<Agent>,
    layout: &AppLayout,
    slot: Slot,
    version: &Version,
    left: Option<&Version>,
    why: SwitchReason,
) -> Result<(), Trouble> {
    let manifest = live::manifest(layout, version)
        .map_err(|error| Trouble::because(&error, "deploy the release again"))?;
    live::go_live(layout, slot, version)
        .map_err(|error| Trouble::because(&error, "mend the disk, then start the agent again"))?;
    Ok(settle(agent, layout, &manifest, slot, left, why)?)
}

/// Writes down what serves, keeps the other slot warm for a while, and prunes.
fn settle(
    agent: &Arc<Agent>,
    layout: &AppLayout,
    manifest: &Manifest,
    slot: Slot,
    left: Option<&Version>,
    why: SwitchReason,
) -> Result<(), LedgerError> {
    let ledger: &Ledger = &agent.ledger;
    ledger.serve(&layout.app, &manifest.version, slot)?;
    if let Some(left) = left {
        if why == SwitchReason::Rollback {
            ledger.judge(&layout.app, left, Verdict::Bad)?;
        }
        let until = Timestamp::now() + manifest.app_file.web.cooldown.duration();
        ledger.set_warm(
            &layout.app,
            Some(Warm {
                slot: other_slot(slot),
                until,
            }),
        )?;
        cooldown::watch(agent, &layout.app);
    }
    prune::prune(ledger, layout, manifest.app_file.app.keep_releases)
}

fn report(result: Result<(), LedgerError>) {
    if let Err(error) = result {
        crate::server::eprint_line(&chain(&error));
    }
}
