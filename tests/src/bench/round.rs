//! One group of hosts and one repetition on it: every task with every tool in turn, first in
//! silence for time and bytes, then under load for the gaps.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Error;
use super::baseline::{self, Baseline, Push};
use super::figures::{ColdSsh, Figures, Gap, Sample, Task, Tool, median};
use super::measure::{self, Cables, Cost};
use super::payload::{FIRST, FOURTH, Release, SECOND, THIRD};
use super::product::{self, OnHost, Releases};
use crate::controller::Controller;
use crate::host::Host;
use crate::lab::Lab;
use crate::load::Load;
use crate::{process, say};

/// On one host; on many they share what the machine can do.
const MOST_REQUESTS_A_SECOND: f64 = 200.0;
const LEAST_REQUESTS_A_SECOND: f64 = 25.0;
const ALL_REQUESTS_A_SECOND: f64 = 250.0;
const BEFORE_AND_AFTER: Duration = Duration::from_millis(700);

/// A group of hosts with all three ways to deploy to it.
pub(super) struct Round<'a> {
    hosts: &'a [Host],
    cables: Cables,
    controller: Controller,
    releases: &'a Releases,
    tar: Baseline,
    rsync: Baseline,
    folder: PathBuf,
}

/// One task of one repetition.
#[derive(Clone, Copy)]
struct Turn {
    run: usize,
    task: Task,
    /// What the change brings.
    release: Release,
}

impl Turn {
    /// What serves afterwards.
    fn wanted(self) -> Release {
        match self.task {
            Task::First => FIRST,
            Task::Second | Task::Rollback => SECOND,
            Task::Change | Task::Unchanged => self.release,
        }
    }

