//! `longshore inventory import`: hosts from terraform, a provider's list or Ansible.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use longshore_shared::name::{EnvironmentName, HostName};
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::import::{self, Added, Chosen, Format, Hosts, Known, Remark};
use crate::inventory::{self, Draft, EditError, NewHost, is_word};
use crate::report::result_line;
use crate::terminal_text::one_line;

/// More than any state that people pass around.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Read or change the inventory
#[derive(Debug, Args)]
pub(crate) struct InventoryArgs {
    #[command(subcommand)]
    pub(crate) what: InventoryVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InventoryVerb {
    Import(ImportArgs),
}

/// Add the hosts of a terraform state, a provider's list or an Ansible inventory
///
/// Adds what is not there yet to inventory.toml (or begins one), and touches nothing else in it. A host
/// that is there is never changed: another address is only named. Takes the public IPv4 address, else
/// IPv6, else a private one with a note; tags and groups become roles where they can be roles. Names what
/// it could not map, and why. Secrets of a state are neither kept nor shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  terraform show -json | longshore inventory import --env production
  doctl compute droplet list -o json | longshore inventory import --env staging --role web
  longshore inventory import hosts.ini --env production --dry-run
  ansible-inventory -i hosts.ini --list --yaml | longshore inventory import --env production   (with group_vars)")]
pub(crate) struct ImportArgs {
    /// The file; `-` or nothing means standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// The environment that the hosts belong to
    #[arg(long = "env", value_name = "ENV")]
    pub(crate) environment: String,

    /// What it is; else it is recognised
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// A role for all of them, beside their tags and groups; repeatable
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    pub(crate) role: Vec<String>,

    /// Only show what would be added
    #[arg(long)]
    pub(crate) dry_run: bool,
}

pub(crate) fn run(args: &InventoryArgs, context: &Context) -> Result<Exit, CommandError> {
    let InventoryVerb::Import(args) = &args.what;
    let environment = EnvironmentName::new(args.environment.as_str())
        .map_err(|error| CommandError::usage(error.to_string()))?;
    if let Some(role) = args.role.iter().find(|role| !is_word(role)) {
        let what = format!("`{role}` is not a role: use a-z, 0-9, `-` and `_`, without `@`");
        return Err(CommandError::usage(what));
    }
    let hosts = read(args)?;
    let draft = Draft::open(&path(context)?)?;
    let path = draft.path().to_owned();
    let chosen = import::choose(hosts, &args.role, &environment, &known(&draft)?);
    let added: Vec<&NewHost> = chosen.added.iter().map(|added| &added.host).collect();
    // What would not be right is told by a dry run too.
    let text = draft.with_hosts(&environment, &added)?;
    if !args.dry_run && !added.is_empty() {
        draft.write(&text)?;
    }
    say(&chosen, args, &path, context);
    let line = Line {
        environment: environment.as_str(),
        inventory: path.display().to_string(),
        dry_run: args.dry_run,
        added: added.into_iter().map(AddedLine::from).collect(),
        known: chosen.known.iter().map(HostName::as_str).collect(),
        unmapped: &chosen.unmapped,
        notes: &chosen.notes,
    };
    let line = result_line(VERB, Exit::Done, line);
    context.ui.machine(&line);
    Ok(Exit::Done)
}

fn read(args: &ImportArgs) -> Result<Hosts, CommandError> {
    let file = args.file.as_deref();
    let named = file.filter(|path| path.as_os_str() != "-");
    let shown = named.map_or("standard input".into(), Path::to_string_lossy);
    let shown = one_line(&shown);
    let text = match named {
        Some(path) => std::fs::File::open(path).and_then(whole),
        None if file.is_none() && std::io::stdin().is_terminal() => {
            return Err(CommandError::usage("nothing to import")
                .hint("Name a file, or pipe something in: longshore inventory import --help"));
        }
        None => whole(std::io::stdin().lock()),
    };
    let text = text.map_err(|error| {
        CommandError::configuration(format!("cannot read {shown}")).caused_by(error)
    })?;
    import::read(&text, args.format).map_err(|error| {
        CommandError::configuration(format!("{shown} cannot be imported"))
            .caused_by(error)
            .hint("Say what it is with --format; `longshore inventory import --help` lists what can be read.")
    })
}

fn whole(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(std::io::Error::other("it is larger than 256 MiB"));
    }
    Ok(text)
}

