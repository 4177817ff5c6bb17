//! The main job: deploy, deploy again, a broken release, roll back, ask how things stand.

use std::thread;
use std::time::Duration;

use longshore_lab::sample::{Behaviour, Sample};
use serde_json::Value;

use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "deployments::the_demo_drops_no_request",
    tell: the_demo_drops_no_request,
}];

fn the_demo_drops_no_request() -> Told {
    let lease = lease(3)?;
    let cortico = Sample::Cortico;
    let repository = lease.repository(cortico)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let broken = lease.release(&repository, "1.2.0", &Behaviour::Answers500)?;

    let answer = lease.deploy(cortico, &first)?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert_eq!(
        outcomes(answer.result()),
        ["switched"; 3],
        "{}",
        answer.all()
    );

    let mut load = lease.load(cortico);
    load.rate = Some(50.0);
    let load = load.start();
    thread::sleep(Duration::from_secs(1));

    let answer = lease.deploy(cortico, &second)?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    let answer = lease.deploy(cortico, &broken)?;
    assert_eq!(answer.code, Some(1), "{}", answer.all());
    let controller = lease.controller(cortico);
    let answer = controller.run(&["rollback", "demo"])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    let answer = controller.run(&["status", "demo"])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());

    thread::sleep(Duration::from_secs(1));
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    let seen: Vec<&str> = outcome.versions.keys().map(String::as_str).collect();
    assert_eq!(seen, ["1.0.0", "1.1.0"], "{outcome}");
    Ok(())
}

fn outcomes(result: Option<&Value>) -> Vec<&str> {
    result
        .and_then(|result| result["hosts"].as_array())
        .map(|hosts| {
            hosts
                .iter()
                .filter_map(|host| host["outcome"].as_str())
                .collect()
        })
        .unwrap_or_default()
}
