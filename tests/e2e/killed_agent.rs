//! `kill -9` of the agent at each step that it writes down: old or new, whole, no request lost, and
//! the next deployment works.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use longshore_lab::controller::Answer;
use longshore_lab::load::Connections;
use longshore_lab::sample::{Behaviour, Repository, Sample};

use crate::ambush::{Ambush, agent};
use crate::answers::{ended, live};
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "killed_agent::at_each_recorded_step_of_a_deployment",
        tell: at_each_recorded_step,
    },
    Story {
        name: "killed_agent::at_each_recorded_step_of_a_warm_rollback",
        tell: at_each_step_of_a_rollback,
    },
];

const TINY: Sample = Sample::Tiny;
/// What a deployment goes through; each has to have been hit.
const STEPS: [&str; 11] = [
    "receive", "unpack", "prepare", "ready", "migrate", "slot", "start", "health", "site", "links",
    "settle",
];
/// Far more than a deployment writes: a story that never ends would hide that it does not.
const MOST_WRITES: usize = 60;
/// What a warm rollback writes at the very least: a watch that sees nothing proves nothing.
const LEAST_WRITES: usize = 6;

fn at_each_recorded_step() -> Told {
    let lease = lease(1)?;
    let repository = lease.repository(TINY)?;
    // A cooldown that ended just then would write too, and be counted.
    repository.change_app_file(|text| text.replace("cooldown = \"3s\"", "cooldown = \"10m\""))?;
    let first = release(&lease, &repository, 0)?;
    ended(&lease.deploy(TINY, &first)?, 0);
    let mut load = lease.load(TINY);
    load.rate = Some(100.0);
    // nginx itself drops kept connections when its configuration changes, as it does here.
    load.connections = Connections::Fresh;
    let load = load.start();

    let mut hit = BTreeSet::new();
    let mut old = String::from("1.0.0");
    for at in 1.. {
        assert!(at < MOST_WRITES, "a deployment never ran through unharmed");
        let minor = 2 * at - 1;
        let tarball = release(&lease, &repository, minor)?;
        let ambush = Ambush::lay(&lease.hosts[0], at)?;
        let answer = lease.deploy(TINY, &tarball)?;
        let writes = ambush.end()?;
        let new = format!("1.{minor}.0");
        whole(
            &lease,
            &answer,
            &old,
            &new,
            &format!("killed at write {at}"),
        )?;
        if writes < at {
            ended(&answer, 0);
            break;
        }
        hit.insert(last_step(&lease, &new)?);
        let next = release(&lease, &repository, minor + 1)?;
        ended(&lease.deploy(TINY, &next)?, 0);
        old = format!("1.{}.0", minor + 1);
    }
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    for step in STEPS {
        assert!(
            hit.contains(step),
            "never killed in {step:?}, only in {hit:?}"
        );
    }
    Ok(())
}

fn at_each_step_of_a_rollback() -> Told {
    let lease = lease(1)?;
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| text.replace("cooldown = \"3s\"", "cooldown = \"10m\""))?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &first)?, 0);
    let mut load = lease.load(TINY);
    load.rate = Some(100.0);
    let load = load.start();
    let controller = lease.controller(TINY);
    for at in 1.. {
        assert!(at < MOST_WRITES, "a rollback never ran through unharmed");
        ended(&lease.deploy(TINY, &second)?, 0);
        let ambush = Ambush::lay(&lease.hosts[0], at)?;
        let answer = controller.run(&["rollback", "demo", "1.0.0"])?;
        let writes = ambush.end()?;
        whole(
            &lease,
            &answer,
            "1.1.0",
            "1.0.0",
            &format!("killed at write {at}"),
        )?;
        if writes < at {
            ended(&answer, 0);
            assert!(at > LEAST_WRITES, "only {writes} durable writes were seen");
            break;
        }
    }
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    Ok(())
}

/// A release whose site differs from the one before it, so that a deployment has every step.
fn release(
    lease: &Lease,
    repository: &Repository,
    minor: usize,
) -> Result<String, Box<dyn std::error::Error>> {
    repository.change_app_file(|text| {
        let kept = text.lines().filter(|line| {
            !line.starts_with("max_upload")
                && !line.starts_with("[migrate]")
                && !line.contains("true #")
        });
        let text: String = kept.map(|line| format!("{line}\n")).collect();
        let text = text.replace(
            "[web]\n",
            &format!("[web]\nmax_upload = \"{}m\"\n", minor + 1),
        );
        format!("{text}[migrate]\nrun = [\"true # {minor}\"]\n")
    })?;
    lease.release(repository, &format!("1.{minor}.0"), &Behaviour::Good)
}

/// Waits until the agent is back, then: one of the two releases serves, all links agree, and the
/// controller claimed nothing that is not so.
fn whole(lease: &Lease, answer: &Answer, old: &str, new: &str, when: &str) -> Told {
    let host = &lease.hosts[0];
    agent(host)?;
    let deadline = Instant::now() + Duration::from_secs(120);
    let version = loop {
        let status = lease.controller(TINY).run(&["status", "demo"])?;
        if let [version] = live(&status, "tiny").as_slice() {
            break version.clone();
        }
        assert!(
            Instant::now() < deadline,
            "{when}: no status: {}",
            status.all()
        );
        thread::sleep(Duration::from_millis(100));
    };
    let said = answer.all();
    assert!(
        [old, new].contains(&version.as_str()),
        "{when}: {version} serves: {said}"
    );
    assert!(
        answer.code != Some(1) || version == old,
        "{when}: said to be as before, and is not: {said}"
    );
    assert!(
        answer.code != Some(0) || version == new,
        "{when}: claimed, not done: {said}"
    );
    let links = host.sh("cd /srv/longshore/tiny && slot=$(readlink slots/live) && \
         basename $(readlink slots/$slot) && basename $(readlink current) && \
         test $(readlink /run/longshore/tiny/live.sock) = $slot.sock && \
         test $(ls staging | grep -v trash | wc -l) -le 2")?;
    assert_eq!(links, format!("{version}\n{version}\n"), "{when}: {said}");
    Ok(())
}

/// The step that the operation on a release that was killed was in; one that was taken back may have
/// been done again since.
fn last_step(lease: &Lease, version: &str) -> Result<String, Box<dyn std::error::Error>> {
    let query = format!(
        "SELECT step FROM steps JOIN operations ON id = operation WHERE version = '{version}' ORDER BY outcome = 'taken back' DESC, steps.rowid DESC LIMIT 1"
    );
    let found = lease.hosts[0].sh(&format!("sqlite3 /var/lib/longshore/ledger.db \"{query}\""))?;
    Ok(found.trim().to_owned())
}
