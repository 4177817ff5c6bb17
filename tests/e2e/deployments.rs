//! The main job: deploy, deploy again, a broken release, roll back, ask how things stand.

use std::thread;
use std::time::Duration;

use longshore_lab::load::Connections;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, kinds, live};
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "deployments::the_demo_drops_no_request",
        tell: the_demo_drops_no_request,
    },
    Story {
        name: "deployments::ten_and_ten_back_with_kept_connections",
        tell: || ten_and_ten_back(Connections::Kept),
    },
    Story {
        name: "deployments::ten_and_ten_back_with_fresh_connections",
        tell: || ten_and_ten_back(Connections::Fresh),
    },
    Story {
        name: "deployments::what_was_staged_is_only_switched_to",
        tell: staged_first,
    },
];

fn staged_first() -> Told {
    let lease = lease(2)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let controller = lease.controller(tiny);
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let answer = lease.deploy(tiny, &first)?;
    ended(&answer, 0);
    assert!(answer.stdout.contains("\"unpack\""), "{}", answer.all());
    let answer = controller.run(&["stage", "demo", "--release", &second])?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["staged"; 2], "{}", answer.all());
    let status = controller.run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"; 2], "{}", status.all());
    for host in &lease.hosts {
        host.sh("test -d /srv/longshore/tiny/releases/1.1.0")?;
    }
    // Nothing is unpacked again.
    let answer = lease.deploy(tiny, &second)?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["switched"; 2], "{}", answer.all());
    assert!(!answer.stdout.contains("\"unpack\""), "{}", answer.all());
    Ok(())
}

fn the_demo_drops_no_request() -> Told {
    let lease = lease(3)?;
    let cortico = Sample::Cortico;
    let repository = lease.repository(cortico)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let broken = lease.release(&repository, "1.2.0", &Behaviour::Answers500)?;

    let answer = lease.deploy(cortico, &first)?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["switched"; 3], "{}", answer.all());

    let mut load = lease.load(cortico);
    load.rate = Some(50.0);
    let load = load.start();
    thread::sleep(Duration::from_secs(1));

    ended(&lease.deploy(cortico, &second)?, 0);
    ended(&lease.deploy(cortico, &broken)?, 1);
    let controller = lease.controller(cortico);
    ended(&controller.run(&["rollback", "demo"])?, 0);
    let status = controller.run(&["status", "demo"])?;
    ended(&status, 0);
    assert_eq!(live(&status, "cortico"), ["1.0.0"; 3], "{}", status.all());

    thread::sleep(Duration::from_secs(1));
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    let seen: Vec<&str> = outcome.versions.keys().map(String::as_str).collect();
    assert_eq!(seen, ["1.0.0", "1.1.0"], "{outcome}");
    Ok(())
}

/// Ten deployments and ten rollbacks, and at least this many requests meanwhile.
const REQUESTS: u64 = 20_000;

fn ten_and_ten_back(connections: Connections) -> Told {
    let lease = lease(1)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let controller = lease.controller(tiny);
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &first)?, 0);

    let mut load = lease.load(tiny);
    load.connections = connections;
    load.workers = 8;
    // As fast as can be would starve the stories beside this one.
    load.rate = Some(400.0);
    let load = load.start();
    for minor in 1..=10 {
        let version = format!("1.{minor}.0");
        let release = lease.release(&repository, &version, &Behaviour::Good)?;
        ended(&lease.deploy(tiny, &release)?, 0);
        ended(&controller.run(&["rollback", "demo"])?, 0);
    }
    while load.sent() < REQUESTS {
        thread::sleep(Duration::from_millis(50));
    }
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    assert_eq!(
        outcome.versions.len(),
        11,
        "each release has served: {outcome}"
    );
    Ok(())
}
