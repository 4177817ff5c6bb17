//! What Longshore promises, as ratios of medians of one run.

use serde::Serialize;

use super::figures::{Figures, Task, Tool};

/// The slowest that a 1 % change may be, beside the faster baseline.
const CHANGE: f64 = 1.0;
/// The slowest that going back to a warm slot may be, beside the faster baseline's way back.
const ROLLBACK: f64 = 0.4;
/// The longest gap under load, beside that of a plain restart.
const GAP: f64 = 0.1;

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
        let wanted = [
            ("1 % change / faster baseline", ratio(Task::Change), CHANGE),
            (
                "rollback / faster baseline",
                ratio(Task::Rollback),
                ROLLBACK,
            ),
            ("longest gap / plain restart's", gap(), GAP),
        ];
        for (name, ratio, limit) in wanted {
            goals.push(Goal::new(Some(hosts), name, ratio, limit));
        }
    }
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
    use crate::bench::figures::{Build, Gap, Sample};

    fn figures(ours: f64, gap: f64) -> Figures {
        let mut figures = Figures::default();
        for task in [Task::Change, Task::Rollback] {
            for (tool, seconds) in [
                (Tool::Longshore, ours),
                (Tool::Tar, 3.0),
                (Tool::Rsync, 2.0),
            ] {
                figures.samples.push(Sample {
                    hosts: 1,
                    run: 1,
                    task,
                    tool,
                    seconds,
                    cpu_seconds: 0.1,
                    bytes_up: 1,
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
                hosts: 1,
                run: 1,
                task,
                tool,
                milliseconds,
                sent: 10,
                failed: 0,
            });
        }
        figures.builds.push(Build {
            run: 1,
            longshore: ours,
            git_archive: 1.0,
        });
        figures
    }

    #[test]
    fn goals_compare_with_the_faster_baseline_and_can_be_missed() {
        let held = |ours, gap| -> Vec<bool> {
            let goals = judge(&figures(ours, gap), &[1]);
            goals.iter().map(|goal| goal.held).collect()
        };
        assert_eq!(held(0.7, 40.0), [true; 4]);
        assert_eq!(held(2.1, 60.0), [false; 4]);
        let nothing = judge(&Figures::default(), &[1]);
        assert!(nothing.iter().all(|goal| !goal.held));
    }
}