    /// A folder on the host for each push, as scripts make them, and the first one's to go back to.
    fn id(self) -> String {
        let version = self.wanted().version;
        let suffix = if self.task == Task::Unchanged {
            "-again"
        } else {
            ""
        };
        format!("{version}{suffix}")
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(
        lab: &Lab,
        binary: &Path,
        folder: &Path,
        hosts: &'a [Host],
        releases: &'a Releases,
    ) -> Result<Self, Error> {
        let round = Self {
            hosts,
            cables: Cables::of(hosts, lab.place().tag()),
            controller: product::controller(lab, binary, hosts)?,
            releases,
            tar: Baseline::new("plain-tar", folder),
            rsync: Baseline::new("plain-rsync", folder),
            folder: folder.to_path_buf(),
        };
        round.tar.install(hosts)?;
        round.rsync.install(hosts)?;
        Ok(round)
    }

    pub(super) fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// One whole repetition. Afterwards the hosts are as before it, but for one more app.
    pub(super) fn measure(&self, run: usize, figures: &mut Figures) -> Result<(), Error> {
        for task in Task::ALL {
            if task == Task::Change {
                product::end_cooldown(self.hosts, &product::app_name(run))?;
            }
            let turn = Turn {
                run,
                task,
                release: THIRD,
            };
            for tool in turns(run) {
                let sample = self.in_silence(turn, tool)?;
                say::line(&format!(
                    "{:<13} {:<10} {:>6.2} s",
                    task.name(),
                    tool.name(),
                    sample.seconds
                ));
                figures.samples.push(sample);
            }
        }
        for task in [Task::Change, Task::Unchanged, Task::Rollback] {
            let turn = Turn {
                run,
                task,
                release: FOURTH,
            };
            for tool in turns(run) {
                let gap =
                    self.under_load(run, Some(task), tool, || self.work(turn, tool).map(drop))?;
                figures.gaps.push(gap);
            }
        }
        let restart = || self.tar.restart(self.hosts);
        figures
            .gaps
            .push(self.under_load(run, None, Tool::Tar, restart)?);
        let mut ssh = baseline::cold_ssh(&self.folder, self.hosts);
        figures.cold_ssh.push(ColdSsh {
            hosts: self.hosts.len(),
            seconds: measure::run(&mut ssh, &self.cables)?.seconds,
        });
        self.tar.reset(self.hosts)?;
        self.rsync.reset(self.hosts)?;
        product::stop(self.hosts, &product::app_name(run))
    }

    fn in_silence(&self, turn: Turn, tool: Tool) -> Result<Sample, Error> {
        // What the tool before has written must not be flushed on this one's time.
        process::run(&mut Command::new("sync"))?;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let cost = self.work(turn, tool)?;
        self.verify(turn, tool)?;
        let on_host = match tool {
            Tool::Longshore => product::on_hosts(self.hosts, &product::app_name(turn.run), since)?,
            Tool::Tar | Tool::Rsync => OnHost {
                switch: baseline::switch_milliseconds(&cost.said),
                ..OnHost::default()
            },
        };
        Ok(Sample {
            hosts: self.hosts.len(),
            run: turn.run,
            task: turn.task,
            tool,
            seconds: cost.seconds,
            cpu_seconds: cost.cpu_seconds,
            bytes_up: cost.up,
            bytes_down: cost.down,
            switch_milliseconds: median(on_host.switch),
            steps: on_host
                .steps
                .into_iter()
                .filter_map(|(step, values)| Some((step, median(values)?)))
                .collect(),
        })
    }

    fn work(&self, turn: Turn, tool: Tool) -> Result<Cost, Error> {
        measure::run(&mut self.command(turn, tool), &self.cables)
    }

    fn command(&self, turn: Turn, tool: Tool) -> Command {
        let release = turn.wanted();
        let (baseline, push) = match tool {
            Tool::Longshore => {
                let app = product::app_name(turn.run);
                return match turn.task {
                    Task::Rollback => product::rollback(&self.controller, &app),
                    _ => self.releases.deploy(&self.controller, &app, release),
                };
            }
            Tool::Tar => (&self.tar, Push::Tar),
            Tool::Rsync => (&self.rsync, Push::Rsync),
        };
        let push = match turn.task {
            Task::Rollback => Push::Nothing,
            _ => push,
        };
        let tree = self.folder.join(release.version);
        baseline.command(push, &tree, &turn.id(), release.version, self.hosts)
    }

    fn domain(&self, run: usize, tool: Tool) -> String {
        match tool {
            Tool::Longshore => product::domain(&product::app_name(run)),
            Tool::Tar => self.tar.domain(),
            Tool::Rsync => self.rsync.domain(),
        }
    }

    /// Speed counts only towards the same end.
    fn verify(&self, turn: Turn, tool: Tool) -> Result<(), Error> {
        let header = format!("Host: {}", self.domain(turn.run, tool));
        for host in self.hosts {
            let words = ["curl", "-s", "-H", &header, "http://127.0.0.1/version"];
            let output = host.exec(&words)?;
            let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let wanted = turn.wanted().version;
            if answer != wanted {
                return Err(Error::WrongState {
                    tool: tool.name(),
                    host: host.name.clone(),
                    answer,
                    wanted: wanted.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn under_load(
        &self,
        run: usize,
        task: Option<Task>,
        tool: Tool,
        work: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Gap, Error> {
        let targets: Vec<SocketAddr> = self
            .hosts
            .iter()
            .map(|host| SocketAddr::from((host.address, 80)))
            .collect();
        let share = ALL_REQUESTS_A_SECOND / self.hosts.len() as f64;
        let mut load = Load::on(targets, &self.domain(run, tool));
        load.workers = 8;
        load.rate = Some(share.clamp(LEAST_REQUESTS_A_SECOND, MOST_REQUESTS_A_SECOND));
        let running = load.start();
        thread::sleep(BEFORE_AND_AFTER);
        let worked = work();
        thread::sleep(BEFORE_AND_AFTER);
        // Stopping waits for workers that pause between requests, which is no gap of the site's.
        let longest_gap = running.so_far().longest_gap;
        let outcome = running.stop();
        worked?;
        let gap = Gap {
            hosts: self.hosts.len(),
            run,
            task,
            tool,
            milliseconds: longest_gap.as_secs_f64() * 1000.0,
            sent: outcome.sent,
            failed: outcome.failed,
        };
        say::line(&format!(
            "{:<13} {:<10} longest gap {:>5.0} ms, {} of {} failed",
            task.map_or("plain restart", Task::name),
            if task.is_some() {
                tool.name()
            } else {
                "systemctl"
            },
            gap.milliseconds,
            gap.failed,
            gap.sent
        ));
        Ok(gap)
    }
}

/// Whoever goes first may find a colder machine, so all take turns.
fn turns(run: usize) -> [Tool; 3] {
    let mut tools = Tool::ALL;
    tools.rotate_left(run % Tool::ALL.len());
    tools
}
