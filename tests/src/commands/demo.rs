//! `cargo lab demo`: the main job on three hosts with a steady load on them.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use super::Done;
use crate::base::{self, Kind, Suite};
use crate::controller::Controller;
use crate::lab::{self, Lab, Plan};
use crate::load::{Load, Running};
use crate::place::Place;
use crate::provision::{Bare, Login};
use crate::sample::{Behaviour, Repository, Sample};
use crate::{binaries, machine, privilege, sample, say};

const HOSTS: usize = 3;
const BARE: Bare = Bare {
    suite: Suite::Bookworm,
    login: Login::Root,
};
const REQUESTS_A_SECOND: f64 = 40.0;
/// What a deployment that went back by itself ends with.
const WENT_BACK: i32 = 1;

/// Tells the whole story, and fails if any part of it went another way.
pub fn run() -> Done {
    let begun = Instant::now();
    let place = Place::from_environment()?;
    privilege::become_root()?;
    machine::prepare()?;
    let claim = lab::claim(&place)?;

    say::step("Building the agent and the controller");
    // The first time, both take their minute; neither needs the other.
    let cache = place.cache();
    let base = thread::spawn(move || base::ready(Kind::Bare(BARE.suite), &cache).map(drop));
    let product = binaries::product()?;
    let binary = binaries::controller()?;
    base.join()
        .map_err(|_| "making the hosts' Debian panicked")??;

    say::step("Booting three bare hosts: systemd, sshd and a root login, as a provider has them");
    let plan = Plan {
        hosts: HOSTS,
        environment: String::from("demo"),
        apps: sample::apps(),
        product: None,
        bare: Some(BARE),
    };
    let lab = Lab::up(&place, &plan, &claim)?;
    lab.offer_agent(&product.agent)?;
    lab::describe(&lab);

    let folder = place.folder().join("cortico");
    let repository = Repository::create(Sample::Cortico, &folder)?;
    let controller = Controller::of(&lab, &binary)
        .for_app("cortico")
        .in_folder(&folder);
    let story = Story {
        lab: &lab,
        repository,
        controller,
    };
    let told = story.tell(begun)?;
    what_next(&lab);
    Ok(if told {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Story<'a> {
    lab: &'a Lab,
    repository: Repository,
    controller: Controller,
}

impl Story<'_> {
    fn tell(&self, begun: Instant) -> Result<bool, Box<dyn std::error::Error>> {
        say::step("Making hosts of them");
        let mut as_told = self.expect(&["bootstrap", "demo"].map(String::from), 0)?;
        self.build("1.0.0", &Behaviour::Good)?;
        self.build("1.1.0", &Behaviour::Good)?;
        self.build("1.2.0", &Behaviour::Answers500)?;

        let seconds = begun.elapsed().as_secs_f64();
        say::step(&format!(
            "Deploying 1.0.0, the first of all ({seconds:.0} s after the start)"
        ));
        as_told &= self.expect(&self.deploy("1.0.0"), 0)?;

        say::step("A steady load begins on all three hosts");
        let load = self.load();
        thread::sleep(Duration::from_secs(1));

        say::step("Deploying 1.1.0 beside it, blue-green");
        as_told &= self.expect(&self.deploy("1.1.0"), 0)?;
        say::step("Deploying 1.2.0, which answers 500: it must go back by itself");
        as_told &= self.expect(&self.deploy("1.2.0"), WENT_BACK)?;
        say::step("Rolling back");
        as_told &= self.expect(&["rollback", "demo"].map(String::from), 0)?;
        say::step("Bootstrapping again, which changes nothing");
        as_told &= self.expect(&["bootstrap", "demo", "--check"].map(String::from), 0)?;
        say::step("How things stand");
        as_told &= self.expect(&["status", "demo"].map(String::from), 0)?;

        thread::sleep(Duration::from_secs(1));
        let outcome = load.stop();
        say::step("What the load saw");
        for line in outcome.to_string().lines() {
            say::line(line);
        }
        Ok(as_told && outcome.failed == 0)
    }

    fn build(
        &self,
        version: &str,
        behaviour: &Behaviour,
    ) -> Result<(), Box<dyn std::error::Error>> {
        say::step(&format!(
            "longshore build --ref v{version} --version {version}"
        ));
        self.repository.commit(version, behaviour)?;
        let key = self.lab.keys.signing.file.display().to_string();
        let tag = format!("v{version}");
        let words = ["build", "--ref", &tag, "--version", version, "--key", &key];
        match self.controller.show(&words)? {
            Some(0) => Ok(()),
            code => Err(format!("longshore build ended with {code:?}").into()),
        }
    }

    fn deploy(&self, version: &str) -> [String; 4] {
        let release = self.repository.tarball(version).display().to_string();
        ["deploy", "demo", "--release", &release].map(String::from)
    }

    /// Shows one command, and whether it ended as the story says.
    fn expect(&self, words: &[String], wanted: i32) -> Result<bool, Box<dyn std::error::Error>> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        say::line(&format!("$ longshore {}", words.join(" ")));
        let begun = Instant::now();
        let code = self.controller.show(&words)?;
        let seconds = begun.elapsed().as_secs_f64();
        let as_told = code == Some(wanted);
        let ended = code.map_or_else(|| String::from("by a signal"), |code| code.to_string());
        say::line(&format!(
            "(exit {ended} after {seconds:.1} s{})",
            if as_told {
                String::new()
            } else {
                format!("; the story says {wanted}")
            }
        ));
        Ok(as_told)
    }

    fn load(&self) -> Running {
        let targets: Vec<SocketAddr> = self
            .lab
            .hosts
            .iter()
            .map(|host| SocketAddr::from((host.address, 80)))
            .collect();
        let mut load = Load::on(targets, &Sample::Cortico.domain());
        load.rate = Some(REQUESTS_A_SECOND);
        load.start()
    }
}

fn what_next(lab: &Lab) {
    say::step("The hosts stay up. What to type next:");
    let Some(first) = lab.hosts.first() else {
        return;
    };
    let domain = Sample::Cortico.domain();
    say::line(&format!(
        "curl -H 'Host: {domain}' http://{}/",
        first.address
    ));
    say::line("cargo lab longshore status demo --app cortico");
    say::line(&format!(
        "cargo lab ssh {} longshore-agent history",
        first.name
    ));
    say::line("cargo lab down");
}
