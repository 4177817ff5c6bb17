//! The words for people: a spinner per host on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use longshore_shared::name::HostName;
use longshore_shared::wire::v1::StepState;

use super::table::columns;
use crate::event::{HostEvent, Phase, RunEvent};
use crate::exit_code::Exit;
use crate::rollout::{HostResult, Outcome, RunEnd};
use crate::terminal_text::one_line;
use crate::ui::Ui;

/// Somebody who watches a log must see within 30 s that the work goes on.
const LONGEST_QUIET: Duration = Duration::from_secs(20);
const SPINNER_BEAT: Duration = Duration::from_millis(120);
/// As many lines of a host's log as a person reads.
const LOG_LINES: usize = 20;

pub(crate) struct HumanReport {
    ui: Arc<Ui>,
    state: Mutex<State>,
}

struct State {
    bars: BTreeMap<HostName, ProgressBar>,
    /// What each host is at, for the line that breaks a silence.
    at: BTreeMap<HostName, String>,
    last_line: Instant,
    begun: Instant,
}

impl HumanReport {
    pub(super) fn new(ui: Arc<Ui>) -> Self {
        HumanReport {
            ui,
            state: Mutex::new(State {
                bars: BTreeMap::new(),
                at: BTreeMap::new(),
                last_line: Instant::now(),
                begun: Instant::now(),
            }),
        }
    }

    pub(super) fn event(&self, event: &RunEvent) {
        match event {
            RunEvent::Started { verb, app, environment, version, hosts } => {
                let version = version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
                let count = hosts.len();
                let noun = if count == 1 { "host" } else { "hosts" };
                self.line(&format!("{verb} {app}{version}: {environment}, {count} {noun}"));
                self.add_bars(hosts);
            }
            RunEvent::Phase(phase) => self.phase(*phase),
            RunEvent::Note(text) => self.line(&one_line(text)),
            RunEvent::Interrupted => self.line(
                "Interrupted: each host finishes or undoes the step in hand. Ctrl-C again leaves at \
                 once; the hosts then finish by themselves.",
            ),
            RunEvent::Host { host, what } => self.host(host, what),
        }
    }

    fn phase(&self, phase: Phase) {
        let words = match phase {
            Phase::Connect => "connecting",
            Phase::Lock => "locking",
            Phase::Preflight => "checking everything first",
            Phase::Stage => "bringing the release to all hosts",
            Phase::Migrate => "migrating",
            Phase::Switch => "switching",
            Phase::Return => "a host failed: sending back those that switched",
        };
        if self.has_bars() {
            let state = self.lock();
            for bar in state.bars.values() {
                bar.set_message(words.to_owned());
            }
        } else {
            self.line(&format!("{:>6.1}s  {words}", self.seconds()));
        }
        if phase == Phase::Return && self.has_bars() {
            self.line(words);
        }
    }

    fn host(&self, host: &HostName, what: &HostEvent) {
        let text = match what {
            HostEvent::Step {
                step,
                state,
                detail,
            } => step_words(step, *state, detail.as_deref()),
            HostEvent::Sending { sent } => {
                return self.show(host, &format!("sending, {}", bytes(*sent)));
            }
            HostEvent::Reconnecting => {
                "connection lost; the host goes on by itself; calling it again".to_owned()
            }
            // Problems come together at the end, with what to do.
            HostEvent::Connected { .. }
            | HostEvent::PhaseDone { .. }
            | HostEvent::Problem(_)
            | HostEvent::Traffic { .. } => return,
        };
        let text = one_line(&text).into_owned();
        self.show(host, &text);
        if !self.has_bars() {
            self.line(&format!("{:>6.1}s  {host}: {text}", self.seconds()));
        }
    }

    /// What a host is at now.
    fn show(&self, host: &HostName, text: &str) {
        let mut state = self.lock();
        if let Some(bar) = state.bars.get(host) {
            bar.set_message(text.to_owned());
        }
        state.at.insert(host.clone(), text.to_owned());
    }

    pub(super) fn tick(&self) {
        if self.has_bars() {
            return;
        }
        let words = {
            let state = self.lock();
            if state.last_line.elapsed() < LONGEST_QUIET {
                return;
            }
            let at = state
                .at
                .iter()
                .map(|(host, text)| format!("{host}: {text}"));
            at.collect::<Vec<_>>().join("; ")
        };
        self.line(&format!("{:>6.1}s  still at work  {words}", self.seconds()));
    }

