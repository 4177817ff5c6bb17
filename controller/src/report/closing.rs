//! The last words of a run: a table, what went wrong on which host and what to do, and how things
//! stand. Pure.

use std::collections::BTreeSet;

use longshore_shared::name::HostName;

use super::table::columns;
use crate::exit_code::Exit;
use crate::rollout::{HostFailure, HostResult, Outcome, RunEnd, Serving};
use crate::terminal_text::one_line;

/// As many lines of a host's log as a person reads.
/// A traceback and what comes before it.
const LOG_LINES: usize = 50;

/// All lines, in order.
pub(super) fn closing(end: &RunEnd) -> Vec<String> {
    let rows: Vec<Vec<String>> = end.hosts.iter().map(row).collect();
    let mut lines: Vec<String> = columns(&rows)
        .into_iter()
        .map(|line| format!("  {line}"))
        .collect();
    for host in &end.hosts {
        let remarks = host.remarks.iter().filter(|remark| !remark.is_empty());
        lines.extend(remarks.map(|remark| format!("{}: {}", host.host, one_line(remark))));
    }
    let failed = end
        .hosts
        .iter()
        .filter_map(|host| Some((&host.host, host.failure.as_ref()?)));
    lines.extend(failures(failed));
    lines.push(last_line(end));
    let offline = |host: &HostResult| host.outcome == Outcome::Unreachable;
    if end.exit == Exit::Failed && end.hosts.iter().any(offline) {
        lines.push("To go on without the hosts that cannot be reached: --skip-offline".to_owned());
    }
    if let Some(words) = match end.exit {
        Exit::Interrupted => Some("Run the same command again to go on; see with"),
        Exit::Mixed => Some("Look with"),
        _ => None,
    } {
        lines.push(format!(
            "{words}: longshore status {} --app {}",
            end.environment, end.app
        ));
    }
    lines
}

/// What went wrong and what to do; hosts with the same trouble are named together.
pub(crate) fn failures<'a>(
    hosts: impl IntoIterator<Item = (&'a HostName, &'a HostFailure)>,
) -> Vec<String> {
    let mut groups: Vec<(&HostFailure, Vec<&str>)> = Vec::new();
    for (host, failure) in hosts {
        match groups.iter_mut().find(|(known, _)| *known == failure) {
            Some((_, names)) => names.push(host.as_str()),
            None => groups.push((failure, vec![host.as_str()])),
        }
    }
    let mut lines = Vec::new();
    for (failure, names) in groups {
        lines.push(String::new());
        lines.push(format!("{}: {}", names.join(", "), one_line(&failure.what)));
        lines.extend(
            failure
                .causes
                .iter()
                .map(|cause| format!("  {}", one_line(cause))),
        );
        let probe = failure.probe.iter();
        lines.extend(probe.map(|probe| format!("  last probe: {}", one_line(probe))));
        let skip = failure.log.len().saturating_sub(LOG_LINES);
        let log = failure.log.iter().skip(skip);
        lines.extend(log.map(|line| format!("  | {}", one_line(line))));
        lines.extend(
            failure
                .hints
                .iter()
                .map(|hint| format!("  → {}", one_line(hint))),
        );
    }
    lines
}

fn row(host: &HostResult) -> Vec<String> {
    let serves = match &host.serves {
        Serving::Version(version) => version.to_string(),
        Serving::Nothing => "serves nothing".to_owned(),
        Serving::NotKnown => "not known".to_owned(),
    };
    let was = match &host.before {
        Serving::Version(_) if host.serves == host.before => String::new(),
        Serving::Version(before) if host.outcome == Outcome::Switched => format!("was {before}"),
        _ => String::new(),
    };
    vec![
        host.host.to_string(),
        host.outcome.word().to_owned(),
        serves,
        was,
        format!("{:.1} s", host.seconds),
    ]
}

fn last_line(end: &RunEnd) -> String {
    let version = end.version.as_ref().map(|version| format!(" {version}"));
    format!(
        "{} {}{} on {}: {} ({:.1} s)",
        end.verb,
        end.app,
        version.unwrap_or_default(),
        end.environment,
        how_it_stands(end),
        end.seconds
    )
}

