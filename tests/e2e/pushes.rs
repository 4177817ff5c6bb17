//! What a push sends, and what becomes of one that breaks off.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use longshore_lab::controller::{Answer, Controller};
use longshore_lab::host::Host;
use longshore_lab::sample::{Behaviour, Repository, Sample};
use sha2::{Digest as _, Sha256};

use crate::ambush::agent;
use crate::answers::ended;
use crate::calls;
use crate::line::{Fault, Line};
use crate::patience::until;
use crate::stage::{ENVIRONMENT, Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "pushes::twenty_cuts_at_any_byte_go_on_where_they_were",
        tell: cut_at_any_byte,
    },
    Story {
        name: "pushes::another_controller_and_a_killed_agent_go_on_where_it_was",
        tell: goes_on_elsewhere,
    },
    Story {
        name: "pushes::two_of_the_same_release_share_the_work",
        tell: two_at_once,
    },
    Story {
        name: "pushes::nothing_damaged_gets_into_a_release",
        tell: damaged,
    },
    Story {
        name: "pushes::a_changed_line_costs_little_on_the_line_and_on_the_disk",
        tell: a_changed_line,
    },
    Story {
        name: "pushes::a_release_of_any_size_is_durable_at_the_same_price",
        tell: durable,
    },
];

const TINY: Sample = Sample::Tiny;
const APP: &str = "/srv/longshore/tiny";
/// What a connection says beside the release.
const TALK: u64 = 40_000;
/// What a cut may lose: a block of the compression, and what had not left the frames around it.
const LOST: u64 = 500_000;

/// Bytes that nothing makes shorter, the same ones for a seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// Three files of a mebibyte that no release before has.
fn noisy(
    lease: &Lease,
    repository: &Repository,
    version: &str,
    seed: u64,
) -> Result<String, Box<dyn Error>> {
    for number in 0..3 {
        let file = repository.folder().join(format!("noise-{number}.bin"));
        fs_err::write(file, noise(seed * 10 + number, 1 << 20))?;
    }
    lease.release(repository, version, &Behaviour::Good)
}

fn stage(controller: &Controller, release: &str) -> Result<Answer, Box<dyn Error>> {
    Ok(controller.run(&["stage", ENVIRONMENT, "--release", release])?)
}

/// Every file of the release is on the host as it is in the repository.
fn is_right(host: &Host, repository: &Repository, version: &str) -> Told {
    let list = host.sh(&format!("cat {APP}/releases/{version}/.longshore/tree"))?;
    let mut checked = 0;
    for line in list.lines() {
        let mut words = line.splitn(4, ' ').skip(2);
        let (digest, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let there = fs_err::read(host.path(&format!("{APP}/releases/{version}/{path}"))?)?;
        let there: String = Sha256::digest(&there)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(there, digest, "{path} of {version}");
        checked += 1;
    }
    assert!(checked > 3, "{list}");
    let ours = fs_err::read(repository.folder().join("noise-1.bin"))?;
    let there = fs_err::read(host.path(&format!("{APP}/releases/{version}/noise-1.bin"))?)?;
    assert!(ours == there, "noise-1.bin of {version}");
    Ok(())
}

fn cut_at_any_byte() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let line = Line::to(host)?;
    let controller = lease
        .controller(TINY)
        .with_inventory(&line.inventory(&lease)?);
    let mut all = 0;
    for (version, seed) in [("1.0.0", 100), ("1.0.1", 101)] {
        let whole = noisy(&lease, &repository, version, seed)?;
        line.sent();
        ended(&stage(&controller, &whole)?, 0);
        all = line.sent();
        assert!((3 << 20..4 << 20).contains(&all), "{all}");
    }
    for round in 1..=20 {
        let percent = [1, 50, 99, 100][round % 4];
        let version = format!("1.{round}.0");
        let release = noisy(&lease, &repository, &version, round as u64)?;
        // The last of it is the farewell.
        let at = (all * percent / 100).min(all - 400);
        // Some break again: while they log in, before the host has begun, in the midst of the rest.
        let again = [3_000, 6_000, 9_000, 300_000][round / 5 % 4];
        let faults = [Fault::Cut(at), Fault::Cut(again)];
        line.faults(if percent == 50 { &faults } else { &faults[..1] });
        let answer = stage(&controller, &release)?;
        assert!(!line.heal(), "{percent} %: not all faults came");
        ended(&answer, 0);
        assert!(
            answer.stdout.contains("\"event\":\"reconnecting\""),
            "{}",
            answer.all()
        );
        let sent = line.sent();
        assert!(sent < all + LOST, "cut at {percent} %: {sent} of {all}");
        is_right(host, &repository, &version)?;
        // Nothing of the try that broke off is left.
        let left = format!("ls {APP}/staging | grep -v trash || true");
        assert_eq!(host.sh(&left)?, "", "{version}");
    }
    Ok(())
}