    /// The closing table, then what went wrong on which host and what to do.
    pub(super) fn end(&self, end: &RunEnd) {
        for bar in std::mem::take(&mut self.lock().bars).into_values() {
            bar.finish_and_clear();
        }
        let rows: Vec<Vec<String>> = end.hosts.iter().map(row).collect();
        for line in columns(&rows) {
            self.ui.answer(&format!("  {line}"));
        }
        for host in &end.hosts {
            self.failure(host);
        }
        self.ui.answer(&closing(end));
    }

    fn failure(&self, host: &HostResult) {
        for remark in &host.remarks {
            self.ui
                .answer(&format!("{}: {}", host.host, one_line(remark)));
        }
        let Some(failure) = &host.failure else { return };
        self.ui
            .answer(&format!("\n{}: {}", host.host, one_line(&failure.what)));
        for cause in &failure.causes {
            self.ui.answer(&format!("  {}", one_line(cause)));
        }
        if let Some(probe) = &failure.probe {
            self.ui
                .answer(&format!("  last probe: {}", one_line(probe)));
        }
        let skip = failure.log.len().saturating_sub(LOG_LINES);
        for line in failure.log.iter().skip(skip) {
            self.ui.answer(&format!("  | {}", one_line(line)));
        }
        for hint in &failure.hints {
            self.ui.answer(&format!("  → {}", one_line(hint)));
        }
    }

    fn add_bars(&self, hosts: &[HostName]) {
        let Some(all) = self.ui.bars() else { return };
        let widest = hosts
            .iter()
            .map(|host| host.as_str().len())
            .max()
            .unwrap_or(0);
        let mut state = self.lock();
        for host in hosts {
            let bar = all.add(ProgressBar::new_spinner());
            let template = format!("  {{spinner}} {{prefix:{widest}}}  {{wide_msg}}");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_prefix(host.to_string());
            bar.enable_steady_tick(SPINNER_BEAT);
            state.bars.insert(host.clone(), bar);
        }
    }

    fn line(&self, text: &str) {
        self.lock().last_line = Instant::now();
        self.ui.note(text);
    }

    fn has_bars(&self) -> bool {
        self.ui.bars().is_some()
    }

    fn seconds(&self) -> f64 {
        self.lock().begun.elapsed().as_secs_f64()
    }

    /// A panic while the state was held leaves at worst an old message on a bar.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn step_words(step: &str, state: StepState, detail: Option<&str>) -> String {
    let word = match state {
        StepState::Begun => "…",
        StepState::Done => "done",
        StepState::Unchanged => "nothing to do",
        StepState::Failed => "failed",
        StepState::Note | StepState::Unknown => "",
    };
    [step, word, detail.unwrap_or_default()]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

fn row(host: &HostResult) -> Vec<String> {
    let version = match (&host.version, host.uncertain) {
        (_, true) => "not known".to_owned(),
        (Some(version), _) => version.to_string(),
        (None, _) => "-".to_owned(),
    };
    let was = match &host.previous {
        Some(previous) if host.outcome == Outcome::Switched => format!("was {previous}"),
        _ => String::new(),
    };
    vec![
        host.host.to_string(),
        host.outcome.word().to_owned(),
        version,
        was,
        format!("{:.1} s", host.seconds),
    ]
}

fn closing(end: &RunEnd) -> String {
    let what = match &end.version {
        Some(version) => format!("{} {version}", end.app),
        None => end.app.clone(),
    };
    let RunEnd {
        verb,
        environment,
        seconds,
        ..
    } = end;
    let how = match end.exit {
        Exit::Done => "done",
        Exit::Failed => "failed; every host serves what it served before",
        Exit::Mixed => "failed, and the hosts serve different releases: see above",
        Exit::Refused => "refused; nothing was changed",
        Exit::Interrupted => "interrupted; the locks are released, and above is what serves",
        Exit::Usage => "not begun",
    };
    let mut text = format!("{verb} {what} on {environment}: {how} ({seconds:.1} s)");
    let go_on = match end.exit {
        Exit::Interrupted => Some("Run the same command again to go on; see with"),
        Exit::Mixed => Some("Look with"),
        _ => None,
    };
    if let Some(go_on) = go_on {
        text.push_str(&format!(
            "\n{go_on}: longshore status {environment} --app {}",
            end.app
        ));
    }
    text
}

pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    for (unit, size) in UNITS {
        if count >= size {
            return format!("{:.1} {unit}", count as f64 / size as f64);
        }
    }
    format!("{count} B")
}
