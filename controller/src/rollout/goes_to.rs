//! Which release a host goes to where that is for the host to say.

use longshore_shared::wire::latest::{AppStatus, Order, Problem, Reply};
use semver::Version;

use super::member::Member;
use super::outcome::HostFailure;
use super::phases::Run;

impl Run {
    /// The version that this host goes back to: the one that was named, or what it says itself.
    pub(super) async fn way_back(
        &self,
        member: &mut Member,
        named: Option<Version>,
    ) -> Option<Version> {
        let back_to = match named {
            Some(version) => Some(version),
            None => self.ask_status(member).await?.and_then(|status| {
                member.found(status.version);
                status.previous
            }),
        };
        if back_to.is_none() {
            member.refused(HostFailure::of_problems(&[Problem {
                what: format!(
                    "no good release of {} served here before the live one",
                    self.job.plan.app
                ),
                next: format!(
                    "See what the hosts keep: longshore releases {}",
                    self.job.plan.environment
                ),
            }]));
        }
        member.goes_to.clone_from(&back_to);
        back_to
    }

    pub(super) async fn what_serves(&self, member: &mut Member) -> Option<Version> {
        let serves = self
            .ask_status(member)
            .await?
            .and_then(|status| status.version);
        if serves.is_none() {
            let (app, environment) = (&self.job.plan.app, &self.job.plan.environment);
            member.refused(HostFailure::of_problems(&[Problem {
                what: format!("{app} does not serve here, so there is nothing to restart"),
                next: match app.preview() {
                    Some(_) => format!(
                        "See which previews there are: longshore preview list {environment}"
                    ),
                    None => format!("Deploy it first: longshore deploy {environment}"),
                },
            }]));
        }
        member.goes_to.clone_from(&serves);
        serves
    }

    /// How the app stands on a host; the outer nothing means that the host's part has ended.
    pub(super) async fn ask_status(&self, member: &mut Member) -> Option<Option<AppStatus>> {
        let app = Some(self.job.plan.app.clone());
        let order = Order::Status {
            app,
            previews: false,
        };
        match self
            .order(member, order, None, self.nothing_at_stake())
            .await?
        {
            Reply::Status { apps } => {
                let mut apps = apps.into_iter();
                Some(apps.find(|status| status.app == self.job.plan.app))
            }
            other => {
                member.ended_by(other);
                None
            }
        }
    }
}
