//! Previews: an instance of an app for a branch, beside the others, with a place, settings and bounds of
//! its own, until its time has come.

mod copy;
mod databases;
mod destroy;
pub(crate) mod expiry;
mod heard;
mod hook;
mod make;
mod remains;
pub(crate) mod watch;

use std::time::Duration;

use jiff::Timestamp;
use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{PreviewState, PreviewWish, Problem, Reply};

use crate::agent::Agent;
use crate::host::{Front, Host, HostedPreviews};
use crate::layout::AppLayout;
use crate::ledger::{LedgerError, PreviewRow, PreviewWanted};
use crate::operation::{Operation, Trouble};
use crate::system_file::put;
use crate::systemd;

pub(crate) use databases::{SnapshotError, snapshot};
pub(crate) use destroy::destroy;
pub(crate) use make::make;

/// git allows no longer one where a file is named after it.
const LONGEST_REF: usize = 255;
/// Nobody means longer than this.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a preview is, for whoever asks.
pub(crate) fn state(row: PreviewRow, front: Option<&Front>) -> PreviewState {
    let url = front.map(|front| {
        let scheme = if front.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", front.domain.as_str())
    });
    PreviewState {
        git_ref: row.git_ref,
        who: row.who,
        created: row.created,
        until: row.until,
        url,
    }
}

/// What stands in the way of a preview, before anything of it is made.
pub(crate) fn problems(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    wish: &PreviewWish,
) -> Result<Vec<Problem>, LedgerError> {
    let (Some(rules), Some(slug)) = (rules(host, app), app.preview()) else {
        return Ok(Vec::new());
    };
    let all = agent.ledger.previews()?;
    if let Some(there) = all.iter().find(|preview| preview.app == *app) {
        if wish.git_ref.is_none() && there.until <= Timestamp::now() {
            return Ok(vec![ended(host, there)]);
        }
        let other = wish.git_ref.as_ref().filter(|git| **git != there.git_ref);
        let taken = other.map(|git| Problem {
            what: format!(
                "there is a preview {slug} already: of {}, by {}, and not of {git}",
                there.git_ref, there.who
            ),
            next: "give this one another name: --name NAME".to_owned(),
        });
        return Ok(taken.into_iter().collect());
    }
    let Some(git_ref) = &wish.git_ref else {
        return Ok(vec![missing(host, app)]);
    };
    if git_ref.len() > LONGEST_REF || git_ref.chars().any(char::is_control) {
        return Ok(vec![Problem {
            what: "no branch has such a name".to_owned(),
            next: "name a branch of the app's repository".to_owned(),
        }]);
    }
    if let Some(other) = same_domain(host, app, &all).or_else(|| same_user(app, &all)) {
        return Ok(vec![other]);
    }
    let most = rules.rules.max;
    let full = (all.len() >= most as usize).then(|| full(host, most, &all));
    Ok(full.into_iter().collect())
}

/// It is off, or about to be.
fn ended(host: &Host, preview: &PreviewRow) -> Problem {
    let (environment, git_ref) = (&host.environment, &preview.git_ref);
    Problem {
        what: format!(
            "the time of {} has come, and its end has begun",
            preview.app
        ),
        next: format!("bring it back: longshore preview up {environment} --ref {git_ref}"),
    }
}

/// A name that another app or preview has, be it deployed or not.
fn same_domain(host: &Host, app: &Instance, all: &[PreviewRow]) -> Option<Problem> {
    let domain_of = |instance: &Instance| host.hosted(instance)?.domain;
    let own = domain_of(app)?;
    let apps = host.apps.keys().cloned().map(Instance::from);
    let mut others = apps.chain(all.iter().map(|preview| preview.app.clone()));
    let other = others.find(|other| other != app && domain_of(other).as_ref() == Some(&own))?;
    Some(Problem {
        what: format!("{} is the domain of {other} on this host", own.as_str()),
        next: "give the preview another name: --name NAME".to_owned(),
    })
}

/// Unix names are too short for a preview's own, and whoever looks for two with one digest finds them.
fn same_user(app: &Instance, all: &[PreviewRow]) -> Option<Problem> {
    let short = |app: &Instance| AppLayout::new(app).short();
    let mut others = all.iter().filter(|preview| preview.app != *app);
    let other = others.find(|preview| short(&preview.app) == short(app))?;
    Some(Problem {
        what: format!("{app} and {} would have one Unix user", other.app),
        next: "give the preview another name: --name NAME".to_owned(),
    })
}

