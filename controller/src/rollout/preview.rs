//! What a preview needs beside a deployment: it is asked for before anything is brought, made before it
//! migrates, and taken away where its first deployment failed.

use longshore_shared::wire::latest::{Order, Reply};

use super::member::{Member, Progress, Stakes};
use super::phases::Run;
use crate::event::RunEvent;

impl Run {
    /// Nothing is brought to a host that has not agreed to it.
    pub(super) async fn keep_preview(&self, mut members: Vec<Member>) -> Vec<Member> {
        let plan = &self.job.plan;
        let Some(wish) = &plan.preview else {
            return members;
        };
        for member in members.iter_mut().filter(|member| member.is_active()) {
            let order = Order::KeepPreview {
                app: plan.app.clone(),
                wish: wish.clone(),
            };
            match self
                .order(member, order, None, self.nothing_at_stake())
                .await
            {
                None => {}
                Some(Reply::Preview { preview, new }) => {
                    member.new_preview = new;
                    let app = plan.app.clone();
                    let report = &self.job.reach.report;
                    report.event(RunEvent::Preview { app, preview });
                }
                Some(other) => member.ended_by(other),
            }
        }
        members
    }

    pub(super) async fn make_preview(&self, mut members: Vec<Member>) -> Vec<Member> {
        if self.job.plan.preview.is_none() {
            return members;
        }
        for member in members.iter_mut().filter(|member| member.is_active()) {
            let Some(version) = self.version_for(member) else {
                continue;
            };
            let app = self.job.plan.app.clone();
            let order = Order::MakePreview { app, version };
            match self.order(member, order, None, Stakes::Migration).await {
                None | Some(Reply::PreviewMade { .. }) => {}
                Some(other) => member.ended_by(other),
            }
        }
        members
    }

    /// Of one that never came to serve nothing is left, and nobody may interrupt that.
    pub(super) async fn drop_failed_preview(&self, mut members: Vec<Member>) -> Vec<Member> {
        for member in &mut members {
            let serves = matches!(member.progress, Progress::Switched | Progress::Unchanged);
            if !member.new_preview || serves {
                continue;
            }
            let app = self.job.plan.app.clone();
            let (environment, name) = (&self.job.plan.environment, app.preview());
            let name = name.map(ToString::to_string).unwrap_or_default();
            let next = format!("longshore preview down {environment} {name}");
            let order = Order::DropPreview {
                app,
                without_hook: false,
            };
            let why = match member.insist(order).await {
                Ok(Reply::PreviewDropped { .. }) => {
                    let what = "the preview was taken away again, and nothing of it is left";
                    member.remark(what.to_owned());
                    continue;
                }
                Ok(_) => "the agent gave an answer that does not fit the order".to_owned(),
                Err(why) => why,
            };
            member.remark(format!(
                "the preview could not be taken away again ({why}): the host tries to within an hour, or you do: {next}"
            ));
        }
        members
    }
}
