//! `longshore settings seal|unseal ENV`: settings in the repository, for the eyes of some alone.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use longshore_shared::settings::{MOST_BYTES, parse, weight};
use longshore_shared::setup::{DEPLOY_ACCOUNT, DEPLOY_GROUP};
use russh::keys::PublicKey;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::inventory::{Environment, Inventory, Person};
use crate::report::result_line;
use crate::sealed::{self, Identities};

const MOST_READ: u64 = sealed::LARGEST;

/// Seal settings into settings.ENV.age, which may be committed; deployments of that commit apply it
///
/// Reads NAME=value lines from standard input or a file and writes `settings.ENV.age` beside the app
/// file: the age format, for the SSH keys (Ed25519) of all people of the environment who may change
/// its settings, and for its deploy keys. `longshore deploy` opens it with --identity,
/// LONGSHORE_IDENTITY or ~/.ssh/id_ed25519, and sets on the hosts what differs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore settings seal production < production.env
  longshore settings list production --show | longshore settings seal production
  longshore settings unseal production | sed s/a/b/ | longshore settings seal production")]
pub(crate) struct SealArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// Read from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,

    /// Also for the public keys in this file, one a line; repeatable
    #[arg(long, value_name = "FILE")]
    to: Vec<PathBuf>,
}

/// Show what is in settings.ENV.age
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore settings unseal production
  longshore settings unseal production --identity ~/.ssh/ops")]
pub(crate) struct UnsealArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    /// Open it with this SSH key
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

#[derive(Serialize)]
struct Rest<'a> {
    file: String,
    /// Whose keys open it.
    #[serde(rename = "for")]
    readers: &'a [String],
}

pub(super) fn seal(args: &SealArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let text = read(args)?;
    check(&text)?;
    let mut readers = readers(&inventory, environment);
    for file in &args.to {
        readers.extend(from_file(file)?);
    }
    let (fit, unfit): (Vec<_>, Vec<_>) = readers
        .into_iter()
        .partition(|(_, key)| sealed::can_open(key));
    for (who, _) in &unfit {
        context.ui.note(&format!(
            "{who} has a key that is not Ed25519, which cannot open it"
        ));
    }
    let keys: Vec<PublicKey> = fit.iter().map(|(_, key)| key.clone()).collect();
    let sealed = sealed::seal(&text, &keys).map_err(|error| {
        CommandError::configuration("the settings cannot be sealed")
            .caused_by(error)
            .hint("Give those who may change settings (settings_by) Ed25519 keys in the inventory, or name keys with --to FILE.")
    })?;
    let file = place(environment, context)?;
    put(&file, &sealed).map_err(|error| {
        CommandError::failed("the sealed settings cannot be written").caused_by(error)
    })?;
    if !environment.deploy_keys.is_empty() && !ci_may_apply(environment) {
        context.ui.note(&format!(
            "CI can open it, and may not apply it: settings_by of {} does not name {DEPLOY_ACCOUNT}",
            environment.name
        ));
    }
    let mut names: Vec<String> = fit.into_iter().map(|(who, _)| who).collect();
    names.dedup();
    context.ui.answer(&format!(
        "{} is for {}. Commit it; deployments of that commit apply it.",
        file.display(),
        names.join(", ")
    ));
    let rest = Rest {
        file: file.display().to_string(),
        readers: &names,
    };
    context
        .ui
        .machine(&result_line("settings seal", Exit::Done, rest));
    Ok(Exit::Done)
}

pub(super) async fn unseal(args: &UnsealArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let file = place(environment, context)?;
    let unusable = |what: String| CommandError::configuration(what);
    let content = fs_err::read(&file).map_err(|error| {
        unusable("there are no sealed settings to read".to_owned()).caused_by(error)
    })?;
    let identities = Identities::find(args.identity.as_deref(), &context.keyring()).await?;
    let text = sealed::open(&content, &identities).map_err(|error| {
        unusable(format!("{} cannot be opened", file.display()))
            .caused_by(error)
            .hint("Name a key that opens it with --identity FILE.")
    })?;
    for line in text.lines() {
        context.ui.answer(line);
    }
    Ok(Exit::Done)
}

