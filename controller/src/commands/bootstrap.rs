//! `longshore bootstrap`: make servers ready for deployments.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use longshore_shared::name::HostName;
use longshore_shared::setup::Plan;
use serde::Serialize;

use super::asking::Quiet;
use super::host_args::HostArgs;
use crate::bootstrap::{
    self, AskHostKey, AssignError, Carried, CarryError, CertificateError, Ended, HostKeys, Job,
    Mode, Outcome, Passwords, Tell, Wanted,
};
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code::Exit;
use crate::fleet;
use crate::inventory::{Environment, Host, Inventory, pin_host_keys};
use crate::report::{failures, milliseconds, result_line};
use crate::ssh::{Keyring, Surroundings};
use crate::terminal_text::one_line;
use crate::trust;
use crate::ui::Ui;

/// Make an environment's servers ready for deployments, or bring them back to the inventory
///
/// Logs in as you, else as root, sends the agent along, and lets it compare the host with the
/// inventory: packages, accounts, sshd, firewall, nginx, the agent itself. Shows what differs, then
/// changes it; a second run changes nothing. What could lock you out is taken back by the host itself
/// unless a new connection comes through within a minute. Hosts are worked on side by side.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore bootstrap production
  longshore bootstrap production --plan            show what would change, and stop
  longshore bootstrap production --check           the same for a nightly job: exit 1 if anything differs
  longshore bootstrap production --on web-3 --login debian --host-key SHA256:…