/// The inventory that there is, or the one that the first hosts begin.
fn path(context: &Context) -> Result<PathBuf, CommandError> {
    let folder = context.folder()?;
    let found = inventory::locate(context.global.inventory.as_deref(), &folder);
    Ok(found.unwrap_or_else(|_| folder.join("inventory.toml")))
}

fn known(draft: &Draft) -> Result<Known, CommandError> {
    let inventory = draft.read(draft.text())?;
    let mut known = BTreeMap::new();
    for environment in inventory.environments() {
        for host in &environment.hosts {
            let place = (environment.name.clone(), host.address.clone());
            known.insert(host.name.clone(), place);
        }
    }
    Ok(known)
}

fn say(chosen: &Chosen, args: &ImportArgs, path: &Path, context: &Context) {
    let answer = |line: &str| context.ui.answer(&one_line(line));
    for Added { host, from } in &chosen.added {
        let mut line = format!("+ {}  {}", host.name, host.address);
        if let Some(user) = &host.user {
            line.push_str(&format!("  user {user}"));
        }
        if !host.roles.is_empty() {
            line.push_str(&format!("  ({})", host.roles.join(", ")));
        }
        if from != host.name.as_str() {
            line.push_str(&format!("  from {from}"));
        }
        answer(&line);
    }
    for (why, what) in by_reason(&chosen.notes) {
        answer(&format!("note: {what}: {why}"));
    }
    for (why, what) in by_reason(&chosen.unmapped) {
        answer(&format!("not mapped: {what}: {why}"));
    }
    let number = chosen.added.len();
    let plural = if number == 1 { "host" } else { "hosts" };
    let done = if args.dry_run {
        "would be added"
    } else {
        "added"
    };
    answer(&format!(
        "{number} {plural} {done} to {}; {} there already",
        path.display(),
        chosen.known.len()
    ));
}

/// What a reason holds for, in one line however many there are.
fn by_reason(remarks: &[Remark]) -> BTreeMap<&str, String> {
    const NAMED: usize = 5;
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for remark in remarks {
        by_reason.entry(&remark.why).or_default().push(&remark.what);
    }
    let joined = |what: Vec<&str>| match what.split_at_checked(NAMED) {
        Some((first, rest)) if !rest.is_empty() => {
            format!("{} and {} more", first.join(", "), rest.len())
        }
        _ => what.join(", "),
    };
    by_reason
        .into_iter()
        .map(|(why, what)| (why, joined(what)))
        .collect()
}

impl From<EditError> for CommandError {
    fn from(error: EditError) -> Self {
        let next = match &error {
            EditError::Changed { .. } => {
                "Run the same command again: it begins from what is there now."
            }
            EditError::File { .. } => {
                "Nothing was written; run the same command again when it can be."
            }
            EditError::Text { .. } | EditError::Wrong(_) => {
                "Mend it, then run the same command again."
            }
        };
        Self::configuration("the inventory was left as it is")
            .hint(next)
            .caused_by(error)
    }
}

const VERB: &str = "inventory import";

#[derive(Serialize)]
struct Line<'a> {
    environment: &'a str,
    inventory: String,
    dry_run: bool,
    added: Vec<AddedLine<'a>>,
    known: Vec<&'a str>,
    unmapped: &'a [Remark],
    notes: &'a [Remark],
}

#[derive(Serialize)]
struct AddedLine<'a> {
    host: &'a str,
    address: String,
    user: Option<&'a str>,
    roles: &'a [String],
}

impl<'a> From<&'a NewHost> for AddedLine<'a> {
    fn from(host: &'a NewHost) -> Self {
        AddedLine {
            host: host.name.as_str(),
            address: host.address.to_string(),
            user: host.user.as_deref(),
            roles: &host.roles,
        }
    }
}