fn goes_on_elsewhere() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let line = Line::to(host)?;
    let by_line = lease
        .controller(TINY)
        .with_inventory(&line.inventory(&lease)?);
    let first = noisy(&lease, &repository, "1.0.0", 0)?;
    let held = |release: &str| -> Result<std::process::Child, Box<dyn Error>> {
        line.faults(&[Fault::Hold(2 << 20)]);
        let mut command = by_line.command(&["stage", ENVIRONMENT, "--release", release, "--json"]);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        until("the push is held", 30, || Ok(line.holds()))?;
        Ok(child)
    };

    // The controller dies, the agent is killed, and somebody else brings the release.
    let mut child = held(&first)?;
    child.kill()?;
    child.wait()?;
    line.cut();
    let killed = agent(host)?;
    host.sh("systemctl kill --signal=KILL longshore-agent")?;
    until("the agent is back", 30, || Ok(agent(host)? != killed))?;
    line.sent();
    let copies = lease.folder().join("elsewhere");
    fs_err::create_dir(&copies)?;
    for ending in [".tar.gz", ".json", ".json.sig"] {
        let name = format!("tiny-1.0.0{ending}");
        let from = first.replace("tiny-1.0.0.tar.gz", &name);
        fs_err::copy(from, copies.join(&name))?;
    }
    let other = copies.join("tiny-1.0.0.tar.gz").display().to_string();
    ended(&stage(&by_line, &other)?, 0);
    let sent = line.sent();
    assert!(sent < (1 << 20) + TALK + LOST, "{sent}");
    is_right(host, &repository, "1.0.0")?;
    // What is there already is not sent again.
    ended(&stage(&by_line, &first)?, 0);
    let sent = line.sent();
    assert!(sent < TALK, "{sent}");

    // The agent is killed while it receives, and the same command ends well.
    let second = noisy(&lease, &repository, "1.1.0", 1)?;
    let child = held(&second)?;
    host.sh("systemctl kill --signal=KILL longshore-agent")?;
    line.let_go();
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("\"event\":\"reconnecting\""), "{said}");
    let sent = line.sent();
    // What was on its way when the agent was killed is lost; all of it would be 6 MiB.
    assert!(sent < 5 << 20, "{sent}");
    is_right(host, &repository, "1.1.0")
}

fn two_at_once() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let (one, other) = (Line::to(host)?, Line::to(host)?);
    let controller = lease.controller(TINY);
    let first = controller.clone().with_inventory(&one.inventory(&lease)?);
    let release = noisy(&lease, &repository, "1.0.0", 0)?;
    let words = ["stage", ENVIRONMENT, "--release", &release, "--json"];
    one.faults(&[Fault::Hold(1 << 20)]);
    let begin = |controller: Controller| {
        let mut command = controller.command(&words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
    };
    let first = begin(first)?;
    until("the first push is held", 30, || Ok(one.holds()))?;
    let mut second = begin(controller.with_inventory(&other.inventory(&lease)?))?;
    let said = second.stdout.take().ok_or("no standard output")?;
    let mut said = BufReader::new(said).lines();
    // It is let in, and waits; being refused would end it.
    while !said
        .next()
        .ok_or("it did not wait")??
        .contains("brings the same release")
    {}
    one.let_go();
    let output = first.wait_with_output()?;
    assert!(output.status.success(), "{output:?}");
    let rest: Vec<String> = said.collect::<Result<_, _>>()?;
    assert!(second.wait()?.success(), "{rest:?}");
    let sent = other.sent();
    assert!(sent < TALK, "{sent}");
    is_right(host, &repository, "1.0.0")
}

