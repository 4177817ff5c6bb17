//! `longshore logs ENV`: what an app and all around it say, on all hosts, by time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::{SpanRelativeTo, Timestamp};
use longshore_shared::name::{HostName, NameError, ProcessName};
use longshore_shared::wire::latest::{LogLine, LogSource, Order, Reply};
use serde::Serialize;

use super::asking::{exit_of, unknown_answer};
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::event::{HostEvent, Report, RunEvent};
use crate::exit_code::Exit;
use crate::fleet;
use crate::inventory::Host;
use crate::plan::Plan;
use crate::report::{ByHost, failures, milliseconds, result_line};
use crate::rollout::{HostFailure, HostLink, Interrupts, Reach};
use crate::ui::Ui;

/// Lines of several hosts are put in order over so long.
const WINDOW: Duration = Duration::from_millis(200);

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

/// Lines that came and are not shown yet.
#[derive(Default)]
struct Heard(Mutex<Vec<(HostName, LogLine)>>);

impl Heard {
    /// All of them, in order.
    fn take(&self) -> Vec<(HostName, LogLine)> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = std::mem::take(&mut *lines);
        lines.sort_by_key(|(_, line)| line.at);
        lines
    }
}

impl Report for Heard {
    fn event(&self, event: RunEvent) {
        if let RunEvent::Host {
            host,
            what: HostEvent::Log(lines),
        } = event
        {
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            heard.extend(lines.into_iter().map(|line| (host.clone(), line)));
        }
    }
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
    let order = Order::Logs {
        app: plan.app.clone(),
        of,
        processes,
        since: args.since,
        lines: args.lines,
        follow: args.follow,
        grep: args.grep.clone(),
    };
    let names = plan.hosts.iter().map(|host| host.name.clone()).collect();
    let show = Show {
        lines: ByHost::new(names, &context.ui),
        ui: &context.ui,
    };
    let all = fleet::on_all(plan.hosts, |host| {
        let (reach, order, interrupts) = (reach.clone(), order.clone(), interrupts.clone());
        let ui = Arc::clone(&context.ui);
        async move {
            let told = listen(&reach, &host, order, &interrupts).await;
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
            _ = window.tick(), if args.follow => show.all(heard.take()),
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

async fn listen(
    reach: &Reach,
    host: &Host,
    order: Order,
    interrupts: &Interrupts,
) -> Result<(), HostFailure> {
    let mut link = HostLink::open(reach, host)
        .await
        .map_err(|error| error.failure())?;
    let reply = link.order(order, None, interrupts).await;
    link.close().await;
    match reply.map_err(|error| error.failure())? {
        Reply::Logged => Ok(()),
        Reply::Refused { problems } => Err(HostFailure::of_problems(&problems)),
        _ => Err(unknown_answer()),
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
            reachable: told.is_ok(),
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

    #[test]
    fn lines_of_all_hosts_are_shown_by_time() {
        let heard = Heard::default();
        let say = |host: &str, at: i64| {
            let line = LogLine {
                at: Timestamp::from_second(at).unwrap(),
                of: "blue".into(),
                text: at.to_string(),
            };
            heard.event(RunEvent::Host {
                host: HostName::new(host).unwrap(),
                what: HostEvent::Log(vec![line]),
            });
        };
        for (host, at) in [("a", 3), ("b", 1), ("a", 4), ("b", 2)] {
            say(host, at);
        }
        let texts: Vec<String> = heard
            .take()
            .into_iter()
            .map(|(_, line)| line.text)
            .collect();
        assert_eq!(texts, ["1", "2", "3", "4"]);
        assert!(heard.take().is_empty());
    }
}
