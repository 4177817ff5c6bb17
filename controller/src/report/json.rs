//! The machine lines of `--json`. The order of the fields is the order that scripts and people see.

use longshore_shared::instance::Instance;
use longshore_shared::name::{EnvironmentName, HostName};
use longshore_shared::wire::latest::{PreviewState, StepState};
use semver::Version;
use serde::Serialize;

use crate::error::CommandError;
use crate::event::{Change, HostEvent, Phase, RunEvent};
use crate::exit_code::Exit;
use crate::rollout::{HostResult, Outcome, RunEnd};
use crate::terminal_text::one_line;

/// The last line of every `--json` run: what all verbs say, then what this one says.
pub(crate) fn result_line(verb: &str, exit: Exit, rest: impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, T> {
        event: &'static str,
        verb: &'a str,
        ok: bool,
        exit: u8,
        #[serde(flatten)]
        rest: T,
    }
    to_json(&Line {
        event: "result",
        verb,
        ok: exit.code() == 0,
        exit: exit.code(),
        rest,
    })
}

pub(crate) fn error_line(verb: &str, error: &CommandError) -> String {
    #[derive(Serialize)]
    struct Rest<'a> {
        error: String,
        hints: &'a [String],
        hosts: [(); 0],
    }
    let mut message = error.message().to_owned();
    for cause in error.causes() {
        message.push_str(": ");
        message.push_str(&cause);
    }
    let rest = Rest {
        error: one_line(&message).into_owned(),
        hints: error.all_hints(),
        hosts: [],
    };
    result_line(verb, error.kind().exit(), rest)
}

pub(super) fn run_line(end: &RunEnd) -> String {
    #[derive(Serialize)]
    struct Rest<'a> {
        app: &'a str,
        version: Option<&'a Version>,
        seconds: f64,
        hosts: Vec<HostLine<'a>>,
    }
    let rest = Rest {
        app: &end.app,
        version: end.version.as_ref(),
        seconds: milliseconds(end.seconds),
        hosts: end.hosts.iter().map(HostLine::new).collect(),
    };
    result_line(end.verb, end.exit, rest)
}

#[derive(Serialize)]
struct HostLine<'a> {
    host: &'a HostName,
    outcome: Outcome,
    version: Option<&'a Version>,
    previous: Option<&'a Version>,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hints: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    remarks: &'a [String],
}

impl<'a> HostLine<'a> {
    fn new(host: &'a HostResult) -> Self {
        let failure = host.failure.as_ref();
        HostLine {
            host: &host.host,
            outcome: host.outcome,
            version: host.serves.version(),
            previous: host.before.version(),
            seconds: milliseconds(host.seconds),
            error: failure.map(|failure| failure.in_one_line()),
            hints: failure.map_or(&[], |failure| &failure.hints),
            remarks: &host.remarks,
        }
    }
}

/// What happens on the way, a line each.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventLine<'a> {
    Started {
        verb: &'a str,
        app: &'a Instance,
        environment: &'a EnvironmentName,
        version: Option<&'a Version>,
        hosts: &'a [HostName],
    },
    Plan {
        hosts: &'a [Change],
    },
    Phase {
        phase: Phase,
    },
    Preview {
        app: &'a Instance,
        #[serde(flatten)]
        preview: &'a PreviewState,
    },
    Note {
        text: &'a str,
    },
    Interrupted,
    Connected {
        host: &'a HostName,
        agent: &'a Version,
        user: &'a str,
    },
    Reconnecting {
        host: &'a HostName,
    },
    Step {
        host: &'a HostName,
        step: &'a str,
        state: StepState,
        detail: Option<&'a str>,
    },
    Problem {
        host: &'a HostName,
        what: &'a str,
        next: &'a str,
    },
    PhaseDone {
        host: &'a HostName,
        phase: Phase,
    },
    Sent {
        host: &'a HostName,
        sent: u64,
        saved: u64,
    },
    Traffic {
        host: &'a HostName,
        sent: u64,
        received: u64,
    },
}

/// One event as a line; `None` for those that would only flood a log.
pub(super) fn event_line(event: &RunEvent) -> Option<String> {
    let line = match event {
        RunEvent::Started {
            verb,
            app,
            environment,
            version,
            hosts,
        } => EventLine::Started {
            verb,
            app,
            environment,
            version: version.as_ref(),
            hosts,
        },
        RunEvent::Plan(hosts) => EventLine::Plan { hosts },
        RunEvent::Phase(phase) => EventLine::Phase { phase: *phase },
        RunEvent::Preview { app, preview } => EventLine::Preview { app, preview },
        RunEvent::Note(text) => EventLine::Note { text },
        RunEvent::Interrupted => EventLine::Interrupted,
        RunEvent::Host { host, what } => of_host(host, what)?,
    };
    Some(to_json(&line))
}

fn of_host<'a>(host: &'a HostName, what: &'a HostEvent) -> Option<EventLine<'a>> {
    Some(match what {
        HostEvent::Connected { agent, user } => EventLine::Connected { host, agent, user },
        HostEvent::Reconnecting => EventLine::Reconnecting { host },
        HostEvent::Step {
            step,
            state,
            detail,
        } => EventLine::Step {
            host,
            step,
            state: *state,
            detail: detail.as_deref(),
        },
        HostEvent::Problem(problem) => EventLine::Problem {
            host,
            what: &problem.what,
            next: &problem.next,
        },
        HostEvent::PhaseDone { phase } => EventLine::PhaseDone {
            host,
            phase: *phase,
        },
        HostEvent::Sent { sent, saved } => EventLine::Sent {
            host,
            sent: *sent,
            saved: *saved,
        },
        HostEvent::Traffic { sent, received } => EventLine::Traffic {
            host,
            sent: *sent,
            received: *received,
        },
        HostEvent::Sending(_) | HostEvent::Log(_) => return None,
    })
}

fn to_json(line: &impl Serialize) -> String {
    // Strings and numbers always serialise; an empty line would be worse than none.
    serde_json::to_string(line).unwrap_or_default()
}

pub(crate) fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Serving;

    #[test]
    fn the_result_line_is_the_contracts() {
        let version = |patch| Version::new(1, 3, patch);
        let end = RunEnd {
            verb: "deploy",
            app: "cortico".into(),
            environment: "production".into(),
            version: Some(version(9)),
            hosts: vec![HostResult {
                host: HostName::new("web-1").unwrap(),
                outcome: Outcome::Switched,
                serves: Serving::Version(version(9)),
                before: Serving::Version(version(8)),
                seconds: 1.9,
                failure: None,
                uncertain: false,
                revoked: false,
                past_migrations: false,
                remarks: vec![],
            }],
            seconds: 2.1,
            exit: Exit::Done,
        };
        assert_eq!(
            run_line(&end),
            concat!(
                r#"{"event":"result","verb":"deploy","ok":true,"exit":0,"app":"cortico","version":"1.3.9","#,
                r#""seconds":2.1,"hosts":[{"host":"web-1","outcome":"switched","version":"1.3.9","#,
                r#""previous":"1.3.8","seconds":1.9}]}"#
            )
        );
    }

    #[test]
    fn an_error_and_an_event_begin_with_what_they_are() {
        let error = CommandError::usage("no such thing").hint("try another");
        assert_eq!(
            error_line("status", &error),
            r#"{"event":"result","verb":"status","ok":false,"exit":2,"error":"no such thing","hints":["try another"],"hosts":[]}"#
        );
        let phase = event_line(&RunEvent::Phase(Phase::Lock)).unwrap();
        assert_eq!(phase, r#"{"event":"phase","phase":"lock"}"#);
    }
}
