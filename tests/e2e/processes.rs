//! What runs beside the web: started with its release, drained after a switch, alone where it has to be.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use longshore_lab::host::Host;
use longshore_lab::load::Connections;
use longshore_lab::sample::{Behaviour, Repository, Sample};
use serde_json::Value;

use crate::answers::{ended, hosts, kinds, live};
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "processes::follow_their_release_and_finish_their_work",
        tell: follow,
    },
    Story {
        name: "processes::nobody_waits_for_work_that_is_being_finished",
        tell: nobody_waits,
    },
    Story {
        name: "processes::one_that_cannot_run_stops_the_switch",
        tell: cannot_run,
    },
];

const TINY: Sample = Sample::Tiny;

/// Writes down what happens to it. Asked to end it finishes its work, or does not listen.
const WORKER: &str = "\
import os, signal, sys, time
name, seconds = sys.argv[1], float(sys.argv[2])
out = open(f'data/{name}.log', 'a', buffering=1)
def say(what):
    out.write(f\"{time.time():.3f} {os.environ['LONGSHORE_VERSION']} {what}\\n\")
    print(name, what, flush=True)
def stop(*_):
    say('asked')
    if name != 'deaf':
        while seconds < 0 and not os.path.exists('data/go'):
            time.sleep(0.1)
        time.sleep(max(seconds, 0))
        say('ended')
        sys.exit(0)
signal.signal(signal.SIGTERM, stop)
say('begun')
while name not in ('tick', 'sweep'):
    time.sleep(0.1)
";

const APP_FILE: &str = "
[process.worker]
command = \"/usr/bin/python3 worker.py worker 4\"
[process.beat]
command = \"/usr/bin/python3 worker.py beat 2\"
single = true
[process.deaf]
command = \"/usr/bin/python3 worker.py deaf 0\"
stop_timeout = \"2s\"
[timer.tick]
command = \"/usr/bin/python3 worker.py tick 0\"
every = \"1s\"
[timer.sweep]
command = \"/usr/bin/python3 worker.py sweep 0\"
every = \"1s\"
single = false
[timer.yearly]
command = \"/bin/false\"
at = \"*-01-01 04:00\"
";

/// A line of the worker's own log: when, of which version, and what.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    at: f64,
    version: String,
    what: String,
}

fn said(host: &Host, name: &str) -> Result<Vec<Entry>, Box<dyn Error>> {
    let file = format!("/srv/longshore/tiny/shared/data/{name}.log");
    let text = host.sh(&format!("cat {file} 2>/dev/null || true"))?;
    let entry = |line: &str| {
        let mut words = line.split(' ');
        Some(Entry {
            at: words.next()?.parse().ok()?,
            version: words.next()?.to_owned(),
            what: words.next()?.to_owned(),
        })
    };
    Ok(text.lines().filter_map(entry).collect())
}

