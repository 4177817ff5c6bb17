//! What an app on this host looks like now: the links say what is live, the ledger what happened.

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{AppStatus, ReleaseState, ReleaseStatus};
use semver::Version;

use crate::activate::{self, live, process_status};
use crate::agent::Agent;
use crate::host::{Host, HostedApp};
use crate::layout::{AppLayout, other_slot};
use crate::ledger::{Ledger, LedgerError, ReleaseRow, Verdict};
use crate::locks::Locks;
use crate::maintenance;
use crate::operation::Trouble;
use crate::preview;
use crate::settings;
use crate::systemd;

/// All apps of this host, or one.
pub(crate) fn report(
    agent: &Agent,
    host: &Host,
    app: Option<&Instance>,
    previews: bool,
) -> Result<Vec<AppStatus>, Trouble> {
    let wanted = instances(&agent.ledger, host)?.into_iter();
    let wanted = wanted.filter(|name| match app {
        Some(app) if previews && app.preview().is_none() => app.app() == name.app(),
        Some(app) => app == name,
        None => previews || name.preview().is_none(),
    });
    let apps = wanted.map(|app| one(&agent.ledger, Some(&agent.locks), host, &app));
    Ok(apps.collect::<Result<_, _>>()?)
}

/// Every app of this host, and after it its previews.
pub(crate) fn instances(ledger: &Ledger, host: &Host) -> Result<Vec<Instance>, LedgerError> {
    let apps = host.apps.keys().cloned().map(Instance::from);
    let previews = ledger.previews()?.into_iter().map(|preview| preview.app);
    let mut all: Vec<Instance> = apps.chain(previews).collect();
    all.sort();
    Ok(all)
}

/// One app. Works from the disk alone, so that it can be asked for when no agent runs.
pub(crate) fn one(
    ledger: &Ledger,
    locks: Option<&Locks>,
    host: &Host,
    app: &Instance,
) -> Result<AppStatus, LedgerError> {
    let layout = AppLayout::new(app);
    let live = live::live(&layout);
    let releases = ledger.releases(app)?;
    let servings = ledger.servings(app)?;
    let hosted = host.hosted(app);
    let single_here = hosted.as_ref().is_some_and(|app| app.single);
    let front = hosted.as_ref().and_then(HostedApp::front);
    let domain = front.as_ref().map(|front| &front.domain);
    let version = live.as_ref().map(|live| live.version.clone());
    let manifest = live
        .as_ref()
        .and_then(|live| live::manifest(&layout, &live.version).ok());
    let healthy = live.as_ref().map(|live| {
        let domain = domain.map(|domain| domain.as_str());
        let is_healthy = |manifest| activate::is_healthy(&layout, live.slot, manifest, domain);
        manifest.as_ref().is_some_and(is_healthy)
    });
    let processes = live
        .as_ref()
        .map(|live| process_status::statuses(&layout, live, manifest.as_ref(), single_here));
    let warm = warm_version(ledger, &layout)?;
    let state = |release: &ReleaseRow| {
        if Some(&release.version) == version.as_ref() {
            ReleaseState::Live
        } else if Some(&release.version) == warm.as_ref() {
            ReleaseState::Warm
        } else {
            match release.verdict {
                Verdict::Good => ReleaseState::Good,
                Verdict::Bad => ReleaseState::Bad,
                Verdict::Staged => ReleaseState::Staged,
            }
        }
    };
    let preview = ledger.preview(app)?;
    Ok(AppStatus {
        app: app.clone(),
        preview: preview.map(|row| preview::state(row, front.as_ref())),
        previous: activate::rollback_target(&layout, &releases, &servings),
        slot: live.as_ref().map(|live| live.slot),
        healthy,
        releases: releases
            .iter()
            .map(|release| ReleaseStatus {
                version: release.version.clone(),
                commit: release.commit.clone(),
                signer: release.signer.clone(),
                bytes: release.bytes,
                staged: release.staged,
                state: state(release),
            })
            .collect(),
        since: servings
            .first()
            .filter(|(served, _)| Some(served) == version.as_ref())
            .map(|(_, since)| *since),
        git_ref: manifest.map(|manifest| manifest.git_ref),
        settings: settings::names(&layout),
        maintenance: maintenance::state(&layout),
        processes: processes.unwrap_or_default(),
        by: match &version {
            Some(version) => ledger.brought_by(app, version)?,
            None => None,
        },
        last: ledger.history(Some(app), 1)?.pop().map(|row| row.status()),
        locked_by: locks.and_then(|locks| locks.describe(app)),
        version,
    })
}

fn warm_version(ledger: &Ledger, layout: &AppLayout) -> Result<Option<Version>, LedgerError> {
    let Some(warm) = ledger.warm(&layout.app)? else {
        return Ok(None);
    };
    let idle = live::live(layout).is_none_or(|live| other_slot(live.slot) == warm.slot);
    let runs = idle && systemd::is_active(&layout.unit(warm.slot)).unwrap_or(false);
    Ok(runs.then(|| live::in_slot(layout, warm.slot)).flatten())
}
