//! Which way traffic may move under `forward_only`: a deployment comes after what serves now, and
//! what does not is a rollback, to a release that this host has found good.

use jiff::Timestamp;
use longshore_shared::instance::Instance;
use longshore_shared::name::EnvironmentName;
use longshore_shared::wire::latest::SwitchReason;
use semver::Version;

use super::live;
use crate::agent::Agent;
use crate::layout::AppLayout;
use crate::ledger::{LedgerError, Verdict};
use crate::operation::Trouble;

/// Refuses a way that an environment with `forward_only` does not go.
pub(crate) fn check(
    agent: &Agent,
    environment: &EnvironmentName,
    layout: &AppLayout,
    to: &Version,
    why: SwitchReason,
) -> Result<(), Trouble> {
    let app = &layout.app;
    let known = found_good(agent, app, to)?;
    let live = live::live(layout).map(|live| live.version);
    let Some(turn) = judge(live.as_ref(), to, why, known) else {
        return Ok(());
    };
    let live = live.map_or_else(|| "nothing".to_owned(), |live| live.to_string());
    Err(match turn {
        Turn::Back => Trouble::refused(
            format!(
                "{environment} goes forward only: {app} {to} does not come after {live}, which serves"
            ),
            format!(
                "this host has found {to} good before: longshore rollback {environment} {to} --app {app}"
            ),
        ),
        Turn::Older => Trouble::refused(
            format!(
                "{environment} goes forward only: {app} {to} does not come after {live}, which serves"
            ),
            format!("release it under a version after {live}; `longshore bump` makes the next one"),
        ),
        Turn::Unproven => Trouble::refused(
            format!(
                "{environment} goes forward only: {app} {to} has never been good on this host, so it cannot be gone back to"
            ),
            format!("`longshore releases {environment}` lists what was good"),
        ),
    })
}

/// Whether a release has served on this host.
pub(super) fn found_good(
    agent: &Agent,
    app: &Instance,
    version: &Version,
) -> Result<bool, LedgerError> {
    let Some(row) = agent.ledger.release(app, version)? else {
        return Ok(false);
    };
    // Another release of that name may have served before this one was staged.
    let served = agent.ledger.servings(app)?;
    let here = |(served, since): &(Version, Timestamp)| served == version && *since >= row.staged;
    Ok(row.verdict == Verdict::Good || served.iter().any(here))
}

/// What is wrong with a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Deployed, though it should be gone back to.
    Back,
    /// Deployed, though it is older than what serves.
    Older,
    /// Gone back to, though it never was good.
    Unproven,
}

fn judge(live: Option<&Version>, to: &Version, why: SwitchReason, known: bool) -> Option<Turn> {
    match why {
        SwitchReason::Deploy => {
            let live = live?;
            let fine = live == to || to.cmp_precedence(live).is_gt();
            (!fine).then_some(if known { Turn::Back } else { Turn::Older })
        }
        SwitchReason::Restart if live == Some(to) => None,
        SwitchReason::Rollback | SwitchReason::Return | SwitchReason::Restart => {
            (!known).then_some(Turn::Unproven)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forward_is_by_precedence_from_what_serves_now() {
        let v = |text: &str| Version::parse(text).unwrap();
        let deploy = |live: Option<&str>, to: &str, known| {
            judge(live.map(v).as_ref(), &v(to), SwitchReason::Deploy, known)
        };
        assert_eq!(deploy(None, "0.1.0", false), None);
        assert_eq!(deploy(Some("1.4.0"), "1.4.0", true), None);
        assert_eq!(deploy(Some("1.5.0"), "1.4.0", true), Some(Turn::Back));
        assert_eq!(deploy(Some("1.5.0"), "1.4.1", false), Some(Turn::Older));
        // After a rollback from 1.5.0 to 1.4.0 a hotfix goes out.
        assert_eq!(deploy(Some("1.4.0"), "1.4.1", false), None);
        assert_eq!(deploy(Some("1.5.0-rc.9"), "1.5.0-rc.10", false), None);
        assert_eq!(
            deploy(Some("1.5.0"), "1.5.0-rc.1", false),
            Some(Turn::Older)
        );
        // Build metadata makes no version newer.
        assert_eq!(deploy(Some("1.5.0+a"), "1.5.0+b", false), Some(Turn::Older));
        for why in [SwitchReason::Rollback, SwitchReason::Return] {
            assert_eq!(judge(Some(&v("1.5.0")), &v("1.4.0"), why, true), None);
            let never = judge(Some(&v("1.5.0")), &v("1.6.0"), why, false);
            assert_eq!(never, Some(Turn::Unproven));
        }
    }
}
