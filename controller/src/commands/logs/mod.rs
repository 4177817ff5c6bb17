//! `longshore logs ENV`: what an app and all around it say, on all hosts, by time.

mod heard;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::{SpanRelativeTo, Timestamp};
use longshore_shared::instance::Instance;
use longshore_shared::name::{HostName, NameError, ProcessName};
use longshore_shared::wire::latest::{LogLine, LogSource, Order, Reply};
use serde::Serialize;

use heard::Heard;

use super::asking::{exit_of, unknown_answer};
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code::Exit;
use crate::fleet;
use crate::inventory::Host;
use crate::plan::Plan;
use crate::report::{ByHost, failures, milliseconds, result_line};
use crate::rollout::{FailureKind, HostFailure, HostLink, Interrupts, LinkError, Reach};
use crate::ui::Ui;

/// Lines of several hosts are put in order over so long.
const WINDOW: Duration = Duration::from_millis(200);
/// Nobody who follows waits longer for what a slow host has said before.
const SLOW: Duration = Duration::from_secs(5);
/// What was said since a moment that is just over is told whole.
const ALL_SINCE: u32 = 100_000;

/// Show what an app says, on all hosts, by time
///
/// The app's slots, processes and timers, its steps (preparing, migrating), what nginx could not do
/// for it, and the agent: all of it, or what is named.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore logs production -f
  longshore logs production app --since 10m --grep Traceback
  longshore logs production worker -f
  longshore logs production nginx agent --on cortico-2 -n 200")]
pub(crate) struct LogsArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// Only what these say: app, steps, nginx, agent, or a process or timer by its name
    #[arg(value_name = "WHAT", value_parser = what)]
    pub(crate) of: Vec<What>,

    /// Go on showing what is said, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// So many of the last lines of each host
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) lines: u32,

    /// Only since then: 10m, 2h, 1d, or a time such as 2026-11-21T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Timestamp>,

    /// Only lines with this text in them
    #[arg(long, value_name = "TEXT")]
    pub(crate) grep: Option<String>,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

/// Who is asked for: one of a few words, or a process or timer of the app file.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Source(LogSource),
    Process(ProcessName),
}

fn what(text: &str) -> Result<What, NameError> {
    Ok(match text {
        "app" => What::Source(LogSource::App),
        "steps" => What::Source(LogSource::Steps),
        "nginx" => What::Source(LogSource::Nginx),
        "agent" => What::Source(LogSource::Agent),
        name => What::Process(ProcessName::new(name)?),
    })
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let ago = || {
        let span: jiff::Span = text.parse().ok()?;
        let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        Timestamp::now().checked_sub(ago).ok()
    };
    ago().ok_or_else(|| "write 10m, 2h, 1d, or a time such as 2026-11-21T10:00:00Z".to_owned())
}

pub(crate) async fn run(args: &LogsArgs, context: &Context) -> Result<Exit, CommandError> {
    let begun = Instant::now();
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let plan = Plan::new(environment, &app, &args.hosts.selection())?;
    let heard = Arc::new(Heard::default());
    let reach = context.reach(environment, heard.clone());
    let interrupts = Interrupts::listen();
    let (mut of, mut processes) = (Vec::new(), Vec::new());
    for what in &args.of {
        match what {
            What::Source(source) => of.push(*source),
            What::Process(name) => processes.push(name.clone()),
        }
    }
    let wanted = Wanted {
        app: plan.app.clone(),
        of,
        processes,
        since: args.since,
        lines: args.lines,
        follow: args.follow,
        grep: args.grep.clone(),
    };
    let behind = Arc::new(AtomicUsize::new(plan.hosts.len()));
    let names = plan.hosts.iter().map(|host| host.name.clone()).collect();
    let show = Show {
        lines: ByHost::new(names, &context.ui),
        ui: &context.ui,
    };
    let all = fleet::on_all(plan.hosts, |host| {
        let (reach, wanted, interrupts) = (reach.clone(), wanted.clone(), interrupts.clone());
        let (ui, heard, behind) = (context.ui.clone(), heard.clone(), behind.clone());
        async move {
            let caught_up = CaughtUp(behind);
            let told = listen(&reach, &host, wanted, &interrupts, &heard, caught_up).await;
            // While others go on, nobody is to take silence for peace.
            for line in failures(told.as_ref().err().map(|failure| (&host.name, failure))) {
                ui.note(&line);
            }
            (host.name, told)
        }
    });
    tokio::pin!(all);
    let mut window = tokio::time::interval(WINDOW);
    let ended = loop {
        tokio::select! {
            ended = &mut all => break ended,
            _ = window.tick(), if args.follow => {
                if context.ui.is_left() {
                    return Ok(Exit::Done);
                }
                if behind.load(Ordering::SeqCst) == 0 || begun.elapsed() > SLOW {
                    show.all(heard.take());
                }
            }
            () = interrupts.insisted() => {
                return Err(CommandError::new(ErrorKind::Interrupted, "interrupted"));
            }
        }
    };
    show.all(heard.take());
    let failed = ended.iter().filter_map(|(_, told)| told.as_ref().err());
    let exit = match interrupts.is_asked() {
        true => Exit::Interrupted,
        false => exit_of(failed, args.hosts.skip_offline),
    };
    let rest = Rest {
        app: plan.app.as_str(),
        seconds: milliseconds(begun.elapsed().as_secs_f64()),
        hosts: ended.iter().map(Line::of).collect(),
    };
    context.ui.machine(&result_line("logs", exit, rest));
    Ok(exit)
}

