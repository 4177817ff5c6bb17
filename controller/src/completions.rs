//! What a shell offers after `longshore` and a tab: the words of the command line, and the names in
//! this folder's inventory, releases and tags. Nobody is connected for it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use clap::{Arg, Command};
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCompleter, CompletionCandidate};

use crate::error::CommandError;
use crate::inventory::{Environment, Inventory, locate};

/// A shell that asks says so by this variable.
const ASKED_BY: &str = "COMPLETE";

/// Answers a shell that asks, and ends the program then.
pub(crate) fn answer(command: fn() -> Command) {
    CompleteEnv::with_factory(move || with_names(command()))
        .var(ASKED_BY)
        .complete();
}

/// What makes a shell ask.
pub(crate) fn registration(shell: &str) -> Result<String, CommandError> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).ok_or_else(|| {
        CommandError::usage(format!("no shell is called {shell}"))
            .hint("There are bash, zsh, fish, elvish and powershell.")
    })?;
    let mut text = Vec::new();
    let name = "longshore";
    shell
        .write_registration(ASKED_BY, name, name, name, &mut text)
        .map_err(|error| CommandError::failed("cannot write the words for it").caused_by(error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What is called alike in the usage of every verb is completed alike.
fn with_names(command: Command) -> Command {
    let complete = |arg: Arg| {
        let name = arg.get_value_names().and_then(|names| names.first());
        match name.map(|name| name.as_str()) {
            Some("ENV") => arg.add(ArgValueCompleter::new(environments)),
            Some("HOST" | "NAME|@ROLE|GLOB") => arg.add(ArgValueCompleter::new(hosts)),
            Some("VERSION") => arg.add(ArgValueCompleter::new(versions)),
            _ => arg,
        }
    };
    command.mut_args(complete).mut_subcommands(with_names)
}

fn inventory() -> Option<Inventory> {
    let named = std::env::var_os("LONGSHORE_INVENTORY").map(PathBuf::from);
    let path = locate(named.as_deref(), &std::env::current_dir().ok()?).ok()?;
    Inventory::read(&path).ok()
}

fn environments(typed: &OsStr) -> Vec<CompletionCandidate> {
    let inventory = inventory();
    let names = inventory.iter().flat_map(Inventory::environments);
    beginning_with(typed, names.map(|environment| environment.name.to_string()))
}

/// Those of the environment that was typed before, if one was.
fn hosts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let inventory = inventory();
    let words: Vec<String> = std::env::args().collect();
    let mut environments: Vec<_> = inventory.iter().flat_map(Inventory::environments).collect();
    let is_typed =
        |environment: &&Environment| words.iter().any(|word| word == environment.name.as_str());
    if environments.iter().any(is_typed) {
        environments.retain(is_typed);
    }
    let hosts = environments
        .iter()
        .flat_map(|environment| &environment.hosts);
    let names = hosts.flat_map(|host| {
        let roles = host.roles.iter().map(|role| format!("@{role}"));
        std::iter::once(host.name.to_string()).chain(roles)
    });
    beginning_with(typed, names)
}

/// Of the releases in dist/, and of tags.
fn versions(typed: &OsStr) -> Vec<CompletionCandidate> {
    let entries = fs_err::read_dir("dist").into_iter().flatten().flatten();
    let of_release = |name: &str| {
        let name = name.strip_suffix(".tar.gz")?;
        // An app's name may have digits and dashes too: a version begins after the last dash before a dot.
        let dash = name.get(..name.find('.')?)?.rfind('-')?;
        name.get(dash + 1..).map(str::to_owned)
    };
    let built = entries.filter_map(|entry| of_release(entry.file_name().to_str()?));
    let tags = Program::new("git")
        .args(["tag", "--list", "v[0-9]*"])
        .output();
    let tags = tags.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let tags = tags.unwrap_or_default();
    let tagged = tags
        .lines()
        .filter_map(|tag| tag.strip_prefix('v'))
        .map(str::to_owned);
    beginning_with(typed, built.chain(tagged))
}

fn beginning_with(typed: &OsStr, names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let names: BTreeSet<String> = names.filter(|name| name.starts_with(&*typed)).collect();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Writes a man page for each verb into a folder.
pub(crate) fn write_man_pages(command: Command, folder: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}