/// When a version did something for the first time; waited for, since work ends in its own time.
fn when(host: &Host, name: &str, version: &str, what: &str) -> Result<f64, Box<dyn Error>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let all = said(host, name)?;
        let found = all
            .iter()
            .find(|entry| entry.version == version && entry.what == what);
        match found {
            Some(entry) => return Ok(entry.at),
            None if Instant::now() > deadline => {
                return Err(
                    format!("{}: {name} {version} never {what}: {all:?}", host.name).into(),
                );
            }
            None => thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn with_processes(repository: &Repository) -> Told {
    fs_err::write(repository.folder().join("worker.py"), WORKER)?;
    repository.change_app_file(|text| format!("{text}{APP_FILE}"))?;
    Ok(())
}

/// The processes that `status` tells of a host.
fn processes(lease: &Lease, at: usize) -> Result<Vec<Value>, Box<dyn Error>> {
    let status = lease.controller(TINY).run(&["status", "demo"])?;
    let host = hosts(&status).get(at).cloned().unwrap_or_default();
    let apps = host["apps"].as_array().cloned().unwrap_or_default();
    let tiny = apps.into_iter().find(|app| app["app"] == "tiny");
    Ok(tiny
        .and_then(|app| app["processes"].as_array().cloned())
        .unwrap_or_default())
}

fn named(all: &[Value], name: &str) -> Value {
    let found = all.iter().find(|process| process["name"] == name);
    found.cloned().unwrap_or_default()
}

/// What runs beside the slots now.
fn running(host: &Host) -> Result<Vec<String>, Box<dyn Error>> {
    let units = host.sh(
        "systemctl list-units --state=active --plain --no-legend 'longshore-tiny@*.*' | cut -d' ' -f1",
    )?;
    let beside = |unit: &&str| unit.matches('.').count() > 1;
    Ok(units.lines().filter(beside).map(str::to_owned).collect())
}

fn follow() -> Told {
    let lease = lease(2)?;
    let [first, second] = [&lease.hosts[0], &lease.hosts[1]];
    let repository = lease.repository(TINY)?;
    with_processes(&repository)?;
    let one = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let two = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let three = lease.release(&repository, "1.2.0", &Behaviour::Good)?;

    // Where the host does not know that it is the one, nobody would run what runs once.
    let answer = lease.deploy(TINY, &one)?;
    ended(&answer, 4);
    assert!(
        answer.all().contains("beat, tick, yearly: on one host"),
        "{}",
        answer.all()
    );
    first.sh("sed -i '/apps.tiny/a single = true' /etc/longshore/host.toml")?;
    ended(&lease.deploy(TINY, &one)?, 0);
    for (host, names) in [
        (first, vec!["worker", "beat", "deaf", "tick", "sweep"]),
        (second, vec!["worker", "deaf", "sweep"]),
    ] {
        for name in names {
            when(host, name, "1.0.0", "begun")?;
        }
    }
    assert_eq!(said(second, "beat")?, []);
    assert_eq!(said(second, "tick")?, []);
    let all = processes(&lease, 0)?;
    assert_eq!(named(&all, "worker")["state"], "running", "{all:?}");
    assert_eq!(named(&all, "yearly")["state"], "waiting", "{all:?}");
    let next = named(&all, "yearly")["next"].to_string();
    assert!(next.contains("-01-01T04:00:00Z"), "{all:?}");

    let mut load = lease.load(TINY);
    load.rate = Some(50.0);
    load.connections = Connections::Fresh;
    let load = load.start();
    ended(&lease.deploy(TINY, &two)?, 0);
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    for host in [first, second] {
        // The work in hand is finished while the new release works already, and nobody kills it.
        let begun = when(host, "worker", "1.1.0", "begun")?;
        assert!(begun < when(host, "worker", "1.0.0", "ended")?);
        // It was asked to end, does not, and is ended.
        let asked = when(host, "deaf", "1.0.0", "asked")?;
        host.sh("until [ $(systemctl show -P ActiveState longshore-tiny@blue.deaf) = failed ]; do sleep 0.1; done")?;
        let result = host.sh("systemctl show -P Result longshore-tiny@blue.deaf")?;
        assert_eq!(result.trim(), "timeout");
        let end =
            "date -d \"$(systemctl show -P InactiveEnterTimestamp longshore-tiny@blue.deaf)\" +%s";
        let end: f64 = host.sh(end)?.trim().parse()?;
        assert!(end - asked < 30.0, "it took {} s", end - asked);
    }
    // At no time were there two of those that have to be alone.
    assert!(when(first, "beat", "1.0.0", "ended")? < when(first, "beat", "1.1.0", "begun")?);
    when(first, "tick", "1.1.0", "begun")?;
    let expected = [
        "longshore-tiny@green.beat.service",
        "longshore-tiny@green.deaf.service",
        "longshore-tiny@green.worker.service",
        "longshore-tiny@timer.sweep.timer",
        "longshore-tiny@timer.tick.timer",
        "longshore-tiny@timer.yearly.timer",
    ];
    let steady = |units: Vec<String>| -> Vec<String> {
        units
            .into_iter()
            .filter(|unit| !unit.ends_with("tick.service") && !unit.ends_with("sweep.service"))
            .collect()
    };
    assert_eq!(steady(running(first)?), expected);
    assert_eq!(
        steady(running(second)?),
        [expected[1], expected[2], expected[3]]
    );

    // One that dies comes back, and that is told.
    first.sh("systemctl kill -s KILL longshore-tiny@green.worker.service")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let worker = named(&processes(&lease, 0)?, "worker");
        if worker["state"] == "running" && worker["restarts"] == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{worker}");
        thread::sleep(Duration::from_millis(200));
    }
    let answer = lease
        .controller(TINY)
        .run(&["logs", "demo", "worker", "-n", "1000"])?;
    let lines: Vec<&Value> = answer
        .events
        .iter()
        .filter(|event| event["event"] == "log")
        .collect();
    assert!(
        lines.iter().any(|line| line["text"] == "worker begun"),
        "{}",
        answer.all()
    );
    assert!(
        lines.iter().all(|line| line["of"] == "worker"),
        "{}",
        answer.all()
    );

    // The agent dies while the one before is still at work: there is one all the same.
    let run = |words: &[&str]| lease.controller(TINY).run(words);
    thread::scope(|scope| -> Told {
        let deploy = scope.spawn(|| {
            run(&["deploy", "demo", "--release", &three]).map_err(|error| error.to_string())
        });
        when(first, "beat", "1.1.0", "asked")?;
        first.sh("systemctl kill -s KILL longshore-agent")?;
        let _however = deploy.join().map_err(|_| "the deployment panicked")?;
        Ok(())
    })?;
    let ended_at = when(first, "beat", "1.1.0", "ended")?;
    assert!(ended_at < when(first, "beat", "1.2.0", "begun")?);
    ended(&lease.deploy(TINY, &three)?, 0);

    // After a reboot all of it runs as before.
    first.reboot()?;
    first.wait_until_up()?;
    let boots = said(first, "tick")?.len();
    let slot = first.sh("readlink /srv/longshore/tiny/slots/live")?;
    let units = running(first)?;
    for name in [
        format!("{}.beat", slot.trim()),
        format!("{}.worker", slot.trim()),
        "timer.tick".into(),
    ] {
        assert!(units.iter().any(|unit| unit.contains(&name)), "{units:?}");
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while said(first, "tick")?.len() <= boots {
        assert!(
            Instant::now() < deadline,
            "the timer does not run after a boot"
        );
        thread::sleep(Duration::from_millis(200));
    }

    ended(&run(&["rollback", "demo"])?, 0);
    assert_eq!(live(&run(&["status", "demo"])?, "tiny"), ["1.1.0"; 2]);
    // A release that has none of it takes all of it away.
    repository.change_app_file(|text| text.replace(APP_FILE, ""))?;
    let bare = lease.release(&repository, "1.3.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &bare)?, 0);
    for host in [first, second] {
        host.sh(
            "systemctl stop 'longshore-tiny@*.worker.service' 'longshore-tiny@*.deaf.service'",
        )?;
        assert_eq!(running(host)?, [""; 0]);
    }
    assert_eq!(processes(&lease, 0)?, [] as [Value; 0]);
    Ok(())
}

fn cannot_run() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    host.sh("sed -i '/apps.tiny/a single = true' /etc/longshore/host.toml")?;
    let repository = lease.repository(TINY)?;
    with_processes(&repository)?;
    let good = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &good)?, 0);
    when(host, "worker", "1.0.0", "begun")?;
    let before =
        host.sh("systemctl show -P MainPID longshore-tiny@blue.worker longshore-tiny@blue.beat")?;

    let broken = "sleep 0.3; echo no broker here; exit 3";
    repository.change_app_file(|text| {
        text.replace(
            "/usr/bin/python3 worker.py worker 4",
            &format!("sh -c '{broken}'"),
        )
    })?;
    let bad = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let answer = lease.deploy(TINY, &bad)?;
    ended(&answer, 1);
    assert_eq!(kinds(&answer), ["failed"], "{}", answer.all());
    for words in [
        "longshore-tiny@green.worker.service",
        "exit status 3",
        "no broker here",
    ] {
        assert!(answer.all().contains(words), "{}", answer.all());
    }
    let status = lease.controller(TINY).run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"]);
    let after =
        host.sh("systemctl show -P MainPID longshore-tiny@blue.worker longshore-tiny@blue.beat")?;
    assert_eq!(after, before, "what serves was not touched");
    let deadline = Instant::now() + Duration::from_secs(60);
    while running(host)?.iter().any(|unit| unit.contains("@green")) {
        assert!(Instant::now() < deadline, "{:?}", running(host)?);
        thread::sleep(Duration::from_millis(200));
    }

    repository.change_app_file(|text| text.replace("*-01-01 04:00", "every other full moon"))?;
    let when = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    let answer = lease.deploy(TINY, &when)?;
    ended(&answer, 4);
    assert!(answer.all().contains("[timer.yearly]"), "{}", answer.all());
    Ok(())
}