fn how_it_stands(end: &RunEnd) -> String {
    let names = |wanted: fn(&HostResult) -> bool| -> String {
        let chosen = end.hosts.iter().filter(|host| wanted(host));
        let names: Vec<&str> = chosen.map(|host| host.host.as_str()).collect();
        names.join(", ")
    };
    match end.exit {
        Exit::Done | Exit::Command(_) => match names(HostResult::is_left_out).as_str() {
            "" => "done".to_owned(),
            left_out => format!("done, without {left_out}"),
        },
        Exit::Failed => "failed; every host serves what it served before".to_owned(),
        Exit::Refused => "refused; every host serves what it served before".to_owned(),
        Exit::Interrupted => {
            "interrupted; the locks are released, and above is what serves".to_owned()
        }
        Exit::Usage => "not begun".to_owned(),
        Exit::Mixed => {
            let known: BTreeSet<_> = end
                .hosts
                .iter()
                .filter_map(|h| h.serves.version())
                .collect();
            let lost = names(|host| host.uncertain);
            let mut text = "failed".to_owned();
            if known.len() > 1 {
                text.push_str("; the hosts serve different releases, see above");
            }
            if !lost.is_empty() {
                text.push_str(&format!("; what {lost} serves is not known"));
            } else if known.len() < 2 {
                text.push_str("; above is what each host serves now");
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semver::Version;

    fn host(name: &str, outcome: Outcome, serves: Serving, why: Option<&str>) -> HostResult {
        HostResult {
            host: HostName::new(name).unwrap(),
            outcome,
            serves,
            before: Serving::Version(Version::new(1, 0, 0)),
            seconds: 1.0,
            failure: why.map(|why| HostFailure {
                what: why.to_owned(),
                ..HostFailure::default()
            }),
            uncertain: false,
            revoked: false,
            past_migrations: false,
            remarks: vec![],
        }
    }

    fn text(exit: Exit, hosts: Vec<HostResult>) -> String {
        let end = RunEnd {
            verb: "deploy",
            app: "cortico".into(),
            environment: "staging".into(),
            version: Some(Version::new(2, 0, 0)),
            hosts,
            seconds: 2.0,
            exit,
        };
        closing(&end).join("\n")
    }

    fn v(major: u64) -> Serving {
        Serving::Version(Version::new(major, 0, 0))
    }

    #[test]
    fn what_is_not_known_is_not_called_different() {
        let lost = HostResult {
            uncertain: true,
            ..host(
                "web-1",
                Outcome::Failed,
                Serving::NotKnown,
                Some("line lost"),
            )
        };
        let said = text(Exit::Mixed, vec![lost.clone()]);
        assert!(
            said.contains("failed; what web-1 serves is not known (2.0 s)"),
            "{said}"
        );
        assert!(!said.contains("different"), "{said}");
        let all = vec![
            lost,
            host("web-2", Outcome::Switched, v(2), None),
            host("web-3", Outcome::Reverted, v(1), None),
        ];
        let said = text(Exit::Mixed, all);
        assert!(
            said.contains("different releases, see above; what web-1 serves"),
            "{said}"
        );
    }

    #[test]
    fn the_same_trouble_is_told_once_and_escaped() {
        let refused = |name| host(name, Outcome::Refused, v(1), Some("no \u{1b}[2Jroom"));
        let said = text(Exit::Refused, vec![refused("web-1"), refused("web-2")]);
        assert!(said.contains("\nweb-1, web-2: no \\u{1b}[2Jroom"), "{said}");
    }

    #[test]
    fn hosts_that_were_left_out_are_named() {
        let out = host("web-2", Outcome::Skipped, Serving::NotKnown, Some("down"));
        let said = text(
            Exit::Done,
            vec![host("web-1", Outcome::Switched, v(2), None), out],
        );
        assert!(said.contains("done, without web-2"), "{said}");
    }
}
