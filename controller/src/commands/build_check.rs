//! `longshore build --check`: whether a build of this commit gives the same files every time.

use std::time::Instant;

use longshore_shared::name::AppName;
use semver::Version;
use serde::Serialize;

use crate::build::{self, BuildRequest, Difference};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::report::{bytes, milliseconds, result_line};
use crate::terminal_text::one_line;

const SHOWN: usize = 20;

pub(super) fn run(
    request: &BuildRequest<'_>,
    begun: Instant,
    context: &Context,
) -> Result<Exit, CommandError> {
    let ui = &context.ui;
    let checked = build::check(request, &mut |event| ui.note(&event.line()))?;
    let name = format!("{} {}", checked.app, checked.version);
    let differences = &checked.differences;
    if differences.is_empty() {
        ui.answer(&format!(
            "{name} is reproducible here: two builds gave the same {} files, {}",
            checked.entries,
            bytes(checked.bytes)
        ));
    } else {
        let files = match differences.len() {
            1 => "1 file differs".to_owned(),
            many => format!("{many} files differ"),
        };
        ui.answer(&format!("{name}: {files} between two builds of the commit"));
        for Difference { path, how } in differences.iter().take(SHOWN) {
            ui.answer(&format!("  {} {how}", one_line(path)));
        }
        if differences.len() > SHOWN {
            ui.answer(&format!("  and {} more", differences.len() - SHOWN));
        }
        ui.answer(ADVICE);
    }
    let exit = if differences.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    };
    let rest = Rest {
        app: &checked.app,
        version: &checked.version,
        seconds: milliseconds(begun.elapsed().as_secs_f64()),
        commit: &checked.commit.hash,
        differs: differences.iter().map(|one| one.path.as_str()).collect(),
    };
    ui.machine(&result_line("build", exit, rest));
    Ok(exit)
}

const ADVICE: &str = "Have the steps of [build] write no time (SOURCE_DATE_EPOCH is the commit's), no path of their own folder and no user's name, \
and give each cache a key that decides all that it holds. Nothing was written to dist/.";

#[derive(Serialize)]
struct Rest<'a> {
    app: &'a AppName,
    version: &'a Version,
    seconds: f64,
    commit: &'a str,
    differs: Vec<&'a str>,
}
