//! What would stop a deployment, found before anything is changed; all of it at once.

use std::path::Path;

use longshore_shared::app_file::{AppFile, Limits};
use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::{EnvironmentName, ProcessName};
use longshore_shared::wire::latest::{Preflighted, PreviewWish, Problem, Reply, SwitchReason};

use crate::activate::{self, Wanted, live, site};
use crate::agent::Agent;
use crate::command;
use crate::host::{Front, Host, HostedApp};
use crate::intake;
use crate::layout::{APPS, AppLayout};
use crate::ledger::{LedgerError, Refusal};
use crate::operation::{Trouble, chain};
use crate::preview;
use crate::settings;
use crate::systemd;
use crate::trust;

/// What the inventory says of the app on this host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inventory<'a> {
    pub(crate) domain: Option<&'a str>,
    /// Nothing where the controller does not say.
    pub(crate) single: Option<bool>,
    /// Settings come before it serves: what is not set now is no problem.
    pub(crate) settings_follow: bool,
    /// What is to become of it as a preview.
    pub(crate) preview: Option<&'a PreviewWish>,
}

/// Looks at all that an order to deploy or to roll back would need.
pub(crate) fn check(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    inventory: Inventory<'_>,
    release: &Preflighted,
    who: &str,
) -> Result<Reply, Trouble> {
    let layout = AppLayout::new(app);
    let live = live::live(&layout);
    let mut problems = Vec::new();
    let mut refusals = Vec::new();
    let mut revoked = false;
    let hosted = host.hosted(app);
    let domain = inventory.domain;
    let front = hosted.as_ref().and_then(HostedApp::front);
    let own = front.as_ref().map(|front| front.domain.as_str());
    if own != domain {
        let name = |domain: Option<&str>| domain.map_or("no domain".to_owned(), str::to_owned);
        problems.push(Problem {
            what: format!(
                "{app} is {} here, and {} in the inventory",
                name(own),
                name(domain)
            ),
            next: "run `longshore bootstrap` to bring the host up to the inventory".to_owned(),
        });
    }
    if let Some(wish) = inventory.preview {
        problems.extend(preview::problems(agent, host, app, wish)?);
    }
    let (manifest, staged) = match release {
        Preflighted::Deploy { release } => match accepted(agent, host, app, release) {
            Ok((manifest, staged)) => (Some(manifest), staged),
            Err(trouble) => {
                refusals.extend(problems_of(trouble));
                (None, false)
            }
        },
        Preflighted::Kept {
            version,
            why,
            even_revoked,
        } => {
            let known = agent.ledger.release(app, version)?.is_some();
            let manifest = known
                .then(|| live::manifest(&layout, version).ok())
                .flatten();
            if manifest.is_none() {
                problems.push(Problem {
                    what: format!("{app} {version} is not on this host, or damaged"),
                    next: format!(
                        "`longshore releases {}` lists what each host holds; the oldest go as new ones come",
                        host.environment
                    ),
                });
            }
            if manifest.is_some() {
                let mut wanted = Wanted {
                    app,
                    version,
                    why: *why,
                    even_revoked: *even_revoked,
                };
                if let Err(trouble) = activate::may_serve(agent, host, wanted) {
                    wanted.even_revoked = true;
                    revoked = activate::may_serve(agent, host, wanted).is_ok();
                    refusals.extend(problems_of(trouble));
                }
            }
            (manifest, known)
        }
    };
    note(agent, who, app, release, &refusals)?;
    problems.extend(refusals);
    if let Some(manifest) = &manifest {
        let restarts = matches!(
            release,
            Preflighted::Kept {
                why: SwitchReason::Restart,
                ..
            }
        );
        problems.extend(room(agent, &layout, manifest, staged)?);
        problems.extend(memory_problem(agent, &layout, manifest, restarts)?);
        // A preview may be given some when it is made.
        let given = inventory.preview.is_some() && !manifest.app_file.preview.create.is_empty();
        let follow = inventory.settings_follow || given;
        problems.extend(sites(&layout, manifest, front.as_ref(), follow));
        problems.extend(kernel(&manifest.app_file.limits, &host.environment));
        let single_here = hosted.as_ref().is_some_and(|app| app.single);
        problems.extend(single(&manifest.app_file, single_here, inventory.single));
        problems.extend(times(&manifest.app_file));
        let files = &manifest.app_file.settings.files;
        let files = if follow { &[][..] } else { &files[..] };
        let lacking = settings::files::not_set(&layout, files);
        problems.extend(lacking.iter().map(|name| Problem {
            what: format!("[settings] `files` names {name}, which is not set here"),
            next: format!("set it: longshore settings set {} {name}", host.environment),
        }));
    }
    let live_manifest = live
        .as_ref()
        .and_then(|live| live::manifest(&layout, &live.version).ok());
    Ok(Reply::Preflight {
        problems,
        staged,
        live: live.map(|live| live.version),
        revoked,
        python: python(),
        settings: settings::names(&layout),
        live_checks: live_manifest.is_some_and(|live| live.app_file.migrate.check.is_some()),
    })
}

