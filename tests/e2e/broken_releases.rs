//! Releases that cannot serve: the old one serves throughout, and the answer says what was wrong.

use std::thread;
use std::time::Duration;

use longshore_lab::host::Host;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, kinds, live};
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "broken_releases::one_that_exits_at_import",
        tell: || old_serves_throughout(&Behaviour::ExitsAtImport, "on purpose"),
    },
    Story {
        name: "broken_releases::one_that_never_answers",
        tell: || old_serves_throughout(&Behaviour::NeverAnswers, "/healthz: no whole answer came"),
    },
    Story {
        name: "broken_releases::one_that_answers_500",
        tell: || {
            old_serves_throughout(
                &Behaviour::Answers500,
                "/healthz answers 500: broken on purpose",
            )
        },
    },
    Story {
        name: "broken_releases::one_that_answers_with_the_old_version",
        tell: || {
            old_serves_throughout(
                &Behaviour::ClaimsVersion(String::from("1.0.0")),
                "says version",
            )
        },
    },
    Story {
        name: "broken_releases::the_first_of_all_leaves_no_site",
        tell: the_first_of_all_leaves_no_site,
    },
    Story {
        name: "broken_releases::one_that_fails_on_one_host_leaves_all_as_they_were",
        tell: on_one_host,
    },
];

/// On this host alone the second slot does not come up unless the shell says so.
pub(crate) fn green_starts_only_if(host: &Host, condition: &str) -> Told {
    starts_only_if(host, "green", condition)
}

pub(crate) fn starts_only_if(host: &Host, slot: &str, condition: &str) -> Told {
    host.sh(&format!(
        "mkdir -p /etc/systemd/system/longshore-tiny@{slot}.service.d && \
         printf '[Service]\\nExecStartPre=/bin/sh -c \"{condition}\"\\n' \
         > /etc/systemd/system/longshore-tiny@{slot}.service.d/x.conf && systemctl daemon-reload"
    ))?;
    Ok(())
}

/// What did switch is sent back by the same person, who may do nothing but deploy.
fn on_one_host() -> Told {
    let lease = lease(2)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let good = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let next = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &good)?, 0);
    green_starts_only_if(&lease.hosts[1], "false")?;
    let mut load = lease.load(tiny);
    load.rate = Some(50.0);
    let load = load.start();
    let answer = lease.deploy(tiny, &next)?;
    ended(&answer, 1);
    assert_eq!(kinds(&answer), ["reverted", "failed"], "{}", answer.all());
    let status = lease.controller(tiny).run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"; 2], "{}", status.all());
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    Ok(())
}

/// `told` is what the answer must say of the reason.
fn old_serves_throughout(behaviour: &Behaviour, told: &str) -> Told {
    let lease = lease(1)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let good = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let broken = lease.release(&repository, "1.1.0", behaviour)?;
    let better = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &good)?, 0);

    let mut load = lease.load(tiny);
    load.rate = Some(100.0);
    let load = load.start();
    let answer = lease.deploy(tiny, &broken)?;
    ended(&answer, 1);
    assert!(
        answer.all().contains(told),
        "the reason is not told: {}",
        answer.all()
    );
    let again = lease.deploy(tiny, &broken)?;
    ended(&again, 1);
    assert!(
        !again.all().contains("Stopping longshore-tiny"),
        "the log of what ran in the slot before is told too: {}",
        again.all()
    );
    thread::sleep(Duration::from_millis(500));
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    let seen: Vec<&str> = outcome.versions.keys().map(String::as_str).collect();
    assert_eq!(seen, ["1.0.0"], "{outcome}");

    let status = lease.controller(tiny).run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"], "{}", status.all());
    ended(&lease.deploy(tiny, &better)?, 0);
    Ok(())
}

fn the_first_of_all_leaves_no_site() -> Told {
    let lease = lease(1)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let broken = lease.release(&repository, "1.0.0", &Behaviour::Answers500)?;
    let answer = lease.deploy(tiny, &broken)?;
    ended(&answer, 1);
    assert!(
        !kinds(&answer).contains(&String::from("switched")),
        "{}",
        answer.all()
    );
    let host = &lease.hosts[0];
    host.sh("test ! -e /srv/longshore/tiny/current && ! nginx -T 2>/dev/null | grep tiny.test")?;
    Ok(())
}