Outcomes of a host, with --json: unchanged, changed, differs (--plan and --check alone change nothing),
failed, unreachable, refused.")]
pub(crate) struct BootstrapArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// Show what would change, and stop
    #[arg(long)]
    pub(crate) plan: bool,

    /// Show what would change, and exit 1 where anything would
    #[arg(long)]
    pub(crate) check: bool,

    /// Log in as this user, who is root or may use sudo; else as you, else as the inventory's
    /// [setup] login, else as root
    #[arg(long, value_name = "USER")]
    pub(crate) login: Option<String>,

    /// A host key that you have from elsewhere: SHA256:… or the whole key. HOST=KEY where several hosts
    /// of the run have none in the inventory; repeatable
    #[arg(long, value_name = "KEY")]
    pub(crate) host_key: Vec<String>,

    /// The agent to install; else the one beside this program
    #[arg(long, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,

    /// Turn the firewall on although something listens on ports that it closes
    #[arg(long)]
    pub(crate) close_ports: bool,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &BootstrapArgs, context: &Context) -> Result<Exit, CommandError> {
    let begun = Instant::now();
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let mut wanted = wanted(args, &inventory, environment)?;
    let hosts: Vec<&Host> = wanted.iter().map(|wanted| &wanted.host).collect();
    let host_keys = bootstrap::assign(&args.host_key, &environment.hosts, &hosts)?;
    let reach = context.reach(environment, Arc::new(Quiet));
    let signed_trust = trust::of_others(&inventory, environment, &reach).await;
    for one in &mut wanted {
        one.desired.signed_trust.clone_from(&signed_trust);
    }
    let mode = if args.plan || args.check {
        Mode::Plan
    } else {
        Mode::Change
    };
    let teller = Teller {
        ui: Arc::clone(&context.ui),
        verbose: context.global.verbose > 0,
        told: Arc::default(),
    };
    let job = Job {
        around: Arc::new(Surroundings::of_this_process()),
        keyring: Arc::new(Keyring::new(context.ui.clone())),
        agents: Arc::new(Carried::pack(args.agent.as_deref())?),
        host_keys: Arc::new(HostKeys::new(host_keys, Arc::new(teller.clone()))),
        passwords: Arc::new(Passwords::default()),
        tell: Arc::new(teller),
        login: args.login.clone(),
        first_login: environment.setup.login.clone(),
        mode,
    };
    let all = fleet::on_all(wanted, |wanted| bootstrap::bootstrap(job.clone(), wanted));
    let ended = tokio::select! {
        ended = all => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    // What was vouched for holds, whatever became of the hosts.
    let pinned = match mode {
        Mode::Change => pin(&inventory, environment, &job.host_keys.to_pin(), context),
        Mode::Plan => Ok(()),
    };
    let Some(ended) = ended else {
        if let Err(error) = pinned {
            context.ui.error(&error);
        }
        return Err(CommandError::new(
            ErrorKind::Interrupted,
            "interrupted; each host ends what it had begun and stops there",
        )
        .hint("Run the same command again: it goes on where it stopped."));
    };
    let exit = match &pinned {
        Ok(()) => exit(&ended, args),
        Err(_) => Exit::Failed,
    };
    tell_end(&ended, context);
    if let Err(error) = &pinned {
        context.ui.error(error);
    }
    let rest = Rest {
        environment: environment.name.as_str(),
        seconds: milliseconds(begun.elapsed().as_secs_f64()),
        hosts: ended.iter().map(Line::new).collect(),
    };
    context.ui.machine(&result_line("bootstrap", exit, rest));
    Ok(exit)
}

fn wanted(
    args: &BootstrapArgs,
    inventory: &Inventory,
    environment: &Environment,
) -> Result<Vec<Wanted>, CommandError> {
    let trust = match trust::compose(inventory, environment) {
        Ok(rules) => Some(rules),
        Err(trust::ComposeError::NoSigners) => None,
        Err(error) => return Err(error.into()),
    };
    let chosen = args.hosts.selection().choose(environment, |_| true)?;
    let hosts = chosen.into_iter().map(|host| {
        let close_ports = args.close_ports;
        let desired =
            bootstrap::desired(inventory, environment, host, trust.as_ref(), close_ports)?;
        Ok(Wanted {
            host: host.clone(),
            desired,
        })
    });
    hosts.collect()
}

impl From<CertificateError> for CommandError {
    fn from(error: CertificateError) -> Self {
        Self::configuration("a certificate of the inventory cannot be used")
            .caused_by(error)
            .hint("The paths of `tls` are relative to the inventory; both files are PEM.")
    }
}

/// What was vouched for once is asked no more.
fn pin(
    inventory: &Inventory,
    environment: &Environment,
    keys: &[(HostName, String)],
    context: &Context,
) -> Result<(), CommandError> {
    if keys.is_empty() {
        return Ok(());
    }
    let path = inventory.path();
    pin_host_keys(path, &environment.name, keys).map_err(|error| {
        CommandError::new(
            ErrorKind::Failed,
            "the host keys could not be pinned in the inventory",
        )
        .caused_by(error)
        .hint("What became of each host is said above. Bootstrap again when the inventory can be written, or pin the keys by hand.")
    })?;
    for (host, _) in keys {
        let pinned = format!("{host}: its host key is pinned in {}", path.display());
        context.ui.answer(&one_line(&pinned));
    }
    Ok(())
}

fn exit(ended: &[Ended], args: &BootstrapArgs) -> Exit {
    let any = |outcome: Outcome| ended.iter().any(|ended| ended.outcome == outcome);
    let unreachable = any(Outcome::Unreachable) && !args.hosts.skip_offline;
    if any(Outcome::Failed) || unreachable || (args.check && any(Outcome::Differs)) {
        Exit::Failed
    } else if any(Outcome::Refused) {
        Exit::Refused
    } else {
        Exit::Done
    }
}

fn tell_end(ended: &[Ended], context: &Context) {
    for one in ended {
        for note in &one.notes {
            context
                .ui
                .answer(&one_line(&format!("{}: note: {note}", one.host)));
        }
        for lack in &one.lacks {
            context
                .ui
                .answer(&one_line(&format!("{}: differs: {lack}", one.host)));
        }
    }
    let failed = ended
        .iter()
        .filter_map(|one| Some((&one.host, one.failure.as_ref()?)));
    for line in failures(failed) {
        context.ui.answer(&line);
    }
    for one in ended {
        let changes = |number: usize| match number {
            1 => "1 change".to_owned(),
            number => format!("{number} changes"),
        };
        let words = match one.outcome {
            Outcome::Unchanged | Outcome::Changed => changes(one.made),
            Outcome::Differs if one.changes.is_empty() => "differs, as said above".to_owned(),
            Outcome::Differs => format!("{} to make", changes(one.changes.len())),
            other => other.word().to_owned(),
        };
        let line = format!("{}: {words} ({:.1} s)", one.host, one.seconds);
        context.ui.answer(&one_line(&line));
    }
}

/// The plan of the first host that has it.
struct Told {
    first: HostName,
    changes: Vec<String>,
}

/// Shows it on the terminal.
#[derive(Clone)]
struct Teller {
    ui: Arc<Ui>,
    verbose: bool,
    /// Plans that were shown already: most hosts of an environment differ in the same.
    told: Arc<Mutex<Vec<Told>>>,
}

impl Tell for Teller {
    fn plan(&self, host: &HostName, plan: &Plan) {
        self.say(host, &plan.host);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let same = told.iter().find(|told| told.changes == plan.changes);
        match same {
            _ if plan.changes.is_empty() => {}
            Some(Told { first, changes }) => {
                let line = format!("  the same {} changes as {first}", changes.len());
                self.say(host, &line);
            }
            None => {
                for change in &plan.changes {
                    self.say(host, &format!("  {change}"));
                }
                told.push(Told {
                    first: host.clone(),
                    changes: plan.changes.clone(),
                });
            }
        }
    }

    fn say(&self, host: &HostName, line: &str) {
        self.ui.note(&one_line(&format!("{host}: {line}")));
    }

    fn detail(&self, host: &HostName, line: &str) {
        if self.verbose {
            self.ui.note(&one_line(&format!("{host}: | {line}")));
        }
    }

    fn password(&self, user: &str, host: &HostName) -> Option<String> {
        self.ui
            .ask_secret(&format!("sudo password of {user} on {host}"))
    }
}

impl AskHostKey for Teller {
    fn is_it(&self, host: &HostName, address: &str, fingerprint: &str) -> bool {
        self.ui.confirm(&format!(
            "{host} ({address}) is not known yet. It shows {}.\n\
             Compare that with the host's console or its provider's page. Is it the same?",
            one_line(fingerprint)
        ))
    }
}

impl From<AssignError> for CommandError {
    fn from(error: AssignError) -> Self {
        Self::new(ErrorKind::Usage, error.to_string())
            .hint("Say it for each: --host-key web-1=SHA256:… --host-key web-2=SHA256:…")
    }
}

impl From<CarryError> for CommandError {
    fn from(error: CarryError) -> Self {
        let hint = match &error {
            CarryError::None => {
                "It comes with Longshore's tarball (`cargo lab dist` makes one). Name it with --agent FILE, or put it where it is looked for: ~/.local/share/longshore/agents/x86_64/longshore-agent"
            }
            CarryError::Use { .. } => "It has to be the longshore-agent of this very release.",
        };
        let message = error.to_string();
        match error {
            CarryError::None => CommandError::configuration(message),
            CarryError::Use { source, .. } => {
                CommandError::configuration(message).caused_by(source)
            }
        }
        .hint(hint)
    }
}

#[derive(Serialize)]
struct Rest<'a> {
    environment: &'a str,
    seconds: f64,
    hosts: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    host: &'a HostName,
    outcome: &'static str,
    changes: usize,
    plan: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    /// What is not as the inventory wants it, and not for bootstrap to change.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    lacks: &'a [String],
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hints: &'a [String],
}

impl<'a> Line<'a> {
    fn new(ended: &'a Ended) -> Self {
        let failure = ended.failure.as_ref();
        Self {
            host: &ended.host,
            outcome: ended.outcome.word(),
            changes: ended.made,
            plan: &ended.changes,
            notes: &ended.notes,
            lacks: &ended.lacks,
            seconds: milliseconds(ended.seconds),
            error: failure.map(crate::rollout::HostFailure::in_one_line),
            hints: failure.map_or(&[], |failure| &failure.hints),
        }
    }
}