/// What a host is asked for.
#[derive(Clone)]
struct Wanted {
    app: Instance,
    of: Vec<LogSource>,
    processes: Vec<ProcessName>,
    since: Option<Timestamp>,
    lines: u32,
    follow: bool,
    grep: Option<String>,
}

impl Wanted {
    fn order(&self, follow: bool) -> Order {
        Order::Logs {
            app: self.app.clone(),
            of: self.of.clone(),
            processes: self.processes.clone(),
            since: self.since,
            lines: self.lines,
            follow,
            grep: self.grep.clone(),
        }
    }
}

/// One host more has told what was said before, or cannot.
struct CaughtUp(Arc<AtomicUsize>);

impl Drop for CaughtUp {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn listen(
    reach: &Reach,
    host: &Host,
    mut wanted: Wanted,
    interrupts: &Interrupts,
    heard: &Heard,
    caught_up: CaughtUp,
) -> Result<(), HostFailure> {
    let mut link = HostLink::open(reach, host)
        .await
        .map_err(|error| error.failure())?;
    let mut failed = None;
    if !wanted.follow || wanted.lines > 0 {
        failed = failure(link.order(wanted.order(false), None, interrupts).await);
    }
    let since = heard.has_told(&host.name, wanted.lines as usize);
    drop(caught_up);
    if wanted.follow && failed.is_none() && !interrupts.is_asked() {
        if since.is_some() {
            (wanted.since, wanted.lines) = (since.max(wanted.since), ALL_SINCE);
        }
        failed = failure(link.order(wanted.order(true), None, interrupts).await);
    }
    link.close().await;
    failed.map_or(Ok(()), Err)
}

fn failure(reply: Result<Reply, LinkError>) -> Option<HostFailure> {
    match reply {
        Ok(Reply::Logged) => None,
        Ok(Reply::Refused { problems }) => Some(HostFailure::of_problems(&problems)),
        Ok(_) => Some(unknown_answer()),
        Err(error) => Some(error.failure()),
    }
}

struct Show<'a> {
    lines: ByHost,
    ui: &'a Ui,
}

impl Show<'_> {
    fn all(&self, lines: Vec<(HostName, LogLine)>) {
        for (host, line) in lines {
            if self.ui.is_json() {
                let (at, of, text) = (line.at, line.of, line.text);
                let line = serde_json::json!({"event": "log", "host": host, "at": at, "of": of, "text": text});
                self.ui.machine(&line.to_string());
            } else {
                let at = line.at.strftime("%m-%d %H:%M:%S%.3f");
                let text = format!("{at} {:<6} {}", line.of, line.text);
                self.ui.answer(&self.lines.line(&host, &text));
            }
        }
    }
}

#[derive(Serialize)]
struct Rest<'a> {
    app: &'a str,
    seconds: f64,
    hosts: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    host: &'a HostName,
    reachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Line<'a> {
    fn of((host, told): &'a (HostName, Result<(), HostFailure>)) -> Self {
        Line {
            host,
            reachable: told
                .as_ref()
                .err()
                .is_none_or(|failure| failure.kind != FailureKind::Unreachable),
            error: told.as_ref().err().map(HostFailure::in_one_line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ago_or_exact() {
        let ago = |text: &str| {
            let passed = Timestamp::now().duration_since(since(text).unwrap());
            passed.as_secs()
        };
        assert!((599..=601).contains(&ago("10m")));
        assert!((86_399..=86_401).contains(&ago("1d")));
        let exact = since("2026-11-21T10:00:00Z").unwrap();
        assert_eq!(exact.to_string(), "2026-11-21T10:00:00Z");
        assert!(since("yesterday").is_err());
    }
}