/// At the root of the app's repository.
fn place(environment: &Environment, context: &Context) -> Result<PathBuf, CommandError> {
    let folder = match context.app_file()? {
        Some((app_file, _)) => app_file.parent().map(PathBuf::from).unwrap_or_default(),
        None => context.folder()?,
    };
    Ok(folder.join(sealed::file_name(&environment.name)))
}

/// An empty list is mostly what came of a command that failed before.
fn check(text: &str) -> Result<(), CommandError> {
    let settings = parse(text).map_err(|error| {
        CommandError::usage("that is no list of settings, and nothing was written").caused_by(error)
    })?;
    let bytes = weight(&settings);
    match bytes {
        _ if settings.is_empty() => Err(CommandError::usage(
            "there is no setting in what was given, and nothing was written",
        )),
        _ if bytes > MOST_BYTES => Err(CommandError::usage(format!(
            "the settings take {bytes} bytes, and {MOST_BYTES} is what can be given to a process; nothing was written"
        ))),
        _ => Ok(()),
    }
}

/// Whole, or not at all.
fn put(file: &Path, sealed: &str) -> std::io::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    new.write_all(sealed.as_bytes())?;
    new.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))?;
    new.persist(file).map(drop).map_err(|error| error.error)
}

fn ci_may_apply(environment: &Environment) -> bool {
    let by = environment.settings_by.iter().flatten();
    by.into_iter()
        .any(|entry| entry == DEPLOY_ACCOUNT || entry.strip_prefix('@') == Some(DEPLOY_GROUP))
}

fn read(args: &SealArgs) -> Result<String, CommandError> {
    let unread = |error| CommandError::usage("the settings cannot be read").caused_by(error);
    let mut text = String::new();
    match &args.env_file {
        Some(file) => fs_err::File::open(file)
            .and_then(|file| file.take(MOST_READ).read_to_string(&mut text))
            .map_err(unread)?,
        None => std::io::stdin()
            .take(MOST_READ)
            .read_to_string(&mut text)
            .map_err(unread)?,
    };
    Ok(text)
}

/// Whoever may see the settings on the hosts, and CI, which applies them.
fn readers(inventory: &Inventory, environment: &Environment) -> Vec<(String, PublicKey)> {
    let sudo = vec!["@sudo".to_owned()];
    let by = environment.settings_by.as_ref().unwrap_or(&sudo);
    let may = |name: &str, person: &Person| {
        by.iter().any(|entry| match entry.strip_prefix('@') {
            Some(group) => person.groups.iter().any(|own| own == group),
            None => entry == name,
        })
    };
    let people = environment.people.iter();
    let people = people.filter_map(|name| Some((name, inventory.people().get(name)?)));
    let people = people
        .filter(|(name, person)| may(name, person))
        .flat_map(|(name, person)| {
            person
                .keys
                .iter()
                .map(move |key| (name.clone(), key.clone()))
        });
    let ci = environment.deploy_keys.iter();
    people
        .chain(ci.map(|key| ("the deploy keys".to_owned(), key.clone())))
        .collect()
}

fn from_file(file: &PathBuf) -> Result<Vec<(String, PublicKey)>, CommandError> {
    let unusable = |what: String| CommandError::usage(what);
    let text = fs_err::read_to_string(file)
        .map_err(|error| unusable("--to names no file of keys".to_owned()).caused_by(error))?;
    let lines = text.lines().map(str::trim);
    let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    keys.map(|line| {
        let key = PublicKey::from_openssh(line).map_err(|error| {
            unusable(format!("{}: {line:.40} is no public key", file.display())).caused_by(error)
        })?;
        let who = match key.comment().to_string() {
            comment if comment.is_empty() => file.display().to_string(),
            comment => comment,
        };
        Ok((who, key))
    })
    .collect()
}
