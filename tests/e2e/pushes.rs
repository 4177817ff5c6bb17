//! What a push sends, and what becomes of one that breaks off.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use longshore_lab::controller::{Answer, Controller};
use longshore_lab::host::Host;
use longshore_lab::sample::{Behaviour, Repository, Sample};
use sha2::{Digest as _, Sha256};

use crate::ambush::agent;
use crate::answers::ended;
use crate::calls;
use crate::line::{Fault, LOST, Line, staged};
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

/// One host at the end of a line, and an app to push to it.
struct Scene {
    lease: Lease,
    repository: Repository,
    line: Line,
    /// Reaches the host by the line.
    controller: Controller,
}

impl Scene {
    fn set() -> Result<Self, Box<dyn Error>> {
        let lease = lease(1)?;
        let line = Line::to(&lease.hosts[0])?;
        Ok(Self {
            repository: lease.repository(TINY)?,
            controller: lease
                .controller(TINY)
                .with_inventory(&line.inventory(&lease)?),
            line,
            lease,
        })
    }

    fn host(&self) -> &Host {
        &self.lease.hosts[0]
    }

    fn release(&self, version: &str) -> Result<String, Box<dyn Error>> {
        self.lease
            .release(&self.repository, version, &Behaviour::Good)
    }

    /// A release with three files of a mebibyte that none before has.
    fn noisy(&self, version: &str, seed: u64) -> Result<String, Box<dyn Error>> {
        for number in 0..3 {
            let file = self.repository.folder().join(format!("noise-{number}.bin"));
            fs_err::write(file, noise(seed * 10 + number, 1 << 20))?;
        }
        self.release(version)
    }

    /// What was said, and how many bytes went to the host.
    fn stage(&self, release: &str) -> Result<(Answer, u64), Box<dyn Error>> {
        self.line.sent();
        let words = ["stage", ENVIRONMENT, "--release", release];
        let answer = self.controller.run(&words)?;
        ended(&answer, 0);
        Ok((answer, self.line.sent()))
    }

    /// Begins to stage, and is held by the line.
    fn held(&self, release: &str, after: u64) -> Result<Child, Box<dyn Error>> {
        self.line.faults(&[Fault::Hold(after)]);
        let words = ["stage", ENVIRONMENT, "--release", release, "--json"];
        let mut command = self.controller.command(&words);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        until("the push is held", 30, || Ok(self.line.holds()))?;
        // What is still on its way is nobody's to keep.
        until("what has passed is on the disk", 60, || {
            Ok(staged(self.host())? + LOST >= after)
        })?;
        Ok(child)
    }

