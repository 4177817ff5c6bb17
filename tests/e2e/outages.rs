//! Hosts that are down, cables that are cut, machines that reboot.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use longshore_lab::load::Load;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, live, outcomes};
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "outages::a_host_that_is_down_stops_a_rollout_unless_skipped",
        tell: a_host_that_is_down,
    },
    Story {
        name: "outages::a_deployment_ends_by_itself_when_ssh_is_cut",
        tell: ssh_is_cut,
    },
    Story {
        name: "outages::a_rebooted_host_serves_without_the_agent",
        tell: a_rebooted_host_serves,
    },
];

fn a_host_that_is_down() -> Told {
    let lease = lease(3)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &first)?, 0);

    let dead = lease.hosts[1].name.clone();
    lease.hosts[1].power_off()?;
    let answer = lease.deploy(tiny, &second)?;
    ended(&answer, 1);
    let said = outcomes(&answer);
    assert_eq!(said.len(), 3, "every host is named: {}", answer.all());
    for (host, outcome) in &said {
        assert_eq!(host == &dead, outcome == "unreachable", "{}", answer.all());
        assert_ne!(outcome, "switched", "{}", answer.all());
    }
    let controller = lease.controller(tiny);
    let status = controller.run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"; 2], "{}", status.all());

    let words = ["deploy", "demo", "--release", &second, "--skip-offline"];
    let answer = controller.run(&words)?;
    ended(&answer, 0);
    for (host, outcome) in outcomes(&answer) {
        let wanted = if host == dead { "skipped" } else { "switched" };
        assert_eq!(outcome, wanted, "{}", answer.all());
    }
    Ok(())
}

fn ssh_is_cut() -> Told {
    let lease = lease(1)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    // Slow enough to be cut in the middle.
    repository.change_app_file(|text| format!("{text}\n[[prepare]]\nrun = [\"sleep 3\"]\n"))?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &first)?, 0);

    let controller = lease.controller(tiny);
    let mut command = controller.command(&["deploy", "demo", "--release", &second, "--json"]);
    let mut deploy = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    thread::sleep(Duration::from_millis(1500));
    deploy.kill()?;
    deploy.wait()?;

    // It ends by itself, one way or the other, and the next deployment works.
    let deadline = Instant::now() + Duration::from_secs(60);
    let answer = loop {
        let answer = lease.deploy(tiny, &second)?;
        if answer.code != Some(4) || Instant::now() > deadline {
            break answer;
        }
        thread::sleep(Duration::from_millis(500));
    };
    ended(&answer, 0);
    let status = controller.run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.1.0"], "{}", status.all());
    Ok(())
}

fn a_rebooted_host_serves() -> Told {
    let lease = lease(1)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &first)?, 0);

    let host = &lease.hosts[0];
    host.sh("systemctl mask longshore-agent")?;
    host.reboot()?;
    let mut load: Load = lease.load(tiny);
    load.most_requests = Some(200);
    let outcome = load.run();
    assert_eq!(
        (outcome.failed, outcome.versions.get("1.0.0")),
        (0, Some(&200)),
        "{outcome}"
    );
    Ok(())
}