fn damaged() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let line = Line::to(host)?;
    let controller = lease
        .controller(TINY)
        .with_inventory(&line.inventory(&lease)?);
    let first = noisy(&lease, &repository, "1.0.0", 0)?;
    ended(&stage(&controller, &first)?, 0);

    // A bit on the way: the connection does not survive it, and the push does.
    let second = noisy(&lease, &repository, "1.1.0", 1)?;
    line.faults(&[Fault::Harm(2 << 20)]);
    let answer = stage(&controller, &second)?;
    ended(&answer, 0);
    assert!(
        answer.stdout.contains("\"event\":\"reconnecting\""),
        "{}",
        answer.all()
    );
    is_right(host, &repository, "1.1.0")?;

    // The base on the disk: files that the next release has too, and one that it changes.
    let spoil = |path: &str| {
        host.sh(&format!(
            "printf x | dd of={APP}/{path} bs=1 seek=500000 conv=notrunc status=none"
        ))
    };
    spoil("releases/1.1.0/noise-0.bin")?;
    spoil("releases/1.1.0/noise-1.bin")?;
    let changed = repository.folder().join("noise-1.bin");
    let mut content = fs_err::read(&changed)?;
    content[700_000] ^= 0xff;
    fs_err::write(&changed, content)?;
    let third = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    line.sent();
    ended(&stage(&controller, &third)?, 0);
    let sent = line.sent();
    // Both are mended by their own pieces.
    assert!(sent < 100_000, "{sent}");
    is_right(host, &repository, "1.2.0")?;

    // What a push left that broke off.
    let fourth = noisy(&lease, &repository, "1.3.0", 3)?;
    line.faults(&[Fault::Hold(2 << 20)]);
    let mut command = controller.command(&["stage", ENVIRONMENT, "--release", &fourth]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    until("the push is held", 30, || Ok(line.holds()))?;
    child.kill()?;
    child.wait()?;
    line.cut();
    let running = "sqlite3 /var/lib/longshore/ledger.db \
                   \"SELECT count(*) FROM operations WHERE outcome = 'running'\"";
    until("the host has noticed", 30, || {
        Ok(host.sh(running)?.trim() == "0")
    })?;
    let attempt = host.sh(&format!("ls -d {APP}/staging/*/release"))?;
    let attempt = attempt.trim().to_owned();
    let attempt = attempt.trim_start_matches(&format!("{APP}/")).to_owned();
    spoil(&format!("{attempt}/noise-0.bin"))?;
    spoil(&format!("{attempt}/noise-1.bin"))?;
    ended(&stage(&controller, &fourth)?, 0);
    is_right(host, &repository, "1.3.0")
}

fn a_changed_line() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| {
        text.replace("name = \"tiny\"\n", "name = \"tiny\"\nkeep_releases = 9\n")
    })?;
    let line = Line::to(host)?;
    let controller = lease
        .controller(TINY)
        .with_inventory(&line.inventory(&lease)?);
    let text = |changed: usize| -> String {
        let words = |at: usize| {
            noise(at as u64, 24)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect()
        };
        let one = |at: usize| -> String {
            let words: String = words(if at == changed { at + 1_000_000 } else { at });
            format!("line {at} {words}\n")
        };
        (0..2000).map(one).collect()
    };
    let mut sent = Vec::new();
    for round in 0..5 {
        let version = format!("1.{round}.0");
        for number in 0..200 {
            let small = repository.folder().join(format!("small-{number}.txt"));
            fs_err::write(small, noise(number, 4000))?;
        }
        fs_err::write(repository.folder().join("large.txt"), text(900 + round))?;
        let release = noisy(&lease, &repository, &version, 0)?;
        line.sent();
        ended(&stage(&controller, &release)?, 0);
        sent.push(line.sent());
        is_right(host, &repository, &version)?;
    }
    // The list, a line of 60 bytes, the version; and what SSH says to get in.
    assert!(sent[0] > 3 << 20, "{sent:?}");
    assert!(sent[1..].iter().all(|sent| *sent < 16_000), "{sent:?}");
    let du = |what: &str| -> Result<u64, Box<dyn Error>> {
        let said = host.sh(&format!("du -sk {what} | tail -1 | cut -f1"))?;
        Ok(said.trim().parse()?)
    };
    let one = du(&format!("{APP}/releases/1.0.0"))?;
    let all = du(&format!("{APP}/releases"))?;
    assert!(all * 10 <= one * 13, "{all} kB for five, {one} kB for one");
    Ok(())
}

fn durable() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let controller = lease.controller(TINY);
    let mut prices = Vec::new();
    // The first one also makes the app's home.
    for (minor, files) in [(0, 1), (1, 10), (2, 1000)] {
        for number in 0..files {
            let file = repository.folder().join(format!("{minor}-{number}.txt"));
            fs_err::write(file, format!("{minor} {number}"))?;
        }
        let release = lease.release(&repository, &format!("1.{minor}.0"), &Behaviour::Good)?;
        let calls = calls::during(host, "fsync,fdatasync,sync,syncfs,sync_file_range", || {
            ended(&stage(&controller, &release)?, 0);
            Ok(())
        })?;
        let of = |name: &str| calls.iter().filter(|call| *call == name).count();
        assert_eq!(of("syncfs"), 1, "{calls:?}");
        assert_eq!(of("syncfs") + of("fsync"), calls.len(), "{calls:?}");
        prices.push(of("fsync"));
    }
    // The operation, each of its steps, the release, its end; and the folder that got its name.
    assert_eq!(prices[1], prices[2]);
    assert!((5..=10).contains(&prices[1]), "{prices:?}");
    Ok(())
}
