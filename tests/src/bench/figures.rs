//! What was measured, and medians of it.

use std::collections::BTreeMap;

use serde::Serialize;

/// A way to deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tool {
    Longshore,
    Tar,
    Rsync,
}

impl Tool {
    pub(super) const ALL: [Self; 3] = [Self::Longshore, Self::Tar, Self::Rsync];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Longshore => "longshore",
            Self::Tar => "tar | ssh",
            Self::Rsync => "rsync",
        }
    }
}

/// What is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    First,
    /// The second deployment of all: the first one into the other slot.
    Second,
    /// As most deployments are: both slots were used before, and nothing is warm any more.
    Change,
    Unchanged,
    Rollback,
}

impl Task {
    /// In the order in which they are done.
    pub(super) const ALL: [Self; 5] = [
        Self::First,
        Self::Second,
        Self::Change,
        Self::Unchanged,
        Self::Rollback,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::First => "first deploy",
            Self::Second => "second, 1 %",
            Self::Change => "1 % change",
            Self::Unchanged => "no change",
            Self::Rollback => "rollback",
        }
    }
}

/// One task, once.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sample {
    pub(super) hosts: usize,
    pub(super) run: usize,
    pub(super) task: Task,
    pub(super) tool: Tool,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    /// The median of the hosts' own time from the beginning of the switch to its end.
    pub(super) switch_milliseconds: Option<f64>,
    /// Medians of the agents' steps.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) steps: BTreeMap<String, f64>,
}

/// One task under load, once.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Gap {
    pub(super) hosts: usize,
    pub(super) run: usize,
    /// Nothing is a plain restart.
    pub(super) task: Option<Task>,
    pub(super) tool: Tool,
    /// The longest time without a good answer on any one host.
    pub(super) milliseconds: f64,
    pub(super) sent: u64,
    pub(super) failed: u64,
}

/// A release of the whole payload, built once.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Build {
    pub(super) run: usize,
    /// Wall seconds of `longshore build`.
    pub(super) longshore: f64,
    /// Wall seconds of `git archive | gzip`.
    pub(super) git_archive: f64,
}

/// A cold `ssh HOST true` on all hosts at once.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ColdSsh {
    pub(super) hosts: usize,
    pub(super) seconds: f64,
}

/// The same bytes to a host in two ways.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Bulk {
    /// Wall seconds through the controller's own SSH.
    pub(super) longshore: f64,
    /// Wall seconds through `ssh`.
    pub(super) ssh: f64,
}

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) samples: Vec<Sample>,
    pub(super) gaps: Vec<Gap>,
    pub(super) builds: Vec<Build>,
    pub(super) cold_ssh: Vec<ColdSsh>,
    pub(super) bulks: Vec<Bulk>,
    /// Bytes that `zstd --patch-from` makes of the 1 % change.
    pub(super) floor: Option<u64>,
}

impl Figures {
    /// The median time of a cold `ssh HOST true` on so many hosts at once.
    pub(super) fn cold_ssh(&self, hosts: usize) -> Option<f64> {
        let same = self.cold_ssh.iter().filter(|cold| cold.hosts == hosts);
        median(same.map(|cold| cold.seconds).collect())
    }

    /// How fast the controller's own SSH is beside `ssh`.
    pub(super) fn bulk(&self) -> Option<f64> {
        let ratio = |bulk: &Bulk| bulk.ssh / bulk.longshore;
        median(self.bulks.iter().map(ratio).collect())
    }

    /// The median of one figure of the builds.
    pub(super) fn build(&self, figure: impl Fn(&Build) -> f64) -> Option<f64> {
        median(self.builds.iter().map(figure).collect())
    }

    /// The median of one figure of one task.
    pub(super) fn median(
        &self,
        hosts: usize,
        task: Task,
        tool: Tool,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<f64> {
        let same =
            |sample: &&Sample| (sample.hosts, sample.task, sample.tool) == (hosts, task, tool);
        median(
            self.samples
                .iter()
                .filter(same)
                .filter_map(figure)
                .collect(),
        )
    }

    /// Wall seconds.
    pub(super) fn seconds(&self, hosts: usize, task: Task, tool: Tool) -> Option<f64> {
        self.median(hosts, task, tool, |sample| Some(sample.seconds))
    }

    /// The controller's processor time, or what stands in its place.
    pub(super) fn cpu_seconds(&self, hosts: usize, task: Task, tool: Tool) -> Option<f64> {
        self.median(hosts, task, tool, |sample| Some(sample.cpu_seconds))
    }

    /// Bytes to all hosts.
    pub(super) fn bytes_up(&self, hosts: usize, task: Task, tool: Tool) -> Option<f64> {
        self.median(hosts, task, tool, |sample| Some(sample.bytes_up as f64))
    }

    /// Wall seconds of the faster baseline.
    pub(super) fn baseline_seconds(&self, hosts: usize, task: Task) -> Option<f64> {
        let tar = self.seconds(hosts, task, Tool::Tar)?;
        Some(tar.min(self.seconds(hosts, task, Tool::Rsync)?))
    }

    /// The median of the longest gaps; of a plain restart where no task is named.
    pub(super) fn gap(&self, hosts: usize, task: Option<Task>, tool: Tool) -> Option<f64> {
        let same = |gap: &&Gap| (gap.hosts, gap.task, gap.tool) == (hosts, task, tool);
        let gaps = self.gaps.iter().filter(same);
        median(gaps.map(|gap| gap.milliseconds).collect())
    }

    /// Requests that failed in all repetitions of a task.
    pub(super) fn failed(&self, hosts: usize, task: Task, tool: Tool) -> u64 {
        let same = |gap: &&Gap| (gap.hosts, gap.task, gap.tool) == (hosts, Some(task), tool);
        self.gaps.iter().filter(same).map(|gap| gap.failed).sum()
    }

    /// The median of each step of the agent in one task.
    pub(super) fn steps(&self, hosts: usize, task: Task) -> BTreeMap<String, f64> {
        let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for sample in &self.samples {
            if (sample.hosts, sample.task) == (hosts, task) {
                for (step, milliseconds) in &sample.steps {
                    all.entry(step).or_default().push(*milliseconds);
                }
            }
        }
        all.into_iter()
            .filter_map(|(step, values)| Some((step.to_owned(), median(values)?)))
            .collect()
    }
}

/// The value in the middle, or between the two there; nothing of nothing.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*values.get(middle - 1)?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