/// Whatever app they are of, it is one host that has to bear them.
fn full(host: &Host, most: u32, all: &[PreviewRow]) -> Problem {
    let names: Vec<&str> = all.iter().map(|preview| preview.app.as_str()).collect();
    Problem {
        what: format!(
            "this host has {} previews, and {most} is the most: {}",
            all.len(),
            names.join(", ")
        ),
        next: format!(
            "take one off that nobody needs (longshore preview down {} NAME), or raise `max` of the app's `preview` in the inventory",
            host.environment
        ),
    }
}

/// The host has no rules for them.
pub(crate) fn not_allowed(host: &Host, app: &Instance) -> Problem {
    let (environment, app) = (&host.environment, app.app());
    Problem {
        what: format!("branches of {app} get no previews on this host"),
        next: format!(
            "allow them in the inventory: preview = {{ max = 5 }} under [environments.{environment}.apps.{app}], then run `longshore bootstrap {environment}`"
        ),
    }
}

/// There is none of this name.
pub(crate) fn missing(host: &Host, app: &Instance) -> Problem {
    let environment = &host.environment;
    Problem {
        what: format!("there is no preview {app} on this host"),
        next: format!("see which there are: longshore preview list {environment}"),
    }
}

/// Writes down that there is to be this preview, and bounds what may run for it.
pub(crate) fn keep(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    wish: &PreviewWish,
    who: &str,
    operation: &Operation,
) -> Result<Reply, Trouble> {
    let problems = problems(agent, host, app, wish)?;
    if !problems.is_empty() {
        return Err(Trouble::Refused(problems));
    }
    let Some(rules) = rules(host, app) else {
        return Err(Trouble::Refused(vec![not_allowed(host, app)]));
    };
    let seconds = wish.seconds.map(Duration::from_secs);
    let lasting = seconds.unwrap_or(rules.rules.lasting.duration());
    let until = Timestamp::now() + lasting.min(LONGEST);
    let wanted = PreviewWanted {
        git_ref: wish.git_ref.as_deref(),
        who,
        until,
        // Nobody who says nothing means to shorten it.
        at_least: wish.seconds.is_none(),
        most: rules.rules.max,
    };
    let is_new = agent.ledger.preview(app)?.is_none();
    let row = operation.step("preview", || {
        let row = agent.ledger.keep_preview(app, wanted)?;
        let row = row.ok_or_else(|| match agent.ledger.previews() {
            Ok(all) => Trouble::Refused(vec![full(host, rules.rules.max, &all)]),
            Err(error) => error.into(),
        })?;
        if let Err(trouble) = bound(&AppLayout::new(app), rules) {
            if is_new {
                agent.ledger.forget_preview(app)?;
            }
            return Err(trouble);
        }
        Ok(row)
    })?;
    agent.previews.tell();
    operation.remember(format!("{} until {:.0}", row.git_ref, row.until));
    reply(agent, host, app)
}

/// How it stands, for whoever asked for it.
pub(crate) fn reply(agent: &Agent, host: &Host, app: &Instance) -> Result<Reply, Trouble> {
    let row = agent.ledger.preview(app)?;
    let row = row.ok_or_else(|| Trouble::Refused(vec![missing(host, app)]))?;
    let front = host.hosted(app).and_then(|hosted| hosted.front());
    Ok(Reply::Preview {
        preview: state(row, front.as_ref()),
        new: agent.ledger.servings(app)?.is_empty(),
    })
}

fn rules<'a>(host: &'a Host, app: &Instance) -> Option<&'a HostedPreviews> {
    host.apps.get(app.app())?.preview.as_ref()
}

/// The slice of all its units: a branch that goes wild is not to take the host with it.
fn bound(layout: &AppLayout, rules: &HostedPreviews) -> Result<(), Trouble> {
    let Some(file) = layout.slice_file() else {
        return Ok(());
    };
    let text = format!(
        "# Made by longshore-agent. Changes are overwritten.
[Unit]
Description=Longshore preview {}

[Slice]
MemoryMax={}
MemorySwapMax=0
TasksMax={}
",
        layout.app,
        rules.rules.memory.bytes(),
        rules.rules.processes
    );
    let failed = |error: &dyn std::error::Error| {
        Trouble::because(error, "look at the disk of this host, then try again")
    };
    if put(&file, &text).map_err(|error| failed(&error))? {
        systemd::reload_units().map_err(|error| failed(&error))?;
    }
    Ok(())
}
