//! Longshore's side: releases built and signed beforehand, deployed with the real controller; and
//! what the agents' ledgers say of the time on the hosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use super::measure::{self, Cables};
use super::payload::{self, Release, Weight};
use crate::controller::Controller;
use crate::host::Host;
use crate::lab::Lab;
use crate::{inventory, process};

const LEDGER: &str = "/var/lib/longshore/ledger.db";
/// Reached after the last link: the release serves.
const AFTER_THE_SWITCH: &str = "settle";

/// An app of its own for each repetition, so that each has a first deployment.
pub(super) fn app_name(run: usize) -> String {
    format!("bench{run}")
}

/// What a commit is called.
pub(super) fn tag(app: &str, release: Release) -> String {
    format!("{app}-{}", release.version)
}

fn app_file(app: &str) -> String {
    format!(
        "[app]\nname = \"{app}\"\n\n[web]\ngunicorn = \"app:application\"\nworkers = 2\n\
         health = {{ path = \"/healthz\", version = \"/version\", timeout = \"60s\" }}\n"
    )
}

/// The repository from which all releases are built.
#[derive(Debug)]
pub(super) struct Releases {
    folder: PathBuf,
    controller: Controller,
    key: String,
}

impl Releases {
    /// Builds and signs all versions for every repetition.
    pub(super) fn build(
        folder: &Path,
        lab: &Lab,
        binary: &Path,
        runs: usize,
    ) -> Result<(Self, Weight), Error> {
        fs_err::create_dir_all(folder)?;
        let git = |words: &[&str]| -> Result<(), Error> {
            let mut git = Command::new("git");
            git.current_dir(folder);
            git.env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1");
            let who = ["-c", "user.name=Lab", "-c", "user.email=lab@example.com"];
            process::run(git.args(who).args(words))?;
            Ok(())
        };
        git(&["init", "--quiet", "--initial-branch=main"])?;
        let releases = Self {
            folder: folder.to_path_buf(),
            controller: Controller::of(lab, binary).in_folder(folder),
            key: lab.keys.signing.file.display().to_string(),
        };
        let mut weight = Weight::default();
        for release in payload::ALL {
            weight = payload::write(folder, release)?;
            for app in (1..=runs).map(app_name) {
                fs_err::write(folder.join("longshore.toml"), app_file(&app))?;
                git(&["add", "--all"])?;
                let tag = tag(&app, release);
                git(&["commit", "--quiet", "--message", &tag])?;
                git(&["tag", &tag])?;
                measure::run(&mut releases.build_again(&app, release), &Cables::none())?;
            }
        }
        Ok((releases, weight))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `longshore build` of a commit.
    pub(super) fn build_again(&self, app: &str, release: Release) -> Command {
        let (tag, key) = (tag(app, release), &self.key);
        let words = [
            "build",
            "--ref",
            &tag,
            "--version",
            release.version,
            "--key",
            key,
        ];
        self.controller.command(&words)
    }

    pub(super) fn tarball(&self, app: &str, release: Release) -> PathBuf {
        self.folder
            .join("dist")
            .join(format!("{app}-{}.tar.gz", release.version))
    }

    /// `longshore deploy` of a release.
    pub(super) fn deploy(&self, controller: &Controller, app: &str, release: Release) -> Command {
        let tarball = self.tarball(app, release).display().to_string();
        let words = ["deploy", super::ENVIRONMENT, "--release", &tarball];
        command(controller, app, &words)
    }
}

/// `longshore rollback`.
pub(super) fn rollback(controller: &Controller, app: &str) -> Command {
    command(controller, app, &["rollback", super::ENVIRONMENT])
}

fn command(controller: &Controller, app: &str, words: &[&str]) -> Command {
    let mut command = controller.clone().for_app(app).command(words);
    command.args(["--json", "--yes"]);
    command
}

/// A controller that knows these hosts alone.
pub(super) fn controller(lab: &Lab, binary: &Path, hosts: &[Host]) -> Result<Controller, Error> {
    let apps: Vec<(String, String)> = (1..=super::MOST_RUNS)
        .map(app_name)
        .map(|app| (app.clone(), domain(&app)))
        .collect();
    let apps: BTreeMap<&str, &str> = apps
        .iter()
        .map(|(app, domain)| (app.as_str(), domain.as_str()))
        .collect();
    let hosts: Vec<&Host> = hosts.iter().collect();
    let file = format!("inventory-{}.toml", hosts.len());
    // Beside the lab's own, where the signers are.
    let file = lab.place().folder().join(file);
    fs_err::write(&file, inventory::render(super::ENVIRONMENT, &hosts, &apps))?;
    Ok(Controller::of(lab, binary).with_inventory(&file))
}

pub(super) fn domain(app: &str) -> String {
    format!("{app}.test")
}

/// What the agents wrote down about the newest orders for an app.
#[derive(Debug, Clone, Default)]
pub(super) struct OnHost {
    /// From the order to the last link, on each host where something was switched.
    pub(super) switch: Vec<f64>,
    /// Milliseconds of each step, by order and step, on each host.
    pub(super) steps: BTreeMap<String, Vec<f64>>,
}

/// Reads the operations of an app since the given moment, on each host.
pub(super) fn on_hosts(hosts: &[Host], app: &str, since: u128) -> Result<OnHost, Error> {
    let mut told = OnHost::default();
    for host in hosts {
        let query = format!(
            "select o.id, o.verb, o.begun, coalesce(o.ended, 0), coalesce(s.step, ''), \
             coalesce(s.begun, 0) from operations o left join steps s on s.operation = o.id \
             where o.app = '{app}' and o.begun >= {since} order by o.id, s.rowid;"
        );
        let output = host.exec(&["sqlite3", "-readonly", LEDGER, &query])?;
        told.add(&String::from_utf8_lossy(&output.stdout));
    }
    Ok(told)
}

impl OnHost {
    fn add(&mut self, rows: &str) {
        let mut operations: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
        for row in rows.lines().filter_map(Row::read) {
            operations.entry(row.operation).or_default().push(row);
        }
        for rows in operations.values() {
            self.add_operation(rows);
        }
    }

