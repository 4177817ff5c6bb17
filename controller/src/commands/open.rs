//! `longshore open ENV`: the app's site in a browser.

use std::process::{Command, Stdio};

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;

/// Open the app's site in your browser
///
/// Prints the address, and opens it where there is a terminal: with $BROWSER, else with what this
/// machine has for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore open staging")]
pub(crate) struct OpenArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,
}

pub(crate) fn run(args: &OpenArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let Some(domain) = &app.domain else {
        return Err(CommandError::usage(format!(
            "{} has no domain in {}, so there is no site to open",
            app.instance, environment.name
        )));
    };
    let scheme = if app.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{domain}/");
    context.ui.answer(&url);
    let line = serde_json::json!({"event": "result", "verb": "open", "ok": true, "exit": 0, "app": app.instance, "url": url});
    context.ui.machine(&line.to_string());
    if context.ui.can_ask() && !context.ui.is_json() {
        show(&url)?;
    }
    Ok(Exit::Done)
}

fn show(url: &str) -> Result<(), CommandError> {
    let named = std::env::var("BROWSER")
        .ok()
        .filter(|name| !name.is_empty());
    let own = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let browser = named.as_deref().unwrap_or(own);
    // It may come with words of its own, and outlive us.
    let started = Command::new("/bin/sh")
        .args(["-c", "exec $0 \"$1\"", browser, url])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.map(drop).map_err(|error| {
        CommandError::failed(format!("no browser can be started with {browser}")).caused_by(error)
    })
}
