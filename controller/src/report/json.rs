//! The machine lines of `--json`.

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::CommandError;
use crate::event::{HostEvent, RunEvent};
use crate::exit_code::Exit;
use crate::rollout::{HostResult, Outcome, RunEnd};
use crate::terminal_text::one_line;

/// The last line of every `--json` run.
#[derive(Debug, Serialize)]
pub(crate) struct ResultLine {
    event: &'static str,
    verb: &'static str,
    ok: bool,
    exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    hosts: Vec<HostLine>,
}

#[derive(Debug, Serialize)]
struct HostLine {
    host: String,
    outcome: Outcome,
    version: Option<String>,
    previous: Option<String>,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

impl ResultLine {
    pub(crate) fn of_error(verb: &'static str, error: &CommandError) -> Self {
        let exit = error.kind().exit();
        let mut message = error.message().to_owned();
        for cause in error.causes() {
            message.push_str(": ");
            message.push_str(&cause);
        }
        ResultLine {
            event: "result",
            verb,
            ok: exit == Exit::Done,
            exit: exit.code(),
            app: None,
            version: None,
            seconds: None,
            error: Some(one_line(&message).into_owned()),
            hints: error.all_hints().to_vec(),
            hosts: Vec::new(),
        }
    }

    pub(crate) fn of_run(end: &RunEnd) -> Self {
        ResultLine {
            event: "result",
            verb: end.verb,
            ok: end.exit == Exit::Done,
            exit: end.exit.code(),
            app: Some(end.app.clone()),
            version: end.version.as_ref().map(ToString::to_string),
            seconds: Some(milliseconds(end.seconds)),
            error: None,
            hints: Vec::new(),
            hosts: end.hosts.iter().map(HostLine::new).collect(),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        // Strings and numbers always serialise; an empty line would be worse than none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl HostLine {
    fn new(host: &HostResult) -> Self {
        let failure = host.failure.as_ref();
        HostLine {
            host: host.host.to_string(),
            outcome: host.outcome,
            version: host.version.as_ref().map(ToString::to_string),
            previous: host.previous.as_ref().map(ToString::to_string),
            seconds: milliseconds(host.seconds),
            error: failure.map(|failure| {
                let mut words = vec![failure.what.clone()];
                words.extend(failure.causes.iter().cloned());
                words.join(": ")
            }),
            hints: failure
                .map(|failure| failure.hints.clone())
                .unwrap_or_default(),
        }
    }
}

/// One event as a line; `None` for those that would only flood a log.
pub(super) fn event_line(event: &RunEvent) -> Option<String> {
    let value = match event {
        RunEvent::Started {
            verb,
            app,
            environment,
            version,
            hosts,
        } => json!({
            "event": "started", "verb": verb, "app": app, "environment": environment,
            "version": version, "hosts": hosts,
        }),
        RunEvent::Phase(phase) => json!({"event": "phase", "phase": phase.word()}),
        RunEvent::Note(text) => json!({"event": "note", "text": text}),
        RunEvent::Interrupted => json!({"event": "interrupted"}),
        RunEvent::Host { host, what } => {
            let mut value = host_line(what)?;
            value["host"] = json!(host);
            value
        }
    };
    Some(value.to_string())
}

fn host_line(what: &HostEvent) -> Option<Value> {
    Some(match what {
        HostEvent::Connected { agent, user } => {
            json!({"event": "connected", "agent": agent, "user": user})
        }
        HostEvent::Reconnecting => json!({"event": "reconnecting"}),
        HostEvent::Step {
            step,
            state,
            detail,
        } => {
            json!({"event": "step", "step": step, "state": state, "detail": detail})
        }
        HostEvent::Problem(problem) => {
            json!({"event": "problem", "what": problem.what, "next": problem.next})
        }
        HostEvent::PhaseDone { phase } => json!({"event": "phase_done", "phase": phase.word()}),
        HostEvent::Traffic { sent, received } => {
            json!({"event": "traffic", "sent": sent, "received": received})
        }
        HostEvent::Sending { .. } => return None,
    })
}

/// The result line of a verb that only asks.
pub(crate) fn status_line(verb: &str, exit: Exit, seconds: f64, hosts: Vec<Value>) -> String {
    json!({
        "event": "result", "verb": verb, "ok": exit == Exit::Done, "exit": exit.code(),
        "seconds": milliseconds(seconds), "hosts": hosts,
    })
    .to_string()
}

fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
