//! The agent itself: small, alone, asleep when there is nothing to do; and what it can do on the
//! host without any controller.

use std::thread;
use std::time::Duration;

use longshore_lab::sample::{Behaviour, Sample};

use crate::ambush;
use crate::answers::ended;
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "agent::is_small_and_sleeps",
        tell: is_small_and_sleeps,
    },
    Story {
        name: "agent::can_be_asked_on_the_host_itself",
        tell: can_be_asked_on_the_host,
    },
    Story {
        name: "agent::keeps_old_releases_in_bounds_and_their_assets_in_reach",
        tell: keeps_old_releases,
    },
];

const TINY: Sample = Sample::Tiny;
const MEBIBYTE: u64 = 1024 * 1024;

fn is_small_and_sleeps() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let binary = "$(readlink -f /usr/local/bin/longshore-agent)";
    let size: u64 = host.sh(&format!("stat -c %s {binary}"))?.trim().parse()?;
    assert!(size <= 8 * MEBIBYTE, "the agent has {size} bytes");
    // It needs no file of its host: no libc, no loader, no locale.
    let version = host.sh(&format!(
        "mkdir /root/empty && cp {binary} /root/empty/agent && chroot /root/empty /agent version"
    ))?;
    assert!(version.starts_with("longshore-agent "), "{version}");

    let repository = lease.repository(TINY)?;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let release = lease.release(&repository, version, &Behaviour::Good)?;
        ended(&lease.deploy(TINY, &release)?, 0);
    }
    let agent = ambush::agent(host)?.as_raw_nonzero();
    // Its threads that wait for the cooldown to end are gone by then.
    thread::sleep(Duration::from_secs(5));
    let status = std::fs::read_to_string(format!("/proc/{agent}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident: u64 = resident
        .unwrap_or_default()
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    assert!(
        resident * 1024 <= 15 * MEBIBYTE,
        "{resident} KiB are resident"
    );
    let wakeups = || -> Result<u64, Box<dyn std::error::Error>> {
        let mut all = 0;
        for task in std::fs::read_dir(format!("/proc/{agent}/task"))? {
            let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            let switches = status
                .lines()
                .filter(|line| line.contains("ctxt_switches:"));
            all += switches
                .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
                .sum::<u64>();
        }
        Ok(all)
    };
    // What ends a connection may still be under way; then it sleeps, or it never does.
    let mut asleep = false;
    for _ in 0..5 {
        let before = wakeups()?;
        thread::sleep(Duration::from_secs(3));
        asleep = wakeups()? == before;
        if asleep {
            break;
        }
    }
    assert!(asleep, "an idle agent goes on waking up");
    let before = wakeups()?;
    // The count is one that moves when the agent does something.
    ended(&lease.controller(TINY).run(&["status", "demo"])?, 0);
    assert!(wakeups()? > before);
    Ok(())
}

fn can_be_asked_on_the_host() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    for version in ["1.0.0", "1.1.0"] {
        let release = lease.release(&repository, version, &Behaviour::Good)?;
        ended(&lease.deploy(TINY, &release)?, 0);
    }
    let status = host.sh("longshore-agent status")?;
    assert!(
        status.contains("tiny: 1.1.0 in slot green, healthy"),
        "{status}"
    );
    let logs = host.sh("longshore-agent logs tiny")?;
    assert!(logs.contains("tiny serves"), "{logs}");
    host.sh("longshore-agent rollback tiny")?;
    let status = host.sh("longshore-agent status")?;
    assert!(
        status.contains("tiny: 1.0.0 in slot blue, healthy"),
        "{status}"
    );
    let history = host.sh("longshore-agent history")?;
    for words in ["rollback", "root", "deploy", "ops1", "stage"] {
        assert!(history.contains(words), "{words}: {history}");
    }
    // What is live can be read even when no agent runs.
    host.sh("systemctl stop longshore-agent")?;
    let status = host.sh("longshore-agent status")?;
    assert!(status.contains("tiny: 1.0.0"), "{status}");
    let refused = host.exec(&["longshore-agent", "rollback", "tiny"])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("systemctl start longshore-agent"), "{said}");
    assert_eq!(refused.status.code(), Some(1));
    Ok(())
}

fn keeps_old_releases() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| {
        let text = text.replace("name = \"tiny\"\n", "name = \"tiny\"\nkeep_releases = 3\n");
        format!("{text}\n[static]\n\"/static/\" = \"assets/\"\n")
    })?;
    let asset = |version: &str| {
        let domain = TINY.domain();
        host.sh(&format!(
            "curl -sf -H 'Host: {domain}' http://127.0.0.1/static/{version}.css"
        ))
    };
    for minor in 0..6 {
        let version = format!("1.{minor}.0");
        let assets = repository.folder().join("assets");
        let _first_time = fs_err::remove_dir_all(&assets);
        fs_err::create_dir_all(&assets)?;
        fs_err::write(assets.join(format!("{version}.css")), &version)?;
        let release = lease.release(&repository, &version, &Behaviour::Good)?;
        ended(&lease.deploy(TINY, &release)?, 0);
        assert_eq!(asset(&version)?, version);
        if minor > 0 {
            // A page from before the switch asks for the assets of its own release.
            let before = format!("1.{}.0", minor - 1);
            assert_eq!(asset(&before)?, before);
        }
    }
    let kept = host.sh("ls /srv/longshore/tiny/releases")?;
    assert_eq!(kept, "1.3.0\n1.4.0\n1.5.0\n");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !host.sh("ls -A /srv/longshore/tiny/staging")?.is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "deleted releases are still there"
        );
        thread::sleep(Duration::from_millis(100));
    }
    // The app's own user reads its release and can change nothing of it.
    let refused = host.exec(&[
        "su",
        "-s",
        "/bin/sh",
        "app-tiny",
        "-c",
        "echo x > /srv/longshore/tiny/current/app.py",
    ])?;
    assert!(!refused.status.success());
    Ok(())
}
