//! Whether a release that this host keeps may serve: who signed it, and which way that goes.

use jiff::{SignedDuration, Timestamp};
use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::SwitchReason;
use semver::Version;

use super::{direction, live};
use crate::agent::Agent;
use crate::host::Host;
use crate::layout::AppLayout;
use crate::operation::Trouble;
use crate::trust::{self, HostTrust};

/// How long a rollout may take before it goes back by itself.
const A_MOMENT: SignedDuration = SignedDuration::from_hours(1);

/// What traffic is to move to, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) app: &'a Instance,
    pub(crate) version: &'a Version,
    pub(crate) why: SwitchReason,
    /// Goes back also to a release whose key was revoked.
    pub(crate) even_revoked: bool,
}

/// What was decided when a release was staged may be another thing today.
pub(crate) fn may_serve(agent: &Agent, host: &Host, wanted: Wanted<'_>) -> Result<(), Trouble> {
    let layout = AppLayout::new(wanted.app);
    let trust = HostTrust::load(&agent.ledger, &host.environment)?;
    if trust.forward_only {
        let (to, why) = (wanted.version, wanted.why);
        direction::check(agent, &host.environment, &layout, to, why)?;
    }
    let good = direction::found_good(agent, wanted.app, wanted.version)?;
    let proof = Proof {
        serves: live::live(&layout).is_some_and(|live| live.version == *wanted.version),
        good,
        served_just_before: served_just_before(agent, wanted)?,
    };
    match proof.asks(wanted.why, wanted.even_revoked) {
        Asks::Signer => trust::accept_kept(&trust, &layout, wanted.version)?,
        Asks::NotRevoked => trust.not_revoked(&layout, wanted.version)?,
        Asks::Nothing => {}
    }
    // What it needs in the database may never have been there.
    if wanted.why == SwitchReason::Rollback && !good {
        let Wanted { app, version, .. } = wanted;
        return Err(Trouble::refused(
            format!(
                "{app} {version} has never served on this host, so there is no going back to it"
            ),
            format!(
                "bring it as a deployment: longshore deploy {} --version {version}",
                host.environment
            ),
        ));
    }
    Ok(())
}

/// What this host itself knows of a release.
#[derive(Debug, Clone, Copy)]
struct Proof {
    /// It is what serves.
    serves: bool,
    /// It has served here.
    good: bool,
    /// It is what served a moment ago.
    served_just_before: bool,
}

/// What has to be shown of who signed a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// That they may release here today.
    Signer,
    /// That their key was not revoked.
    NotRevoked,
    Nothing,
}

impl Proof {
    /// Why it is to serve is the word of whoever orders it, so it never stands in for what the host
    /// knows: what has not served here needs its signer, however it is called.
    fn asks(self, why: SwitchReason, even_revoked: bool) -> Asks {
        match why {
            _ if !self.good => Asks::Signer,
            SwitchReason::Deploy => Asks::Signer,
            // Its code runs already, and a reboot would start it too.
            SwitchReason::Restart if self.serves => Asks::Nothing,
            SwitchReason::Restart => Asks::Signer,
            SwitchReason::Rollback if even_revoked => Asks::Nothing,
            // A rollout that failed elsewhere goes back to what served a moment ago.
            SwitchReason::Return if self.served_just_before => Asks::Nothing,
            SwitchReason::Rollback | SwitchReason::Return => Asks::NotRevoked,
        }
    }
}

fn served_just_before(agent: &Agent, wanted: Wanted<'_>) -> Result<bool, Trouble> {
    let served = agent.ledger.servings(wanted.app)?;
    let [(_, since), (before, _), ..] = served.as_slice() else {
        return Ok(false);
    };
    let ago = Timestamp::now().duration_since(*since);
    Ok(before == wanted.version && !ago.is_negative() && ago <= A_MOMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_never_stands_in_for_what_the_host_knows() {
        let proof = |good, served_just_before| Proof {
            serves: false,
            good,
            served_just_before,
        };
        let all = [
            SwitchReason::Deploy,
            SwitchReason::Rollback,
            SwitchReason::Return,
            SwitchReason::Restart,
        ];
        for why in all {
            for even_revoked in [false, true] {
                for moment in [false, true] {
                    assert_eq!(proof(false, moment).asks(why, even_revoked), Asks::Signer);
                }
            }
        }
        let good = proof(true, false);
        assert_eq!(good.asks(SwitchReason::Deploy, true), Asks::Signer);
        assert_eq!(good.asks(SwitchReason::Rollback, false), Asks::NotRevoked);
        assert_eq!(good.asks(SwitchReason::Rollback, true), Asks::Nothing);
        assert_eq!(good.asks(SwitchReason::Return, true), Asks::NotRevoked);
        assert_eq!(good.asks(SwitchReason::Restart, true), Asks::Signer);
        let serves = Proof {
            serves: true,
            ..good
        };
        assert_eq!(serves.asks(SwitchReason::Restart, false), Asks::Nothing);
        assert_eq!(serves.asks(SwitchReason::Deploy, true), Asks::Signer);
        assert_eq!(
            proof(true, true).asks(SwitchReason::Return, false),
            Asks::Nothing
        );
    }
}
