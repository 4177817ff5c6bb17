//! Where a rollback goes.

use jiff::Timestamp;
use semver::Version;

use super::live;
use crate::layout::AppLayout;
use crate::ledger::{ReleaseRow, Verdict};

/// The newest good release that served before the live one.
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
            signed: Timestamp::UNIX_EPOCH,
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