    /// Every file of the release is on the host as it is in the repository.
    fn is_right(&self, version: &str) -> Told {
        let release = format!("{APP}/releases/{version}");
        let list = self.host().sh(&format!("cat {release}/.longshore/tree"))?;
        for line in list.lines() {
            let mut words = line.splitn(4, ' ').skip(2);
            let (digest, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let there = fs_err::read(self.host().path(&format!("{release}/{path}"))?)?;
            let there: String = Sha256::digest(&there)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(there, digest, "{path} of {version}");
        }
        let ours = fs_err::read(self.repository.folder().join("noise-1.bin"))?;
        let there = fs_err::read(self.host().path(&format!("{release}/noise-1.bin"))?)?;
        assert!(ours == there, "noise-1.bin of {version}");
        Ok(())
    }
}

fn cut_at_any_byte() -> Told {
    let scene = Scene::set()?;
    scene.stage(&scene.noisy("1.0.0", 100)?)?;
    let (_, all) = scene.stage(&scene.noisy("1.0.1", 101)?)?;
    assert!((3 << 20..4 << 20).contains(&all), "{all}");
    for round in 1..=20 {
        let percent = [1, 50, 99, 100][round % 4];
        let version = format!("1.{round}.0");
        let release = scene.noisy(&version, round as u64)?;
        // The last of it is the farewell.
        let at = (all * percent / 100).min(all - 400);
        // Some break again: while they log in, before the host has begun, in the midst of the rest.
        let again = [3_000, 6_000, 9_000, 900_000][round / 5 % 4];
        let faults = [Fault::Cut(at), Fault::Cut(again)];
        let faults = if percent == 50 { &faults } else { &faults[..1] };
        scene.line.faults(faults);
        let (answer, sent) = scene.stage(&release)?;
        assert!(!scene.line.heal(), "{percent} %: not all faults came");
        assert!(reconnected(&answer), "{}", answer.all());
        let most = all + LOST * faults.len() as u64;
        assert!(sent < most, "cut at {percent} %: {sent} of {all}");
        scene.is_right(&version)?;
        // Nothing of the try that broke off is left.
        let left = format!("ls {APP}/staging | grep -v trash || true");
        assert_eq!(scene.host().sh(&left)?, "", "{version}");
    }
    Ok(())
}

fn reconnected(answer: &Answer) -> bool {
    answer.stdout.contains("\"event\":\"reconnecting\"")
}

fn goes_on_elsewhere() -> Told {
    let scene = Scene::set()?;
    let (host, line) = (scene.host(), &scene.line);
    let first = scene.noisy("1.0.0", 0)?;

    // The controller dies, the agent is killed, and somebody else brings the release.
    let mut child = scene.held(&first, 2 << 20)?;
    child.kill()?;
    child.wait()?;
    line.cut();
    let killed = agent(host)?;
    host.sh("systemctl kill --signal=KILL longshore-agent")?;
    until("the agent is back", 30, || Ok(agent(host)? != killed))?;
    let copies = scene.lease.folder().join("elsewhere");
    fs_err::create_dir(&copies)?;
    for ending in [".tar.gz", ".json", ".json.sig"] {
        let name = format!("tiny-1.0.0{ending}");
        let from = first.replace("tiny-1.0.0.tar.gz", &name);
        fs_err::copy(from, copies.join(&name))?;
    }
    let other = copies.join("tiny-1.0.0.tar.gz").display().to_string();
    let (_, sent) = scene.stage(&other)?;
    assert!(sent < (1 << 20) + TALK + LOST, "{sent}");
    scene.is_right("1.0.0")?;
    // What is there already is not sent again.
    let (_, sent) = scene.stage(&first)?;
    assert!(sent < TALK, "{sent}");

    // The agent is killed while it receives, and the same command ends well.
    let second = scene.noisy("1.1.0", 1)?;
    let child = scene.held(&second, 2 << 20)?;
    host.sh("systemctl kill --signal=KILL longshore-agent")?;
    line.let_go();
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("\"event\":\"reconnecting\""), "{said}");
    // Of the two MiB only what was on its way when the agent was killed is sent again: what the line and
    // its ends held beside them.
    let sent = line.sent();
    assert!(sent < (4 << 20) + TALK + LOST, "{sent}");
    scene.is_right("1.1.0")
}

fn two_at_once() -> Told {
    let scene = Scene::set()?;
    let other = Line::to(scene.host())?;
    let release = scene.noisy("1.0.0", 0)?;
    let first = scene.held(&release, 1 << 20)?;
    let inventory = other.inventory(&scene.lease)?;
    let second = scene.lease.controller(TINY).with_inventory(&inventory);
    let words = ["stage", ENVIRONMENT, "--release", &release, "--json"];
    let mut command = second.command(&words);
    let mut second = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = second.stdout.take().ok_or("no standard output")?;
    let mut said = BufReader::new(said).lines();
    // It is let in, and waits; being refused would end it.
    while !said
        .next()
        .ok_or("it did not wait")??
        .contains("brings the same release")
    {}
    scene.line.let_go();
    let output = first.wait_with_output()?;
    assert!(output.status.success(), "{output:?}");
    let rest: Vec<String> = said.collect::<Result<_, _>>()?;
    assert!(second.wait()?.success(), "{rest:?}");
    let sent = other.sent();
    assert!(sent < TALK, "{sent}");
    scene.is_right("1.0.0")
}