/// The release before still works while it is gone back to, and where another one takes its place.
fn nobody_waits() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    host.sh("sed -i '/apps.tiny/a single = true' /etc/longshore/host.toml")?;
    let repository = lease.repository(TINY)?;
    fs_err::write(repository.folder().join("worker.py"), WORKER)?;
    let long = "
[process.worker]
command = \"/usr/bin/python3 worker.py worker -1\"
stop_timeout = \"600s\"
[process.beat]
command = \"/usr/bin/python3 worker.py beat -1\"
stop_timeout = \"600s\"
";
    repository.change_app_file(|text| {
        format!("{text}{long}").replace("cooldown = \"3s\"", "cooldown = \"60s\"")
    })?;
    let one = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    // Somebody sees that there must not be two of it.
    repository.change_app_file(|text| format!("{text}single = true\n"))?;
    let two = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let three = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &one)?, 0);
    when(host, "beat", "1.0.0", "begun")?;
    when(host, "worker", "1.0.0", "begun")?;
    ended(&lease.deploy(TINY, &two)?, 0);
    when(host, "worker", "1.1.0", "begun")?;
    let state = |name: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let all = processes(&lease, 0)?;
        let mut states: Vec<String> = all
            .iter()
            .filter(|process| process["name"] == name)
            .filter_map(|process| process["state"].as_str().map(str::to_owned))
            .collect();
        states.sort();
        Ok(states)
    };
    assert_eq!(state("worker")?, ["ending", "running"]);
    assert_eq!(state("beat")?, ["ending", "waiting"]);
    // Back, while all of the first one is still at work; and a third one in its place.
    let back = lease.controller(TINY).run(&["rollback", "demo"])?;
    ended(&back, 0);
    assert_eq!(state("worker")?, ["ending", "waiting"]);
    ended(&lease.deploy(TINY, &three)?, 0);
    let done = |entry: &Entry| entry.what == "ended";
    assert!(
        !said(host, "worker")?.iter().any(done),
        "somebody waited for it"
    );
    assert_eq!(
        live(&lease.controller(TINY).run(&["status", "demo"])?, "tiny"),
        ["1.2.0"]
    );
    host.sh("touch /srv/longshore/tiny/shared/data/go")?;
    // In the end there is one of each, of what serves, and at no time were there two that have to be alone.
    let first = when(host, "beat", "1.0.0", "ended")?;
    assert!(first < when(host, "beat", "1.2.0", "begun")?);
    when(host, "worker", "1.2.0", "begun")?;
    let deadline = Instant::now() + Duration::from_secs(70);
    while running(host)?.len() != 2 || state("beat")? != ["running"] {
        assert!(
            Instant::now() < deadline,
            "{:?} {:?}",
            running(host)?,
            processes(&lease, 0)?
        );
        thread::sleep(Duration::from_millis(300));
    }
    let beats: Vec<Entry> = said(host, "beat")?;
    let mut at_work = 0;
    for entry in &beats {
        at_work += match entry.what.as_str() {
            "begun" => 1,
            "ended" => -1,
            _ => 0,
        };
        assert!(at_work <= 1, "{beats:?}");
    }

    // What is missing is told, and a deployment of what serves already brings it back.
    host.sh("systemctl stop longshore-tiny@green.beat; \
         rm /etc/systemd/system/longshore-tiny@green.beat.service; systemctl daemon-reload")?;
    assert_eq!(state("beat")?, ["failed"]);
    let answer = lease.deploy(TINY, &three)?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["unchanged"], "{}", answer.all());
    assert_eq!(state("beat")?, ["running"]);
    Ok(())
}