fn accepted(
    agent: &Agent,
    host: &Host,
    app: &Instance,
    release: &longshore_shared::wire::latest::SignedManifest,
) -> Result<(Manifest, bool), Trouble> {
    let verified = trust::accept(agent, host, app, release)?;
    let manifest = verified.value();
    let here = agent.ledger.release(app, &manifest.version)?;
    if let Some(row) = &here {
        intake::same_release(row, &verified)?;
    }
    // Signed by somebody else it is staged once more, though not a byte of content travels.
    let staged = here.is_some() && intake::signed_alike(&AppLayout::new(app), &verified);
    Ok((manifest.clone(), staged))
}

/// What is refused for who signed it, or for the way it goes, is in the history; what only has to be
/// mended first is not.
fn note(
    agent: &Agent,
    who: &str,
    app: &Instance,
    release: &Preflighted,
    refusals: &[Problem],
) -> Result<(), LedgerError> {
    if refusals.is_empty() {
        return Ok(());
    }
    let (verb, version) = match release {
        Preflighted::Deploy { .. } => ("deploy", None),
        Preflighted::Kept { version, why, .. } => (activate::verb(*why), Some(version)),
    };
    let message: Vec<&str> = refusals
        .iter()
        .map(|problem| problem.what.as_str())
        .collect();
    agent.ledger.refused(&Refusal {
        app: Some(app),
        verb,
        version,
        who,
        message: &message.join("; "),
    })
}

/// Disk and inodes.
fn room(
    agent: &Agent,
    layout: &AppLayout,
    manifest: &Manifest,
    staged: bool,
) -> Result<Vec<Problem>, LedgerError> {
    let mut problems = Vec::new();
    if !staged {
        let place = [APPS, "/srv", "/"]
            .map(Path::new)
            .into_iter()
            .find(|place| place.exists());
        let place = place.unwrap_or(Path::new("/"));
        // Beside an earlier release, or what a try left, only what is new takes room, which the
        // unpacking finds out.
        let nothing_left = intake::worth_keeping(layout).is_empty();
        let first = nothing_left && agent.ledger.releases(&layout.app)?.is_empty();
        let tree = &manifest.tree;
        let lack = intake::room_problem(place, if first { tree.bytes } else { 0 }, tree.entries);
        let what = lack.unwrap_or_else(|error| Some(error.to_string()));
        let next = "make room on this host, or lower keep_releases".to_owned();
        problems.extend(what.map(|what| Problem { what, next }));
    }
    Ok(problems)
}

/// The new slot is taken to need what the live one does. Nothing is started for a release that
/// runs already, unless it is to be restarted, and a slot that is still warm makes way.
fn memory_problem(
    agent: &Agent,
    layout: &AppLayout,
    manifest: &Manifest,
    restarts: bool,
) -> Result<Option<Problem>, LedgerError> {
    let Some(live) = live::live(layout) else {
        return Ok(None);
    };
    let warm = agent.ledger.warm(&layout.app)?.map(|warm| warm.slot);
    let runs = |slot| live::in_slot(layout, slot).as_ref() == Some(&manifest.version);
    if !restarts && (runs(live.slot) || warm.is_some_and(runs)) {
        return Ok(None);
    }
    let used = |slot| {
        let web = systemd::own_memory(&layout.unit(slot))?;
        let beside = activate::processes::units(layout, slot);
        let beside = beside.iter().filter_map(|unit| systemd::own_memory(unit));
        Some(beside.fold(web, u64::saturating_add))
    };
    let (Some(wanted), Some(free)) = (used(live.slot), free_memory()) else {
        return Ok(None);
    };
    let free = free.saturating_add(warm.and_then(used).unwrap_or_default());
    Ok((free < wanted).then(|| Problem {
        what: format!(
            "the live slot takes {} MiB of memory, and {} MiB are free for a second one",
            wanted >> 20,
            free >> 20
        ),
        next: "lower `workers`, or give the host more memory".to_owned(),
    }))
}

