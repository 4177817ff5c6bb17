//! `longshore inventory import`: hosts from terraform, a provider's list or Ansible.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use longshore_shared::name::{EnvironmentName, HostName};
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::import::{self, Format, Found, Hosts, Unmapped};
use crate::inventory::{self, Address, EditError, Inventory, NewHost};
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
/// Adds what is not there yet to inventory.toml (or begins one), and touches nothing else in it. Names
/// what it could not map, and why. Secrets of a state are neither read nor shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  terraform show -json | longshore inventory import --env production
  doctl compute droplet list -o json | longshore inventory import --env staging --role web
  longshore inventory import hosts.ini --env production --dry-run")]
pub(crate) struct ImportArgs {
    /// The file; else standard input
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
    let hosts = read(args)?;
    let (path, known) = present(context, &environment)?;
    let mut chosen = choose(hosts, &args.role, &known);
    if !args.dry_run && !chosen.added.is_empty() {
        crate::inventory::add_hosts(&path, &environment, &chosen.added)?;
    }
    chosen
        .unmapped
        .sort_by(|one, other| one.what.cmp(&other.what));
    say(&chosen, args.dry_run, &path, context);
    let rest = Rest {
        environment: environment.as_str(),
        added: chosen.added.iter().map(|host| host.name.as_str()).collect(),
        known: chosen.known.iter().map(HostName::as_str).collect(),
        unmapped: chosen
            .unmapped
            .iter()
            .map(|one| one.what.as_str())
            .collect(),
    };
    context
        .ui
        .machine(&result_line("inventory import", Exit::Done, rest));
    Ok(Exit::Done)
}

fn read(args: &ImportArgs) -> Result<Hosts, CommandError> {
    let shown = args.file.as_deref().unwrap_or(Path::new("standard input"));
    let unread = |error: std::io::Error| {
        CommandError::configuration(format!("cannot read {}", shown.display())).caused_by(error)
    };
    let mut text = String::new();
    match &args.file {
        Some(path) if path.as_os_str() != "-" => {
            let file = std::fs::File::open(path).map_err(unread)?;
            file.take(LARGEST)
                .read_to_string(&mut text)
                .map_err(unread)?;
        }
        _ => {
            let input = std::io::stdin().lock();
            input
                .take(LARGEST)
                .read_to_string(&mut text)
                .map_err(unread)?;
        }
    }
    import::read(&text, args.format).map_err(|error| {
        CommandError::configuration(format!("{} cannot be imported", shown.display()))
            .caused_by(error)
            .hint("Say what it is with --format; `longshore inventory import --help` lists what can be read.")
    })
}

/// The inventory's path, and the hosts that it has already.
fn present(
    context: &Context,
    environment: &EnvironmentName,
) -> Result<(PathBuf, BTreeMap<HostName, Address>), CommandError> {
    let folder = context.folder()?;
    let path = match inventory::locate(context.global.inventory.as_deref(), &folder) {
        Ok(path) => path,
        // The first hosts begin an inventory.
        Err(_) => context
            .global
            .inventory
            .clone()
            .unwrap_or_else(|| folder.join("inventory.toml")),
    };
    if !path.exists() {
        return Ok((path, BTreeMap::new()));
    }
    let inventory = Inventory::read(&path)?;
    let known = inventory
        .environments()
        .flat_map(|other| other.hosts.iter().map(move |host| (other, host)));
    let mut all = BTreeMap::new();
    for (other, host) in known {
        tracing::debug!(host = %host.name, here = other.name == *environment, "known");
        all.insert(host.name.clone(), host.address.clone());
    }
    Ok((path, all))
}

/// What an import comes to.
#[derive(Debug, Default)]
struct Chosen {
    added: Vec<NewHost>,
    known: Vec<HostName>,
    unmapped: Vec<Unmapped>,
}

fn choose(hosts: Hosts, roles: &[String], known: &BTreeMap<HostName, Address>) -> Chosen {
    let mut chosen = Chosen {
        unmapped: hosts.unmapped,
        ..Chosen::default()
    };
    let mut addresses: Vec<Address> = known.values().cloned().collect();
    for found in hosts.found {
        let skip = |why: String| Unmapped {
            what: found.name.clone(),
            why,
        };
        let Some(name) = host_name(&found.name) else {
            let why = "no name can be made of it: a-z, 0-9 and `-`".to_owned();
            chosen.unmapped.push(skip(why));
            continue;
        };
        let Some(address) = address(&found) else {
            chosen
                .unmapped
                .push(skip(format!("{:?} is no address", found.address)));
            continue;
        };
        match known.get(&name) {
            Some(other) if *other == address => chosen.known.push(name),
            Some(other) => chosen.unmapped.push(skip(format!(
                "{name} is in the inventory with the address {other}, and here with {address}: correct it there"
            ))),
            None if addresses.contains(&address) => chosen.unmapped.push(skip(format!(
                "{address} is the address of another host in the inventory"
            ))),
            None if chosen.added.iter().any(|host| host.name == name) => {
                chosen.unmapped.push(skip(format!("there is another {name}")));
            }
            None => {
                addresses.push(address.clone());
                let mut all: Vec<String> = roles.to_vec();
                all.extend(found.roles.iter().filter_map(|role| role_name(role)));
                all.dedup();
                chosen.added.push(NewHost {
                    name,
                    address,
                    user: found.user.clone().filter(|user| user != "root"),
                    roles: all,
                });
            }
        }
    }
    chosen
}

