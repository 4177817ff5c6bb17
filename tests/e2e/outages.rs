//! Hosts that are down, cables that are cut, machines that reboot.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use longshore_lab::host::Host;
use longshore_lab::load::Load;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, live, outcomes};
use crate::stage::{Lease, lease};
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
        name: "outages::an_interrupted_deployment_is_undone_and_says_so",
        tell: interrupted,
    },
    Story {
        name: "outages::two_at_once_and_one_of_them_is_told_who_has_the_lock",
        tell: two_at_once,
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

/// Pulls the cable in the middle of a step; only the host itself knows how it ends.
fn ssh_is_cut() -> Told {
    for (step, serves) in [("prepare", "1.0.0"), ("health", "1.1.0")] {
        let lease = lease(1)?;
        let tiny = Sample::Tiny;
        let repository = lease.repository(tiny)?;
        let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
        ended(&lease.deploy(tiny, &first)?, 0);
        // Slow enough to be cut in the middle.
        repository
            .change_app_file(|text| format!("{text}\n[[prepare]]\nrun = [\"sleep 15\"]\n"))?;
        let server = repository.folder().join("serve.py");
        let code = fs_err::read_to_string(&server)?;
        fs_err::write(
            &server,
            code.replace("\nmain()", "\nimport time\ntime.sleep(3)\nmain()"),
        )?;
        let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
        let controller = lease.controller(tiny);
        let mut command = controller.command(&["deploy", "demo", "--release", &second, "--json"]);
        let mut deploy = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let host = &lease.hosts[0];
        wait_for_step(host, step)?;
        lease.plug(host, false)?;
        deploy.kill()?;
        deploy.wait()?;
        let running = "sqlite3 /var/lib/longshore/ledger.db \
                       \"SELECT count(*) FROM operations WHERE outcome = 'running'\"";
        let deadline = Instant::now() + Duration::from_secs(60);
        while host.sh(running)?.trim() != "0" {
            assert!(Instant::now() < deadline, "{step}: it never ended");
            thread::sleep(Duration::from_millis(100));
        }
        lease.plug(host, true)?;
        let status = controller.run(&["status", "demo"])?;
        ended(&status, 0);
        assert_eq!(live(&status, "tiny"), [serves], "{step}: {}", status.all());
        assert!(
            status.all().contains("\"outcome\":\"done\""),
            "{}",
            status.all()
        );
        // The lock goes with the line, as soon as the host hears that it is dead.
        let deadline = Instant::now() + Duration::from_secs(180);
        let answer = loop {
            let answer = lease.deploy(tiny, &second)?;
            if answer.code != Some(4) || Instant::now() > deadline {
                break answer;
            }
            thread::sleep(Duration::from_millis(500));
        };
        ended(&answer, 0);
    }
    Ok(())
}

/// Waits until the ledger has this step as the last one of all.
fn wait_for_step(host: &Host, step: &str) -> Told {
    let query =
        "sqlite3 /var/lib/longshore/ledger.db 'SELECT step FROM steps ORDER BY rowid DESC LIMIT 1'";
    let deadline = Instant::now() + Duration::from_secs(60);
    while host.sh(query)?.trim() != step {
        assert!(Instant::now() < deadline, "the step {step} never came");
        thread::sleep(Duration::from_millis(30));
    }
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

/// Ctrl-C while the new release is waited for, or a runner that cancels: the old one serves, and nothing
/// is left running.
fn interrupted() -> Told {
    let lease = lease(2)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let hangs = lease.release(&repository, "1.1.0", &Behaviour::NeverAnswers)?;
    let third = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &first)?, 0);
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        interrupted_by(signal, &lease, &hangs)?;
    }
    // The lock is free again.
    ended(&lease.deploy(tiny, &third)?, 0);
    Ok(())
}

fn interrupted_by(signal: rustix::process::Signal, lease: &Lease, hangs: &str) -> Told {
    let tiny = Sample::Tiny;
    let mut command =
        lease
            .controller(tiny)
            .command(&["deploy", "demo", "--release", hangs, "--json"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let deploy = command.spawn()?;
    let host = &lease.hosts[0];
    let deadline = Instant::now() + Duration::from_secs(30);
    while host
        .sh("systemctl is-active longshore-tiny@green || true")?
        .trim()
        != "active"
    {
        assert!(Instant::now() < deadline, "the new slot was never started");
        thread::sleep(Duration::from_millis(50));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&deploy), signal)?;
    let answer = longshore_lab::controller::answer(&deploy.wait_with_output()?);
    ended(&answer, 130);
    for host in &lease.hosts {
        let slots =
            host.sh("systemctl is-active longshore-tiny@blue longshore-tiny@green || true")?;
        let slots: Vec<&str> = slots.lines().collect();
        assert!(
            slots.first() == Some(&"active") && slots.get(1) != Some(&"active"),
            "{slots:?}"
        );
    }
    let status = lease.controller(tiny).run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"; 2], "{}", status.all());
    Ok(())
}

fn two_at_once() -> Told {
    let lease = lease(2)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    repository.change_app_file(|text| format!("{text}\n[[prepare]]\nrun = [\"sleep 20\"]\n"))?;
    let slow = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| lease.deploy(tiny, &slow).map_err(|error| error.to_string()));
        let begun = wait_for_step(&lease.hosts[1], "prepare").map_err(|error| error.to_string());
        let other = begun.and_then(|()| lease.deploy(tiny, &second).map_err(|e| e.to_string()));
        let one = one
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (one, other)
    });
    ended(&one?, 0);
    let other = other?;
    ended(&other, 4);
    assert!(other.all().contains("deploy by ops1"), "{}", other.all());
    let status = lease.controller(tiny).run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"; 2], "{}", status.all());
    ended(&lease.deploy(tiny, &second)?, 0);
    Ok(())
}
