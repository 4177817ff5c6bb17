//! `cargo lab bench bootstrap`: bare hosts made ready, beside the bare `apt-get install` of the same
//! packages; and a run that changes nothing, beside an Ansible playbook that looks at the same.

mod ansible;

use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::json;

use super::Error;
use super::figures::median;
use super::goals::Goal;
use super::measure::{self, Cables};
use super::report;
use crate::base::Suite;
use crate::controller::Controller;
use crate::host::Host;
use crate::lab::{self, Claim, Lab, Plan};
use crate::place::Place;
use crate::provision::{Bare, Login, Product};
use crate::{sample, say};

const HOSTS: usize = 10;
/// The slowest that a bare host may become ready, beside the installation of its packages alone.
const READY: f64 = 1.3;
/// The slowest that a run over all hosts may be that changes nothing, beside Ansible.
const UNCHANGED: f64 = 0.2;
/// What bootstrap installs when the inventory names nothing more.
const PACKAGES: &str = "nginx python3 python3-venv sudo ca-certificates unattended-upgrades \
                        systemd-timesyncd nftables";

/// Boots bare hosts, measures, takes them down again; whether every goal was held.
pub fn run(
    place: &Place,
    claim: &Claim,
    runs: usize,
    product: &Product,
    binary: &Path,
) -> Result<bool, Error> {
    say::step(&format!("Booting {HOSTS} bare hosts"));
    let plan = Plan {
        hosts: HOSTS,
        environment: "demo".to_owned(),
        apps: sample::apps(),
        product: None,
        bare: Some(Bare {
            suite: Suite::Bookworm,
            login: Login::Root,
        }),
    };
    let lab = Lab::up(place, &plan, claim)?;
    let measured = lab
        .offer_agent(&product.agent)
        .map_err(Error::from)
        .and_then(|()| Measured::take(&lab, &plan, runs, binary));
    let down = lab::down(place, claim);
    let measured = measured?;
    down?;
    let goals = measured.goals();
    say::answer(&measured.table());
    say::answer(&report::verdicts(&goals));
    say::answer(&serde_json::to_string(&json!({
        "goals": goals, "ready": measured.ready, "apt": measured.apt,
        "unchanged": measured.unchanged, "ansible": measured.ansible,
    }))?);
    Ok(goals.iter().all(|goal| goal.held))
}

/// Wall seconds of each repetition.
#[derive(Debug, Default)]
struct Measured {
    ready: Vec<f64>,
    apt: Vec<f64>,
    unchanged: Vec<f64>,
    ansible: Vec<f64>,
}

impl Measured {
    fn take(lab: &Lab, plan: &Plan, runs: usize, binary: &Path) -> Result<Self, Error> {
        let controller = Controller::of(lab, binary);
        let seconds = |command: &mut Command| -> Result<f64, Error> {
            Ok(measure::run(command, &Cables::none())?.seconds)
        };
        let bootstrap = |words: &[&str]| {
            let words = [&["bootstrap", "demo"], words].concat();
            controller.command(&words)
        };
        let mut measured = Self::default();
        let [one, other, ..] = lab.hosts.as_slice() else {
            return Ok(measured);
        };
        for run in 1..=runs {
            say::step(&format!(
                "A bare host made ready: repetition {run} of {runs}"
            ));
            for host in [one, other] {
                lab.renew(host, plan)?;
            }
            // Whoever comes second finds a mirror that is warm: they take turns.
            let first = run % 2 == 1;
            if first {
                measured.apt.push(seconds(&mut apt(other))?);
            }
            let ready = seconds(&mut bootstrap(&["--on", &one.name]))?;
            measured.ready.push(ready);
            if !first {
                measured.apt.push(seconds(&mut apt(other))?);
            }
        }
        say::step("Making all of them ready");
        // Where apt was measured there is something that is not Longshore's.
        lab.renew(other, plan)?;
        seconds(&mut bootstrap(&[]))?;
        let ansible = ansible::Ansible::prepare(lab)?;
        seconds(&mut ansible.playbook())?;
        // Ansible has brought its own files; Longshore brings back its own, and both find nothing.
        seconds(&mut bootstrap(&[]))?;
        for run in 1..=runs {
            say::step(&format!("Nothing to change: repetition {run} of {runs}"));
            thread::sleep(std::time::Duration::from_secs(1));
            measured.ansible.push(seconds(&mut ansible.playbook())?);
            measured.unchanged.push(seconds(&mut bootstrap(&[]))?);
        }
        Ok(measured)
    }

    fn goals(&self) -> Vec<Goal> {
        let ratio =
            |ours: &[f64], theirs: &[f64]| Some(median(ours.to_vec())? / median(theirs.to_vec())?);
        vec![
            Goal::new(
                Some(1),
                "bare to ready / apt-get install",
                ratio(&self.ready, &self.apt),
                READY,
            ),
            Goal::new(
                Some(HOSTS),
                "nothing to change / Ansible",
                ratio(&self.unchanged, &self.ansible),
                UNCHANGED,
            ),
        ]
    }

    fn table(&self) -> String {
        let row = |what: &str, seconds: &[f64]| {
            let middle = median(seconds.to_vec()).unwrap_or_default();
            format!("{what:<44} {middle:>7.2} s\n")
        };
        [
            row("bare host to ready, longshore", &self.ready),
            row("the same packages alone, apt-get", &self.apt),
            row("nothing to change on 10 hosts, longshore", &self.unchanged),
            row("nothing to change on 10 hosts, Ansible", &self.ansible),
        ]
        .concat()
    }
}

fn apt(host: &Host) -> Command {
    let mut ssh = host.ssh();
    ssh.arg(format!(
        "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && \
         apt-get -qq -y --no-install-recommends install {PACKAGES}"
    ));
    ssh
}
