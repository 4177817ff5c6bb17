//! Bootstrap when things are not as they should be: one clear message, and the host stays usable.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use longshore_lab::base::Suite;
use longshore_lab::host::Host;
use longshore_lab::provision::{Bare, Login};

use crate::answers::{ended, kinds};
use crate::bare::{Fleet, nothing_to_do, run};
use crate::stage::{ENVIRONMENT, Lease, lease_bare};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "bootstrap_faults::each_has_one_clear_message",
        tell: clear_messages,
    },
    Story {
        name: "bootstrap_faults::killed_at_twenty_moments_the_next_run_finishes",
        tell: killed_at_twenty_moments,
    },
];

const ROOT: Bare = Bare {
    suite: Suite::Bookworm,
    login: Login::Root,
};

fn clear_messages() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    let mut fleet = Fleet::new(&lease);
    fleet.write()?;
    let fails = |fleet: &Fleet<'_>, words: &[&str], code: i32, kind: &str, told: &[&str]| -> Told {
        fleet.write()?;
        let answer = fleet.bootstrap(words)?;
        ended(&answer, code);
        assert_eq!(kinds(&answer), [kind], "{}", answer.all());
        for told in told {
            assert!(answer.all().contains(told), "{told}: {}", answer.all());
        }
        Ok(())
    };
    fails(
        &fleet,
        &["--login", "nobody-here"],
        4,
        "refused",
        &["was not let in"],
    )?;
    host.sh("useradd --create-home plain && cp -r /root/.ssh /home/plain/ && chown -R plain: /home/plain")?;
    let told = ["plain can log in, and may not become root", "--login"];
    fails(&fleet, &["--login", "plain"], 4, "refused", &told)?;
    host.sh("echo 'plain ALL=(ALL) ALL' > /etc/sudoers.d/plain && echo plain:secret | chpasswd")?;
    let told = ["sudo asks plain for a password", "run it at a terminal"];
    fails(&fleet, &["--login", "plain"], 4, "refused", &told)?;

    // A name that is taken.
    host.sh("useradd ops1")?;
    let told = [
        "an account ops1 here that Longshore did not make",
        "adopt = true",
    ];
    fails(&fleet, &[], 4, "refused", &told)?;
    fleet.people = "[people.games]\ngroups = []\n".to_owned();
    host.sh("userdel ops1")?;
    fails(
        &fleet,
        &[],
        4,
        "refused",
        &["games is an account of the system"],
    )?;
    fleet.people.clear();

    // The host is not the one whose key is pinned.
    fleet.write()?;
    let other = longshore_lab::keys::Key::generate(&lease.folder().join("other"), "x")?;
    let text = fs_err::read_to_string(lease.inventory())?;
    let line = format!("roles = [\"web\"]\nhost_key = \"{}\"\n", other.pinned());
    fs_err::write(
        lease.inventory(),
        text.replace("roles = [\"web\"]\n", &line),
    )?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 4);
    assert!(
        answer.all().contains("is not the pinned one"),
        "{}",
        answer.all()
    );
    // A key that cannot be read is told before anything is connected.
    fleet.people = "[people.x]\nkeys = [\"ssh-ed25519 AAAA\"]\n".to_owned();
    fleet.write()?;
    let answer = fleet.bootstrap(&[])?;
    assert_eq!(answer.code, Some(2), "{}", answer.all());
    fleet.people.clear();

    // Packages that cannot be had, and a disk that is full.
    host.sh("cp /etc/apt/sources.list /root/ && echo 'deb http://127.0.0.1:9/debian bookworm main' > /etc/apt/sources.list")?;
    fails(
        &fleet,
        &[],
        1,
        "failed",
        &["apt-get", "reaches its package mirrors"],
    )?;
    host.sh("cp /root/sources.list /etc/apt/ && mount -t tmpfs -o size=64k none /var/cache/apt/archives && mkdir /var/cache/apt/archives/partial")?;
    fails(&fleet, &[], 1, "failed", &["apt-get install", "space"])?;
    host.sh("umount /var/cache/apt/archives && systemctl is-active ssh")?;

    // Another apt at work is waited for. It locks with fcntl, as `flock` does not.
    host.sh(
        r#"cat > /root/other-apt <<'END'
use Fcntl;
open(my $lock, '>>', '/var/lib/dpkg/lock-frontend') or die;
my $whole = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);
fcntl($lock, F_SETLK, $whole) or die;
sleep 1000;
END
systemd-run --quiet --unit=other-apt perl /root/other-apt; sleep 0.5; systemctl is-active other-apt"#,
    )?;
    let waiting = thread::scope(|scope| {
        let run = scope.spawn(|| fleet.bootstrap(&[]).map_err(|error| error.to_string()));
        thread::sleep(Duration::from_secs(4));
        let freed = host.sh("systemctl stop other-apt");
        let answer = run
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        freed.map(|_| answer)
    })??;
    ended(&waiting, 0);
    assert!(
        waiting
            .all()
            .contains("another apt is at work on this host: waiting"),
        "{}",
        waiting.all()
    );
    nothing_to_do(&fleet.bootstrap(&[])?);
    Ok(())
}

/// Where on its way a bare host is stopped: five moments on each of four hosts.
const KILLS: u64 = 5;

fn killed_at_twenty_moments() -> Told {
    let lease = lease_bare(4, ROOT)?;
    let mut fleet = Fleet::new(&lease);
    // Each host has a run of its own.
    fleet.setup = "clock_sync = true\n".to_owned();
    fleet.write()?;
    thread::scope(|scope| {
        let runs: Vec<_> = lease
            .hosts
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let (lease, fleet) = (&lease, &fleet);
                scope.spawn(move || {
                    kill_often(lease, fleet, host, at as u64).map_err(|e| e.to_string())
                })
            })
            .collect();
        for run in runs {
            run.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 0);
    nothing_to_do(&fleet.bootstrap(&[])?);
    for host in &lease.hosts {
        run(host, &["longshore-agent", "nginx", "ssh"])?;
        host.sh("test -z \"$(dpkg --audit)\" && sudo -u ops1 sudo -n true")?;
    }
    Ok(())
}

fn kill_often(lease: &Lease, fleet: &Fleet<'_>, host: &Host, seed: u64) -> Told {
    // Spread over a whole run, differently on each host; the same in every run of the story.
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed;
    let mut killed = 0;
    while killed < KILLS {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_millis(300 + (state >> 33) % 9_000);
        let mut command = fleet.command(&["--on", &host.name])?;
        let mut run = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let until = Instant::now() + after;
        while Instant::now() < until && run.try_wait()?.is_none() {
            thread::sleep(Duration::from_millis(20));
        }
        if run.try_wait()?.is_some() {
            // It came to its end: there is nothing left to be stopped in, so all begins anew.
            lease.renew_bare(host, ROOT)?;
            continue;
        }
        run.kill()?;
        run.wait()?;
        host.exec(&["pkill", "-KILL", "-f", "longshore-agent setup"])?;
        killed += 1;
        let state = host.sh("systemctl is-active ssh")?;
        assert_eq!(state.trim(), "active", "{ENVIRONMENT} {}", host.name);
    }
    Ok(())
}
