//! The lab's command line.

use std::process::ExitCode;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use thiserror::Error;

use crate::base::Suite;
use crate::{commands, say};

const HELP: &str = "\
The lab of Longshore: real Debian hosts on this machine.

  cargo lab demo                     the main job, shown on three hosts under load
  cargo lab test [GATE [ARGS...]]    format, lints, deny, unit, fuzz and e2e; or one of them
  cargo lab bench [--hosts 1,10] [--runs N] [--quick] [--check] [--json FILE]
                                     measure it beside tar | ssh and rsync; takes its hosts down
  cargo lab bench bootstrap [--runs N] [--check]
                                     measure bootstrap beside apt-get and Ansible
  cargo lab dist                     a tarball to install from: the controller and its agents
  cargo lab up N [--without-agent]   boot N hosts (needs root or passwordless sudo)
  cargo lab up N --bare [--debian 13]
                                     boot hosts as a provider hands them over, for bootstrap
  cargo lab ssh HOST [COMMAND...]    log in to a host as root
  cargo lab longshore ARGS...        run longshore as the lab's operator, with its inventory
  cargo lab down                     take the hosts down and clear everything

LONGSHORE_LAB=name gives a lab of its own, beside others.
LONGSHORE_LAB_CACHE (default /var/cache/longshore-lab) holds what all labs share.
LONGSHORE_LAB_FOLDER (default /var/lib/longshore-lab) holds the labs.
LONGSHORE_LAB_MIRROR names a Debian mirror, where the machine's own apt sources have none.
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// The text above.
    Help,
    /// Boot hosts.
    Up {
        /// How many.
        hosts: usize,
        /// With the agent installed.
        agent: bool,
        /// As a provider hands them over.
        bare: Option<Suite>,
    },
    /// Log in.
    Ssh {
        /// Where.
        host: String,
        /// What to run; nothing gives a shell.
        command: Vec<String>,
    },
    /// Show the main job.
    Demo,
    /// Make a tarball to install from.
    Dist,
    /// Check everything, or one gate with arguments of its own.
    Test(Vec<String>),
    /// Measure, with options of its own.
    Bench(Vec<String>),
    /// Run the controller.
    Longshore(Vec<String>),
    /// Clear everything.
    Down,
}

/// A command line that means nothing.
#[derive(Debug, Error)]
pub enum Error {
    /// Not an order.
    #[error("{0:?} is no order of the lab; see `cargo lab --help`")]
    Unknown(String),
    /// Something is missing.
    #[error("`cargo lab {0}`: {1} is missing; see `cargo lab --help`")]
    Missing(&'static str, &'static str),
    /// Options.
    #[error(transparent)]
    Options(#[from] lexopt::Error),
}

/// Reads the command line, does what it says, and says how it went.
pub fn main() -> ExitCode {
    let order = match parse(lexopt::Parser::from_env()) {
        Ok(order) => order,
        Err(error) => {
            say::error(&error);
            return ExitCode::from(2);
        }
    };
    let done = match order {
        Order::Help => {
            say::answer(HELP);
            Ok(ExitCode::SUCCESS)
        }
        Order::Up { hosts, agent, bare } => commands::up::run(hosts, agent, bare),
        Order::Ssh { host, command } => commands::ssh::run(&host, &command),
        Order::Demo => commands::demo::run(),
        Order::Dist => commands::dist::run(),
        Order::Test(words) => commands::test::run(&words),
        Order::Bench(words) => commands::bench::run(&words),
        Order::Longshore(words) => commands::longshore::run(&words),
        Order::Down => commands::down::run(),
    };
    done.unwrap_or_else(|error| {
        say::error(error.as_ref());
        ExitCode::FAILURE
    })
}

fn parse(mut parser: lexopt::Parser) -> Result<Order, Error> {
    let verb = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Order::Help),
        Some(Value(verb)) => verb.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match verb.as_str() {
        "help" => Ok(Order::Help),
        "up" => parse_up(parser),
        "ssh" => {
            let mut words = rest(&mut parser)?;
            if words.is_empty() {
                return Err(Error::Missing("ssh", "the host"));
            }
            let host = words.remove(0);
            Ok(Order::Ssh {
                host,
                command: words,
            })
        }
        "demo" => nothing_more(parser, Order::Demo),
        "dist" => nothing_more(parser, Order::Dist),
        "test" => Ok(Order::Test(rest(&mut parser)?)),
        "bench" => Ok(Order::Bench(rest(&mut parser)?)),
        "longshore" => Ok(Order::Longshore(rest(&mut parser)?)),
        "down" => nothing_more(parser, Order::Down),
        other => Err(Error::Unknown(other.to_owned())),
    }
}

fn parse_up(mut parser: lexopt::Parser) -> Result<Order, Error> {
    let (mut hosts, mut agent, mut bare, mut suite) = (None, true, false, Suite::Bookworm);
    while let Some(word) = parser.next()? {
        match word {
            Long("without-agent") => agent = false,
            Long("bare") => (bare, agent) = (true, false),
            Long("debian") => {
                suite = match parser.value()?.string()?.as_str() {
                    "12" => Suite::Bookworm,
                    "13" => Suite::Trixie,
                    _ => return Err(Error::Missing("up --debian", "12 or 13")),
                }
            }
            Value(value) if hosts.is_none() => hosts = Some(value.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let hosts = hosts.ok_or(Error::Missing("up", "the number of hosts"))?;
    let bare = bare.then_some(suite);
    Ok(Order::Up { hosts, agent, bare })
}

/// Everything that follows, options too: it belongs to another program.
fn rest(parser: &mut lexopt::Parser) -> Result<Vec<String>, Error> {
    Ok(parser
        .raw_args()?
        .map(ValueExt::string)
        .collect::<Result<_, _>>()?)
}

fn nothing_more(mut parser: lexopt::Parser, order: Order) -> Result<Order, Error> {
    match parser.next()? {
        None => Ok(order),
        Some(other) => Err(other.unexpected().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Order, Error> {
        parse(lexopt::Parser::from_args(words))
    }

    #[test]
    fn orders_are_read() {
        assert_eq!(
            read(&["up", "3"]).unwrap(),
            Order::Up {
                hosts: 3,
                agent: true,
                bare: None,
            }
        );
        let bare = Order::Up {
            hosts: 1,
            agent: false,
            bare: None,
        };
        assert_eq!(read(&["up", "--without-agent", "1"]).unwrap(), bare);
        assert_eq!(read(&[]).unwrap(), Order::Help);
        let ls = Order::Ssh {
            host: "web-1".into(),
            command: vec!["ls".into(), "-l".into()],
        };
        assert_eq!(read(&["ssh", "web-1", "ls", "-l"]).unwrap(), ls);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for words in [
            &["fly"][..],
            &["up"],
            &["up", "x"],
            &["down", "now"],
            &["ssh"],
            &["-x"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