fn damaged() -> Told {
    let scene = Scene::set()?;
    let host = scene.host();
    scene.stage(&scene.noisy("1.0.0", 0)?)?;

    // A bit on the way: the connection does not survive it, and the push does.
    let second = scene.noisy("1.1.0", 1)?;
    scene.line.faults(&[Fault::Harm(2 << 20)]);
    let (answer, _) = scene.stage(&second)?;
    assert!(reconnected(&answer), "{}", answer.all());
    scene.is_right("1.1.0")?;

    // The base on the disk: files that the next release has too, and one that it changes.
    let spoil = |path: &str| {
        host.sh(&format!(
            "printf x | dd of={APP}/{path} bs=1 seek=500000 conv=notrunc status=none"
        ))
    };
    spoil("releases/1.1.0/noise-0.bin")?;
    spoil("releases/1.1.0/noise-1.bin")?;
    let changed = scene.repository.folder().join("noise-1.bin");
    let mut content = fs_err::read(&changed)?;
    content[700_000] ^= 0xff;
    fs_err::write(&changed, content)?;
    let (_, sent) = scene.stage(&scene.release("1.2.0")?)?;
    // Both are mended by their own pieces.
    assert!(sent < 100_000, "{sent}");
    scene.is_right("1.2.0")?;

    // What a push left that broke off.
    let fourth = scene.noisy("1.3.0", 3)?;
    let mut child = scene.held(&fourth, 2 << 20)?;
    child.kill()?;
    child.wait()?;
    scene.line.cut();
    let running = "sqlite3 /var/lib/longshore/ledger.db \
                   \"SELECT count(*) FROM operations WHERE outcome = 'running'\"";
    until("the host has noticed", 30, || {
        Ok(host.sh(running)?.trim() == "0")
    })?;
    let attempt = host.sh(&format!("cd {APP} && ls -d staging/*/release"))?;
    for number in 0..2 {
        spoil(&format!("{}/noise-{number}.bin", attempt.trim()))?;
    }
    scene.stage(&fourth)?;
    scene.is_right("1.3.0")
}

fn a_changed_line() -> Told {
    let scene = Scene::set()?;
    scene.repository.change_app_file(|text| {
        text.replace("name = \"tiny\"\n", "name = \"tiny\"\nkeep_releases = 9\n")
    })?;
    let text = |changed: usize| -> String {
        let line = |at: usize| {
            let seed = if at == changed { at + 1_000_000 } else { at };
            format!("line {at} {:?}\n", noise(seed as u64, 12))
        };
        (0..2000).map(line).collect()
    };
    let folder = scene.repository.folder();
    for number in 0..200 {
        let small = folder.join(format!("small-{number}.txt"));
        fs_err::write(small, noise(number, 4000))?;
    }
    let mut sent = Vec::new();
    for round in 0..5 {
        let version = format!("1.{round}.0");
        fs_err::write(folder.join("large.txt"), text(900 + round))?;
        sent.push(scene.stage(&scene.noisy(&version, 0)?)?.1);
        scene.is_right(&version)?;
    }
    // Two lines of 60 bytes, the version, their part of the list; and what SSH says to get in.
    assert!(sent[0] > 3 << 20, "{sent:?}");
    assert!(sent[1..].iter().all(|sent| *sent < 16_000), "{sent:?}");
    let du = |what: &str| -> Result<u64, Box<dyn Error>> {
        let said = scene.host().sh(&format!("du -sk {APP}/{what} | cut -f1"))?;
        Ok(said.trim().parse()?)
    };
    let (one, all) = (du("releases/1.0.0")?, du("releases")?);
    assert!(all * 10 <= one * 13, "{all} kB for five, {one} kB for one");
    Ok(())
}

fn durable() -> Told {
    let scene = Scene::set()?;
    let mut prices = Vec::new();
    // The first one also makes the app's home.
    for (minor, files) in [(0, 1), (1, 10), (2, 1000)] {
        for number in 0..files {
            let file = format!("{minor}-{number}.txt");
            let file = scene.repository.folder().join(file);
            fs_err::write(file, format!("{minor} {number}"))?;
        }
        let release = scene.release(&format!("1.{minor}.0"))?;
        let kinds = "fsync,fdatasync,sync,syncfs,sync_file_range,rename,renameat,renameat2";
        let calls = calls::during(scene.host(), kinds, || scene.stage(&release).map(drop))?;
        // First all of it is durable, then it gets its name, then the name is durable.
        let at = |name: &str| calls.iter().rposition(|call| call.starts_with(name));
        assert!(
            at("syncfs") < at("rename") && at("rename") < at("fsync"),
            "{calls:?}"
        );
        let calls: Vec<_> = calls
            .into_iter()
            .filter(|call| !call.starts_with("rename"))
            .collect();
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
