//! The words for people: a spinner per host on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use longshore_shared::instance::Instance;
use longshore_shared::name::HostName;
use longshore_shared::wire::latest::{PreviewState, StepState};

use super::closing::closing;
use super::sending::{Shipping, bytes};
use crate::event::{Change, HostEvent, Phase, RunEvent};
use crate::rollout::RunEnd;
use crate::terminal_text::one_line;
use crate::ui::Ui;

/// Somebody who watches a log must see within 30 s that the work goes on.
const LONGEST_QUIET: Duration = Duration::from_secs(20);
const SPINNER_BEAT: Duration = Duration::from_millis(120);

/// A step that took no longer needs no time beside it.
const WORTH_TELLING: Duration = Duration::from_millis(100);

pub(crate) struct HumanReport {
    ui: Arc<Ui>,
    verbose: bool,
    state: Mutex<State>,
}

struct State {
    bars: BTreeMap<HostName, ProgressBar>,
    /// What each host is at, for the line that breaks a silence.
    at: BTreeMap<HostName, String>,
    /// The step that each host has begun, and when.
    running: BTreeMap<HostName, (String, Instant)>,
    shipping: Shipping,
    /// Where there are several hosts.
    total: Option<ProgressBar>,
    last_line: Instant,
    begun: Instant,
}

impl HumanReport {
    pub(super) fn new(ui: Arc<Ui>, verbose: bool) -> Self {
        HumanReport {
            ui,
            verbose,
            state: Mutex::new(State {
                bars: BTreeMap::new(),
                at: BTreeMap::new(),
                running: BTreeMap::new(),
                shipping: Shipping::default(),
                total: None,
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
            RunEvent::Plan(changes) => {
                for line in plan_lines(changes) {
                    self.line(&format!("  {line}"));
                }
            }
            RunEvent::Phase(phase) => self.phase(*phase),
            RunEvent::Preview { app, preview } => self.line(&one_line(&preview_line(app, preview))),
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
            Phase::Settings => "writing the settings",
            Phase::Switch => "switching",
            Phase::Return => "a host failed: sending back those that switched",
        };
        {
            let state = self.lock();
            for bar in state.bars.values() {
                bar.set_message(words.to_owned());
            }
            // What was on its way has come.
            if let Some(total) = &state.total {
                total.set_message("");
            }
        }
        self.plain_line(words);
        if phase == Phase::Return && self.has_bars() {
            self.line(words);
        }
    }

    fn host(&self, host: &HostName, what: &HostEvent) {
        match what {
            HostEvent::Step {
                step,
                state,
                detail,
            } => self.step(host, step, *state, detail.as_deref().unwrap_or_default()),
            HostEvent::Sending(sending) => {
                let words = self.lock().shipping.note(host, *sending);
                self.show(host, &words);
                self.show_total();
            }
            HostEvent::Sent { sent, saved } => {
                let (sent, saved) = (bytes(*sent), bytes(*saved));
                self.plain_line(&format!("{host}: {sent} sent, {saved} saved"));
            }
            HostEvent::Reconnecting => {
                let text = "connection lost; calling the host again, which keeps what it has";
                self.show(host, text);
                self.plain_line(&format!("{host}: {text}"));
            }
            // Problems come together at the end, with what to do.
            HostEvent::Connected { .. }
            | HostEvent::PhaseDone { .. }
            | HostEvent::Problem(_)
            | HostEvent::Log(_)
            | HostEvent::Traffic { .. } => {}
        }
    }

    /// A line for each step that ended. That one began, and what it prints, is for those who asked
    /// for more, and for the line that breaks a silence.
    fn step(&self, host: &HostName, step: &str, state: StepState, detail: &str) {
        let (step, detail) = (one_line(step), one_line(detail));
        let running = self.lock().running.remove(host);
        let taken = running.as_ref().map(|(_, since)| since.elapsed());
        let is_running = running.as_ref().is_some_and(|(at, _)| *at == step);
        let (text, only_verbose) = match state {
            StepState::Begun => (format!("{step} …"), true),
            StepState::Done => (format!("{step}{}", in_brackets(taken)), false),
            StepState::Failed => (format!("{step} failed{}", in_brackets(taken)), false),
            StepState::Unchanged if detail.is_empty() => (format!("{step}: nothing to do"), false),
            StepState::Unchanged => (format!("{step}: {detail}"), false),
            StepState::Note | StepState::Unknown if detail.is_empty() => (String::new(), true),
            StepState::Note | StepState::Unknown => (format!("{step}: {detail}"), is_running),
        };
        match state {
            StepState::Begun => {
                let begun = (step.into_owned(), Instant::now());
                self.lock().running.insert(host.clone(), begun);
            }
            StepState::Note | StepState::Unknown => {
                self.lock()
                    .running
                    .extend(running.map(|at| (host.clone(), at)));
            }
            StepState::Done | StepState::Failed | StepState::Unchanged => {}
        }
        if text.is_empty() {
            return;
        }
        self.show(host, &text);
        if self.verbose || !only_verbose {
            self.plain_line(&format!("{host}: {text}"));
        }
    }

    /// A line with its time, where there are no bars.
    fn plain_line(&self, text: &str) {
        if !self.has_bars() {
            self.line(&format!("{:>6.1}s  {text}", self.seconds()));
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

    /// What all hosts are at, under them.
    fn show_total(&self) {
        let state = self.lock();
        let total = state.shipping.total().unwrap_or_default();
        if let Some(bar) = &state.total {
            bar.set_message(total);
        }
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
            let total = state
                .shipping
                .total()
                .map(|total| format!("in all {total}"));
            at.chain(total).collect::<Vec<_>>().join("; ")
        };
        self.plain_line(&format!("still at work  {words}"));
    }

    pub(super) fn end(&self, end: &RunEnd) {
        let (bars, total) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.bars), state.total.take())
        };
        for bar in bars.into_values().chain(total) {
            bar.finish_and_clear();
        }
        for line in closing(end) {
            self.ui.answer(&line);
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
        if hosts.len() > 1 {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("    {wide_msg}") {
                bar.set_style(style);
            }
            state.total = Some(bar);
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

/// Who goes where; hosts that go the same way are named together.
fn plan_lines(changes: &[Change]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for Change { host, from, to } in changes {
        let way = match from {
            None => format!("nothing → {to}"),
            Some(from) if from == to => format!("{to} serves already"),
            Some(from) => format!("{from} → {to}"),
        };
        match groups.iter_mut().find(|(known, _)| *known == way) {
            Some((_, names)) => names.push(host.as_str()),
            None => groups.push((way, vec![host.as_str()])),
        }
    }
    groups
        .into_iter()
        .map(|(way, names)| format!("{}: {way}", names.join(", ")))
        .collect()
}

fn preview_line(app: &Instance, preview: &PreviewState) -> String {
    let place = preview.url.as_deref().unwrap_or("without a site");
    let until = preview.until.strftime("%Y-%m-%d %H:%M UTC");
    format!("{app}: {place}, until {until}")
}

/// How long a step took, if that is worth a word.
fn in_brackets(taken: Option<Duration>) -> String {
    taken
        .filter(|taken| *taken >= WORTH_TELLING)
        .map(|taken| format!(" ({:.1} s)", taken.as_secs_f64()))
        .unwrap_or_default()
}