fn address(found: &Found) -> Option<Address> {
    let address: Address = found.address.parse().ok()?;
    Some(match found.port {
        Some(port) if port != 22 => address.with_port(port),
        _ => address,
    })
}

/// `Web_01.example.com` becomes `web-01`, where the rest is a domain.
fn host_name(text: &str) -> Option<HostName> {
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    let short = if is_address {
        format!("host-{}", text.replace(['.', ':'], "-"))
    } else {
        text.split('.').next().unwrap_or_default().to_owned()
    };
    HostName::new(plain(&short, &['-'])).ok()
}

fn role_name(text: &str) -> Option<String> {
    let name = plain(text, &['-', '_']);
    (!name.is_empty()).then_some(name)
}

fn plain(text: &str, kept: &[char]) -> String {
    let lower = text.to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || kept.contains(&c);
    let replaced: String = lower
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    let parts: Vec<&str> = replaced
        .split('-')
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("-")
}

fn say(chosen: &Chosen, dry_run: bool, path: &Path, context: &Context) {
    for host in &chosen.added {
        let roles = host.roles.join(", ");
        let roles = if roles.is_empty() {
            roles
        } else {
            format!("  ({roles})")
        };
        let line = format!("+ {}  {}{roles}", host.name, host.address);
        context.ui.answer(&one_line(&line));
    }
    for one in &chosen.unmapped {
        let line = format!("not mapped: {}: {}", one.what, one.why);
        context.ui.answer(&one_line(&line));
    }
    let number = chosen.added.len();
    let plural = if number == 1 { "host" } else { "hosts" };
    let done = if dry_run { "would be added" } else { "added" };
    context.ui.answer(&format!(
        "{number} {plural} {done} to {}; {} there already",
        path.display(),
        chosen.known.len()
    ));
}

impl From<EditError> for CommandError {
    fn from(error: EditError) -> Self {
        Self::configuration("the inventory was left as it is")
            .caused_by(error)
            .hint("Mend it, then run the same command again.")
    }
}

#[derive(Serialize)]
struct Rest<'a> {
    environment: &'a str,
    added: Vec<&'a str>,
    known: Vec<&'a str>,
    unmapped: Vec<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe() {
        let name = |text: &str| host_name(text).map(|name| name.to_string());
        assert_eq!(name("Web_01.example.com").as_deref(), Some("web-01"));
        assert_eq!(name("192.0.2.7").as_deref(), Some("host-192-0-2-7"));
        assert_eq!(name("01"), None);
        assert_eq!(role_name("env:Prod Web").as_deref(), Some("env-prod-web"));
    }

    #[test]
    fn nothing_that_is_there_is_overwritten() {
        let found = |name: &str, address: &str| Found {
            name: name.to_owned(),
            address: address.to_owned(),
            port: None,
            user: Some("root".to_owned()),
            roles: vec!["Web".to_owned()],
        };
        let hosts = Hosts {
            found: vec![
                found("same", "192.0.2.1"),
                found("moved", "192.0.2.9"),
                found("new", "192.0.2.3"),
                found("new-too", "192.0.2.3"),
                found("odd", "-x-"),
            ],
            unmapped: Vec::new(),
        };
        let known = BTreeMap::from(
            [("same", "192.0.2.1"), ("moved", "192.0.2.2")]
                .map(|(name, address)| (HostName::new(name).unwrap(), address.parse().unwrap())),
        );
        let chosen = choose(hosts, &["app".to_owned()], &known);
        assert_eq!(chosen.added.len(), 1);
        let added = &chosen.added[0];
        assert_eq!((added.name.as_str(), added.user.as_deref()), ("new", None));
        assert_eq!(added.roles, ["app", "web"]);
        assert_eq!(chosen.known.len(), 1);
        let skipped: Vec<&str> = chosen
            .unmapped
            .iter()
            .map(|one| one.what.as_str())
            .collect();
        assert_eq!(skipped, ["moved", "new-too", "odd"]);
    }
}
