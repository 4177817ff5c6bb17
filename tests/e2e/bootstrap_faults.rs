//! Bootstrap when things are not as they should be: one clear message, and the host stays usable.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use longshore_lab::base::Suite;
use longshore_lab::host::Host;
use longshore_lab::provision::{Bare, Login};

use crate::answers::{ended, kinds};
use crate::bare::{Fleet, changes, nothing_to_do, planned, run};
use crate::logins::gets_in;
use crate::patience::until;
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
        // It begins, is refused, and tries again after a while.
        let tries = || {
            Ok(host
                .exec(&["pgrep", "-f", "apt-get.* install"])?
                .status
                .success())
        };
        let refused = until("apt-get is begun", 120, tries)
            .and_then(|_| until("apt-get is refused", 60, || Ok(!tries()?)))
            .map_err(|error| error.to_string());
        let freed = host.sh("systemctl stop other-apt");
        let answer = run
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        refused?;
        freed.map_err(|error| error.to_string())?;
        answer
    })?;
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
const KILLS: usize = 5;
const MOMENTS: usize = 20;

fn killed_at_twenty_moments() -> Told {
    let lease = lease_bare(4, ROOT)?;
    let mut fleet = Fleet::new(&lease);
    fleet.setup = "clock_sync = true\n".to_owned();
    fleet.write()?;
    let plan = fleet.bootstrap(&["--plan", "--on", &lease.hosts[0].name])?;
    let steps = planned(&plan).lines().count();
    assert!(steps > 10, "{}", plan.all());
    thread::scope(|scope| {
        let (lease, fleet) = (&lease, &fleet);
        // Each host has runs of its own.
        let hosts = lease.hosts.iter().enumerate();
        let runs: Vec<_> = hosts
            .map(|(at, host)| {
                scope.spawn(move || {
                    (0..KILLS)
                        .try_for_each(|round| kill_at(lease, fleet, host, round * 4 + at, steps))
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        for run in runs {
            run.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })
}

/// Stops a run in one of its steps, so that all of them have their turn; then one run ends the work.
fn kill_at(lease: &Lease, fleet: &Fleet<'_>, host: &Host, moment: usize, steps: usize) -> Told {
    let only = ["--on", host.name.as_str()];
    let mut step = moment * steps / MOMENTS;
    // The same in every run of the story, and anything but even.
    let within = Duration::from_millis((moment as u64 * 7919) % 400);
    while !stopped_in(fleet, host, step, within)? {
        // It came to its end meanwhile.
        step = step.checked_sub(1).ok_or("no run can be stopped")?;
        lease.renew_bare(host, ROOT)?;
    }
    let what = format!("{ENVIRONMENT} {}, stopped in step {step}", host.name);
    let key = lease.operator_key();
    // An sshd that was told to begin anew does not listen for a moment.
    until(&format!("{what}: somebody gets in"), 60, || {
        Ok(gets_in(host, key, "root")? || gets_in(host, key, "ops1")?)
    })?;
    // Half of the runs only lose their connection, and end by themselves.
    if moment.is_multiple_of(2) {
        host.exec(&["pkill", "-KILL", "-f", "longshore-agent setup"])?;
    }
    until(&format!("{what}: the end of it"), 300, || {
        let still = host.exec(&["pgrep", "-f", "longshore-agent setup"])?;
        Ok(!still.status.success())
    })?;
    let answer = fleet.bootstrap(&only)?;
    assert_eq!(answer.code, Some(0), "{what}: {}", answer.all());
    let again = fleet.bootstrap(&only)?;
    assert_eq!(changes(&again), [0], "{what}: {}", again.all());
    run(host, &["longshore-agent", "nginx", "ssh"])?;
    host.sh("test -z \"$(dpkg --audit)\" && sudo -u ops1 sudo -n true")?;
    lease.renew_bare(host, ROOT)
}

/// Whether it was, in the step with this number.
fn stopped_in(
    fleet: &Fleet<'_>,
    host: &Host,
    step: usize,
    within: Duration,
) -> Result<bool, Box<dyn std::error::Error>> {
    let mut command = fleet.command(&["--on", &host.name, "--verbose"])?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut run = command.stderr(Stdio::piped()).spawn()?;
    let said = run.stderr.take().ok_or("it says nothing")?;
    let mut steps = BufReader::new(said)
        .lines()
        .filter(|line| line.as_ref().is_ok_and(|line| line.contains("| making ")));
    if steps.nth(step).is_some() {
        thread::sleep(within);
    }
    let stopped = run.try_wait()?.is_none();
    run.kill()?;
    run.wait()?;
    Ok(stopped)
}
