//! What Longshore promises, as ratios of medians of one run.

use serde::Serialize;

use super::figures::{Figures, Task, Tool};

/// The slowest that a 1 % change may be, beside the faster baseline, on one host and on more.
const CHANGE: f64 = 0.7;
const CHANGE_ON_MANY: f64 = 0.5;
/// The same of a first deployment, and of one that changes nothing: a baseline restarts even then.
const FIRST: f64 = 1.0;
const UNCHANGED: f64 = 0.2;
/// What a 1 % change may send, beside the floor and beside rsync.
const BYTES_TO_FLOOR: f64 = 1.2;
const BYTES_TO_RSYNC: f64 = 1.0;
/// The slowest that going back to a warm slot may be, beside a cold `ssh HOST true`.
const ROLLBACK: f64 = 1.3;
/// The longest gap under load, beside that of a plain restart.
const GAP: f64 = 0.1;
/// What a 1 % change may cost the controller on the most hosts, beside one.
const CPU_OF_MANY: f64 = 2.0;
/// How fast the controller's own SSH is to be, beside `ssh`.
const BULK: f64 = 0.9;
/// The slowest that building a release may be, beside `git archive | gzip`.
const BUILD: f64 = 1.5;

/// One promise and what came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Goal {
    /// Nothing where it is not about hosts.
    pub(super) hosts: Option<usize>,
    pub(super) name: &'static str,
    pub(super) ratio: f64,
    pub(super) limit: f64,
    pub(super) held: bool,
}

/// Every goal that the figures can tell of.
pub(super) fn judge(figures: &Figures, groups: &[usize]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for &hosts in groups {
        let ratio = |task: Task| {
            let ours = figures.seconds(hosts, task, Tool::Longshore)?;
            Some(ours / figures.baseline_seconds(hosts, task)?)
        };
        let gap = || {
            let ours = Task::ALL
                .into_iter()
                .filter_map(|task| figures.gap(hosts, Some(task), Tool::Longshore));
            Some(ours.reduce(f64::max)? / figures.gap(hosts, None, Tool::Tar)?)
        };
        let rollback = || {
            let ours = figures.seconds(hosts, Task::Rollback, Tool::Longshore)?;
            Some(ours / figures.cold_ssh(hosts)?)
        };
        let up = |tool| figures.bytes_up(hosts, Task::Change, tool);
        let floor = || Some(up(Tool::Longshore)? / (figures.floor? as f64 * hosts as f64));
        let rsync = || Some(up(Tool::Longshore)? / up(Tool::Rsync)?);
        let change = if hosts == 1 { CHANGE } else { CHANGE_ON_MANY };
        let wanted = [
            ("1 % change / faster baseline", ratio(Task::Change), change),
            ("its bytes / zstd --patch-from", floor(), BYTES_TO_FLOOR),
            ("its bytes / rsync's", rsync(), BYTES_TO_RSYNC),
            ("first / faster baseline", ratio(Task::First), FIRST),
            (
                "no change / faster baseline",
                ratio(Task::Unchanged),
                UNCHANGED,
            ),
            ("rollback / cold ssh HOST true", rollback(), ROLLBACK),
            ("longest gap / plain restart's", gap(), GAP),
        ];
        for (name, ratio, limit) in wanted {
            goals.push(Goal::new(Some(hosts), name, ratio, limit));
        }
    }
    let cpu = |hosts| figures.cpu_seconds(hosts, Task::Change, Tool::Longshore);
    if let (Some(most), Some(1)) = (groups.iter().max(), groups.iter().min())
        && *most > 1
    {
        let many = cpu(*most).zip(cpu(1)).map(|(many, one)| many / one);
        goals.push(Goal::new(
            Some(*most),
            "controller's CPU / for one host",
            many,
            CPU_OF_MANY,
        ));
    }
    let slowness = figures.bulk().map(|speed| 1.0 / speed);
    goals.push(Goal::new(
        None,
        "seconds for bytes / ssh's",
        slowness,
        1.0 / BULK,
    ));
    let build = figures
        .build(|build| build.longshore)
        .zip(figures.build(|build| build.git_archive))
        .map(|(ours, plain)| ours / plain);
    goals.push(Goal::new(None, "build / git archive | gzip", build, BUILD));
    goals
}

impl Goal {
    /// What could not be measured is not held.
    pub(super) fn new(
        hosts: Option<usize>,
        name: &'static str,
        ratio: Option<f64>,
        limit: f64,
    ) -> Self {
        let ratio = ratio.unwrap_or(f64::INFINITY);
        Self {
            hosts,
            name,
            ratio,
            limit,
            held: ratio <= limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bench::figures::{Build, Bulk, ColdSsh, Gap, Sample};

    fn add(figures: &mut Figures, hosts: usize, ours: f64, gap: f64) {
        for task in Task::ALL {
            for (tool, seconds) in [
                (Tool::Longshore, ours),
                (Tool::Tar, 3.0),
                (Tool::Rsync, 2.0),
            ] {
                figures.samples.push(Sample {
                    hosts,
                    run: 1,
                    task,
                    tool,
                    seconds,
                    cpu_seconds: if hosts == 1 { 1.0 } else { seconds },
                    bytes_up: (seconds * 1000.0) as u64 * hosts as u64,
                    bytes_down: 1,
                    switch_milliseconds: None,
                    steps: BTreeMap::new(),
                });
            }
        }
        let gaps = [
            (Some(Task::Change), Tool::Longshore, gap),
            (None, Tool::Tar, 500.0),
        ];
        for (task, tool, milliseconds) in gaps {
            figures.gaps.push(Gap {
                hosts,
                run: 1,
                task,
                tool,
                milliseconds,
                sent: 10,
                failed: 0,
            });
        }
        let seconds = 0.5;
        figures.cold_ssh.push(ColdSsh { hosts, seconds });
    }

    fn figures(ours: f64, gap: f64) -> Figures {
        let mut figures = Figures::default();
        add(&mut figures, 1, ours, gap);
        add(&mut figures, 10, ours, gap);
        figures.floor = Some(1000);
        figures.bulks.push(Bulk {
            longshore: ours,
            ssh: 1.0,
        });
        figures.builds.push(Build {
            run: 1,
            longshore: ours,
            git_archive: 1.0,
        });
        figures
    }

    #[test]
    fn goals_compare_with_what_was_measured_beside_and_can_be_missed() {
        let held = |ours, gap| -> Vec<bool> {
            let goals = judge(&figures(ours, gap), &[1, 10]);
            goals.iter().map(|goal| goal.held).collect()
        };
        assert_eq!(held(0.3, 40.0), [true; 17]);
        assert_eq!(held(2.1, 60.0), [false; 17]);
        let nothing = judge(&Figures::default(), &[1, 10]);
        assert!(nothing.iter().all(|goal| !goal.held));
        assert_eq!(nothing.len(), 17);
    }
}
