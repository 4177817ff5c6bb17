//! The figures as a table for people.

use super::figures::{Bulk, Figures, Task, Tool, median};
use super::goals::Goal;

/// One table for each number of hosts.
pub(super) fn table(figures: &Figures, groups: &[usize]) -> String {
    let mut text = String::new();
    for &hosts in groups {
        let plural = if hosts == 1 { "" } else { "s" };
        text.push_str(&format!(
            "\n{hosts} host{plural}\n{:<13} {:<10} {:>7} {:>6} {:>6} {:>8} {:>8} {:>9} {:>7} {:>6}\n",
            "", "", "wall s", "ratio", "CPU s", "MB up", "MB down", "switch ms", "gap ms", "failed"
        ));
        for task in Task::ALL {
            for tool in Tool::ALL {
                text.push_str(&row(figures, hosts, task, tool));
            }
        }
        text.push_str(&format!(
            "{:<13} {:<10} {:>7} {:>6} {:>6} {:>8} {:>8} {:>9} {:>7}\n",
            "plain restart",
            "systemctl",
            "",
            "",
            "",
            "",
            "",
            "",
            number(figures.gap(hosts, None, Tool::Tar), 0)
        ));
        for task in [Task::First, Task::Second, Task::Change, Task::Rollback] {
            text.push_str(&steps(figures, hosts, task));
        }
    }
    text.push_str(&format!(
        "\nbuild and sign: {} s; git archive | gzip: {} s\n",
        number(figures.build(|build| build.longshore), 2),
        number(figures.build(|build| build.git_archive), 2),
    ));
    for &hosts in groups {
        text.push_str(&format!(
            "a cold `ssh HOST true` on {hosts} at once: {} ms\n",
            number(figures.cold_ssh(hosts).map(|seconds| seconds * 1000.0), 0)
        ));
    }
    let bulk = |seconds: fn(&Bulk) -> f64| median(figures.bulks.iter().map(seconds).collect());
    text.push_str(&format!(
        "1 GiB to a host: {} s; by ssh: {} s\n",
        number(bulk(|bulk| bulk.longshore), 2),
        number(bulk(|bulk| bulk.ssh), 2)
    ));
    text.push_str(&format!(
        "zstd -3 --patch-from of the 1 % change's two tars: {} MB\n",
        number(figures.floor.map(|bytes| bytes as f64 / 1e6), 3)
    ));
    text
}

fn row(figures: &Figures, hosts: usize, task: Task, tool: Tool) -> String {
    let median = |figure: fn(&super::figures::Sample) -> Option<f64>| {
        figures.median(hosts, task, tool, figure)
    };
    let seconds = figures.seconds(hosts, task, tool);
    let ratio = seconds
        .zip(figures.baseline_seconds(hosts, task))
        .map(|(seconds, baseline)| seconds / baseline);
    let gap = figures.gap(hosts, Some(task), tool);
    let failed = gap.map(|_| figures.failed(hosts, task, tool) as f64);
    format!(
        "{:<13} {:<10} {:>7} {:>6} {:>6} {:>8} {:>8} {:>9} {:>7} {:>6}\n",
        if tool == Tool::Longshore {
            task.name()
        } else {
            ""
        },
        tool.name(),
        number(seconds, 2),
        number(ratio, 2),
        number(median(|sample| Some(sample.cpu_seconds)), 2),
        number(median(|sample| Some(sample.bytes_up as f64 / 1e6)), 3),
        number(median(|sample| Some(sample.bytes_down as f64 / 1e6)), 3),
        number(median(|sample| sample.switch_milliseconds), 0),
        number(gap, 0),
        number(failed, 0),
    )
}

/// Where the agent's time goes, for whoever wants it shorter.
fn steps(figures: &Figures, hosts: usize, task: Task) -> String {
    let steps: Vec<String> = figures
        .steps(hosts, task)
        .into_iter()
        .map(|(step, milliseconds)| format!("{step} {milliseconds:.0}"))
        .collect();
    if steps.is_empty() {
        return String::new();
    }
    format!("{}, agent's ms: {}\n", task.name(), steps.join(", "))
}

/// The promises, one a line.
pub(super) fn verdicts(goals: &[Goal]) -> String {
    let mut text = String::from("\ngoals\n");
    for goal in goals {
        let verdict = if goal.held { "PASS" } else { "MISS" };
        let hosts = goal
            .hosts
            .map_or_else(String::new, |hosts| format!("{hosts:>2} host(s)"));
        text.push_str(&format!(
            "{verdict}  {hosts:<10}  {:<30} {:>6.2}  at most {:.2}\n",
            goal.name, goal.ratio, goal.limit
        ));
    }
    text
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| String::from("-"), |value| format!("{value:.digits$}"))
}
