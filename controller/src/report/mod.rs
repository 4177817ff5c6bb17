//! Turns what happened into words, bars and JSON. Nothing here decides or calls back.

mod by_host;
mod closing;
mod human;
mod json;
mod sending;
mod table;

use std::sync::Arc;

use crate::event::{Report, RunEvent};
use crate::rollout::RunEnd;
use crate::ui::Ui;

pub(crate) use by_host::ByHost;
pub(crate) use closing::failures;
use human::HumanReport;
pub(crate) use json::{error_line, milliseconds, result_line};
pub(crate) use sending::bytes;
pub(crate) use table::columns;

/// Everything that a run tells, to the person and with `--json` to the machine too.
pub(crate) struct RunReport {
    ui: Arc<Ui>,
    human: HumanReport,
}

impl RunReport {
    pub(crate) fn new(ui: Arc<Ui>, verbose: bool) -> Arc<Self> {
        Arc::new(RunReport {
            human: HumanReport::new(Arc::clone(&ui), verbose),
            ui,
        })
    }

    /// How the run ended: last of all, the machine's result line.
    pub(crate) fn end(&self, end: &RunEnd) {
        self.human.end(end);
        self.ui.machine(&json::run_line(end));
    }

    /// Shows that the work goes on, when nothing else has for a while.
    pub(crate) fn tick(&self) {
        self.human.tick();
    }
}

impl Report for RunReport {
    fn event(&self, event: RunEvent) {
        if self.ui.is_json()
            && let Some(line) = json::event_line(&event)
        {
            self.ui.machine(&line);
        }
        self.human.event(&event);
    }
}