    fn add_operation(&mut self, rows: &[Row]) {
        let Some(first) = rows.first() else { return };
        let steps: Vec<(&str, f64)> = rows
            .iter()
            .filter(|row| !row.step.is_empty())
            .map(|row| (row.step.as_str(), row.step_begun))
            .collect();
        let mut note = |step: &str, milliseconds: f64| {
            let name = format!("{}/{step}", first.verb);
            self.steps.entry(name).or_default().push(milliseconds);
        };
        note("all", first.ended - first.begun);
        if let Some((_, begun)) = steps.first() {
            note("before", begun - first.begun);
        }
        for (at, (step, begun)) in steps.iter().enumerate() {
            let next = steps.get(at + 1).map_or(first.ended, |(_, begun)| *begun);
            note(step, next - begun);
        }
        let served = steps.iter().find(|(step, _)| *step == AFTER_THE_SWITCH);
        if let Some((_, served)) = served {
            self.switch.push(served - first.begun);
        }
    }
}

struct Row {
    operation: u64,
    verb: String,
    begun: f64,
    ended: f64,
    step: String,
    step_begun: f64,
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let [operation, verb, begun, ended, step, step_begun] =
            line.split('|').collect::<Vec<_>>().try_into().ok()?;
        Some(Self {
            operation: operation.parse().ok()?,
            verb: verb.to_owned(),
            begun: begun.parse().ok()?,
            ended: ended.parse().ok()?,
            step: step.to_owned(),
            step_begun: step_begun.parse().ok()?,
        })
    }
}

/// Stops the slot that was left, as the agent does when its cool-down is over.
pub(super) fn end_cooldown(hosts: &[Host], app: &str) -> Result<(), Error> {
    super::baseline::on_all(hosts, |host| {
        host.sh(&format!(
            "cd /srv/longshore/{app}/slots && \
             case $(readlink live) in blue) left=green;; *) left=blue;; esac && \
             systemctl stop longshore-{app}@$left"
        ))?;
        Ok(())
    })
}

/// Stops what an app runs, so that it does not weigh on the next repetition.
pub(super) fn stop(hosts: &[Host], app: &str) -> Result<(), Error> {
    super::baseline::on_all(hosts, |host| {
        host.sh(&format!(
            "systemctl stop longshore-{app}@blue longshore-{app}@green && \
             rm -rf /srv/longshore/{app}/releases"
        ))?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_tells_each_step_and_the_switch() {
        let mut told = OnHost::default();
        told.add(
            "4|stage|100|140|receive|110\n5|deploy|200|950|slot|205\n5|deploy|200|950|links|900\n\
             5|deploy|200|950|settle|910\n",
        );
        assert_eq!(told.switch, [710.0]);
        assert_eq!(told.steps["stage/receive"], [30.0]);
        assert_eq!(told.steps["deploy/slot"], [695.0]);
        assert_eq!(told.steps["deploy/all"], [750.0]);
    }
}
