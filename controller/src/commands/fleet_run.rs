//! Runs a rollout to its end: the report beside it, Ctrl-C listened to, the result said last.

use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::event::{Report, RunEvent};
use crate::exit_code::Exit;
use crate::inventory::Environment;
use crate::plan::Plan;
use crate::report::RunReport;
use crate::rollout::{Goal, Interrupts, Job, RunEnd, roll_out};
use crate::terminal_text::one_line;

/// How often it is looked whether the run has been silent for too long.
const TICK: Duration = Duration::from_secs(5);

const EVEN_REVOKED: &str = "The key that signed this release was revoked, so its code may not be what you think. Go back to it nevertheless?";

pub(super) async fn run(
    verb: &'static str,
    environment: &Environment,
    plan: Plan,
    goal: Goal,
    skip_offline: bool,
    context: &Context,
) -> Result<Exit, CommandError> {
    let report = RunReport::new(Arc::clone(&context.ui), context.global.verbose > 0);
    let interrupts = Interrupts::listen();
    let reach = context.reach(environment, report.clone());
    let job = |goal, past_migrations| Job {
        verb,
        plan: plan.clone(),
        goal,
        skip_offline,
        past_migrations,
        reach: reach.clone(),
        interrupts: interrupts.clone(),
    };
    let mut goal = goal;
    let mut past_migrations = context.global.yes;
    loop {
        let beside = tokio::spawn(beside(report.clone(), interrupts.clone()));
        let end = tokio::select! {
            end = roll_out(job(goal.clone(), past_migrations)) => end,
            () = interrupts.insisted() => {
                beside.abort();
                return Err(left_at_once(environment));
            }
        };
        beside.abort();
        if !past_migrations && !interrupts.is_asked() && accepts_migrations(&end, context) {
            past_migrations = true;
            continue;
        }
        match overruled(&end, &goal, context).filter(|_| !interrupts.is_asked()) {
            Some(again) => goal = again,
            None => {
                report.end(&end);
                return Ok(end.exit);
            }
        }
    }
}

/// Whether a release can live with migrations that are not its own is for a person to say.
fn accepts_migrations(end: &RunEnd, context: &Context) -> bool {
    let mut failures = end.hosts.iter().filter(|host| host.past_migrations);
    let what = failures.find_map(|host| host.failure.as_ref());
    end.exit == Exit::Refused
        && what.is_some_and(|failure| {
            let what = one_line(&failure.what).into_owned();
            context
                .ui
                .confirm(&format!("These stay {what}. Go on nevertheless?"))
        })
}

/// A release whose key was revoked may be all that there is to go back to: for a person to say.
fn overruled(end: &RunEnd, goal: &Goal, context: &Context) -> Option<Goal> {
    let revoked = end.exit == Exit::Refused && end.hosts.iter().any(|host| host.revoked);
    match goal {
        Goal::Back {
            to,
            even_revoked: false,
            with_settings,
        } if revoked && context.ui.confirm(EVEN_REVOKED) => Some(Goal::Back {
            to: to.clone(),
            even_revoked: true,
            with_settings: *with_settings,
        }),
        _ => None,
    }
}

/// Breaks silences, and says once that an interrupt was heard.
pub(super) async fn beside(report: Arc<RunReport>, interrupts: Interrupts) {
    let mut ticks = tokio::time::interval(TICK);
    let mut told = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => report.tick(),
            () = interrupts.asked(), if !told => {
                told = true;
                report.event(RunEvent::Interrupted);
            }
        }
    }
}

pub(super) fn left_at_once(environment: &Environment) -> CommandError {
    let name = &environment.name;
    CommandError::new(
        ErrorKind::Interrupted,
        "left before the hosts had answered; they finish or undo by themselves what they had begun",
    )
    .hint(format!("See how it ended: longshore status {name}"))
    .hint(format!(
        "Settings that were being changed may be the new ones: longshore settings list {name}"
    ))
    .hint("Then run the same command again to go on.")
}
