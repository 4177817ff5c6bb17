//! What an app on this host looks like now: the links say what is live, the ledger what happened.

use jiff::Timestamp;
use longshore_shared::name::AppName;
use longshore_shared::wire::latest::{AppStatus, ReleaseState, ReleaseStatus};
use semver::Version;

use crate::activate::{self, live, systemd};
use crate::host::Host;
use crate::layout::{AppLayout, other_slot};
use crate::ledger::{Ledger, LedgerError, ReleaseRow, Verdict};
use crate::locks::Locks;
use crate::operation::Trouble;
use crate::server::Agent;

/// All apps of this host, or one.
pub(crate) fn report(
    agent: &Agent,
    host: &Host,
    app: Option<&AppName>,
) -> Result<Vec<AppStatus>, Trouble> {
    let wanted = host
        .apps
        .keys()
        .filter(|name| app.is_none_or(|app| app == *name));
    let apps = wanted.map(|app| one(&agent.ledger, Some(&agent.locks), host, app));
    Ok(apps.collect::<Result<_, _>>()?)
}

/// One app. Works from the disk alone, so that it can be asked for when no agent runs.
pub(crate) fn one(
    ledger: &Ledger,
    locks: Option<&Locks>,
    host: &Host,
    app: &AppName,
) -> Result<AppStatus, LedgerError> {
    let layout = AppLayout::new(app);
    let live = live::live(&layout);
    let releases = ledger.releases(app)?;
    let servings = ledger.servings(app)?;
    let domain = host.apps.get(app).and_then(|app| app.domain.as_ref());
    let healthy = live.as_ref().map(|live| {
        live::manifest(&layout, &live.version).is_ok_and(|manifest| {
            activate::is_healthy(
                &layout,
                live.slot,
                &manifest,
                domain.map(|domain| domain.as_str()),
            )
        })
    });
    let version = live.as_ref().map(|live| live.version.clone());
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
    Ok(AppStatus {
        app: app.clone(),
        previous: rollback_target(&layout, &releases, &servings),
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

/// Where a rollback goes: the newest good release that served before the live one.
pub(crate) fn rollback_target(
    layout: &AppLayout,
    releases: &[ReleaseRow],
    servings: &[(Version, Timestamp)],
) -> Option<Version> {
    let live = live::live(layout)?.version;
    earlier_good(&live, releases, servings)
}

/// A release that was rolled back from is marked bad, so the walk back never turns around.
fn earlier_good(
    live: &Version,
    releases: &[ReleaseRow],
    servings: &[(Version, Timestamp)],
) -> Option<Version> {
    let is_good = |version: &Version| {
        releases
            .iter()
            .any(|release| release.version == *version && release.verdict == Verdict::Good)
    };
    let mut earlier = servings
        .iter()
        .map(|(version, _)| version)
        .skip_while(|v| *v != live);
    earlier
        .find(|version| *version != live && is_good(version))
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_shared::digest::Sha256Digest;

    fn v(minor: u64) -> Version {
        Version::new(1, minor, 0)
    }

    fn row(minor: u64, verdict: Verdict) -> ReleaseRow {
        ReleaseRow {
            version: v(minor),
            manifest: Sha256Digest::of(b""),
            signer: String::new(),
            commit: String::new(),
            bytes: 0,
            staged: Timestamp::now(),
            verdict,
        }
    }

    #[test]
    fn a_rollback_goes_back_and_never_forth() {
        let (good, bad) = (Verdict::Good, Verdict::Bad);
        let target = |live, releases: &[ReleaseRow], served: &[u64]| {
            let servings: Vec<_> = served.iter().map(|at| (v(*at), Timestamp::now())).collect();
            earlier_good(&v(live), releases, &servings)
        };
        let three = [row(2, good), row(1, good), row(0, good)];
        // The newest serving first.
        assert_eq!(target(2, &three, &[2, 1, 0]), Some(v(1)));
        assert_eq!(target(0, &three, &[0]), None);
        // Rolled back from 2 to 1: the next one goes to 0.
        let left = [row(2, bad), row(1, good), row(0, good)];
        assert_eq!(target(1, &left, &[1, 2, 1, 0]), Some(v(0)));
        // 1.0.0 was deployed again, not rolled back to: 1.1.0 was good and served before.
        assert_eq!(target(0, &three, &[0, 1, 0]), Some(v(1)));
        // A bad one on the way is passed over.
        let bad_between = [row(2, good), row(1, bad), row(0, good)];
        assert_eq!(target(2, &bad_between, &[2, 1, 0]), Some(v(0)));
        // A pruned one cannot be gone to.
        assert_eq!(target(2, &[row(2, good)], &[2, 1, 0]), None);
    }
}