/// Which host runs what is to run on one: two would do the work twice, and none not at all.
fn single(file: &AppFile, here: bool, wanted: Option<bool>) -> Option<Problem> {
    let processes = file.processes.iter();
    let processes = processes
        .filter(|(_, process)| process.single)
        .map(|(name, _)| name);
    let timers = file.timers.iter().filter(|(_, timer)| timer.single);
    let names: Vec<&str> = processes
        .chain(timers.map(|(name, _)| name))
        .map(ProcessName::as_str)
        .collect();
    let wanted = wanted.filter(|wanted| *wanted != here && !names.is_empty())?;
    let which = |here| if here { "this one" } else { "another one" };
    Some(Problem {
        what: format!(
            "{}: on one host of the environment alone, which is {} by the inventory, and {} by this host's own file",
            names.join(", "),
            which(wanted),
            which(here)
        ),
        next: "run `longshore bootstrap` to bring the hosts up to the inventory".to_owned(),
    })
}

/// What only systemd can read.
fn times(file: &AppFile) -> Vec<Problem> {
    let at = file.timers.iter();
    let at = at.filter_map(|(name, timer)| Some((name, timer.at.as_ref()?)));
    at.filter_map(|(name, at)| {
        let said = command::ask("systemd-analyze", &["calendar", at.as_str()]);
        let (fine, said) = said.unwrap_or_else(|error| (false, chain(&error)));
        let first = || said.lines().next().unwrap_or_default().to_owned();
        (!fine).then(|| Problem {
            what: format!("[timer.{name}] `at`: {}", first()),
            next:
                "correct it in longshore.toml: `systemd-analyze calendar` tells what a time means"
                    .to_owned(),
        })
    })
    .collect()
}

/// What the app asks of the kernel, which is the whole host's and not a release's to change.
fn kernel(limits: &Limits, environment: &EnvironmentName) -> Vec<Problem> {
    let short = limits.sysctl.iter().filter_map(|(name, wanted)| {
        let name = name.as_str();
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        let here = fs_err::read_to_string(path).ok();
        let here = here.as_deref().map_or("unknown", str::trim);
        let enough = here.parse::<u64>().is_ok_and(|here| here >= *wanted);
        (!enough).then(|| Problem {
            what: format!("the app needs {name} of at least {wanted}, and it is {here} here"),
            next: format!(
                "in the inventory: [setup] sysctl = {{ \"{name}\" = {wanted} }}, then longshore bootstrap {environment}"
            ),
        })
    });
    short.collect()
}

/// Read from the name that the link ends at, as Debian and its kin have it: no program is run.
fn python() -> Option<String> {
    let path = fs_err::canonicalize("/usr/bin/python3").ok()?;
    let version = path.file_name()?.to_str()?.strip_prefix("python")?;
    Some(version.to_owned())
}

fn free_memory() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// nginx as it stands, and the release's site tested apart; only where it would change.
fn sites(
    layout: &AppLayout,
    manifest: &Manifest,
    front: Option<&Front>,
    settings_follow: bool,
) -> Option<Problem> {
    let front = front?;
    let tested = if site::is_served(layout, manifest, front) {
        site::test_running()
    } else {
        site::test_present().and_then(|_| site::test(layout, manifest, front))
    };
    let error = tested
        .err()
        .filter(|error| !(settings_follow && error.is_of_settings()))?;
    Some(Problem {
        what: chain(&error),
        next: error.next().to_owned(),
    })
}

fn problems_of(trouble: Trouble) -> Vec<Problem> {
    match trouble {
        Trouble::Refused(problems) => problems,
        Trouble::Failed(failed) => vec![Problem {
            what: failed.what,
            next: failed.next,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_told_with_what_to_write() {
        let limits = |text: &str| serde_json::from_str::<Limits>(text).unwrap();
        let staging = EnvironmentName::new("staging").unwrap();
        assert!(kernel(&limits(r#"{"sysctl": {"kernel.pid_max": 100}}"#), &staging).is_empty());
        let wanted = r#"{"sysctl": {"kernel.pid_max": 9999999999, "no.such": 1}}"#;
        let told = kernel(&limits(wanted), &staging);
        assert_eq!(told.len(), 2);
        assert!(
            told[0]
                .what
                .contains("kernel.pid_max of at least 9999999999")
        );
        assert!(told[1].what.contains("unknown here"));
        assert!(told[0].next.contains("bootstrap staging"), "{told:?}");
    }
}
