//! `longshore init`: the first longshore.toml and inventory.toml of a repository.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::build::{GitError, Repository};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::init::{self, Answers, Places, Project, Signer, Written};
use crate::report::result_line;
use crate::signing;

/// An address that is nobody's, until the real one is written in its place.
const NO_ADDRESS: &str = "203.0.113.7";
const DEFAULT_BRANCH: &str = "main";

/// Write the first longshore.toml and inventory.toml
///
/// Looks at the repository (Django, Flask, FastAPI, a Procfile, pyproject.toml, requirements.txt, lock
/// files, package.json), asks for the app's name, a host and a domain, and writes both files with
/// comments; allowed_signers too, where your signing key is found. Nothing in the repository is run, no
/// file is ever overwritten, nothing is connected.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore init
  longshore init --yes --app shop --host 198.51.100.11 --domain shop.example.com")]
pub(crate) struct InitArgs {
    /// The first host's address; else it is asked for
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,

    /// The site's domain; else it is asked for
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
}

pub(crate) fn run(args: &InitArgs, context: &Context) -> Result<Exit, CommandError> {
    if !context.global.yes && !context.ui.can_ask() {
        return Err(
            CommandError::usage("nothing was written: there is no terminal to ask at")
                .hint("To take what is found and offered: longshore init --yes"),
        );
    }
    let folder = context.folder()?;
    let repository = match Repository::find(&folder) {
        Ok(repository) => Some(repository),
        Err(GitError::NoRepository { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let root = repository
        .as_ref()
        .map_or(folder.as_path(), Repository::root);
    let project = init::look(root);
    context.ui.note(&format!(
        "{} holds {}.",
        root.display(),
        project.kind.words()
    ));
    let answers = ask(args, &project, repository.as_ref(), context)?;
    let texts = init::texts(&project, &answers)?;
    let places = Places::new(root, context.global.inventory.as_deref());
    let (signer, no_signer) = match signer(repository.as_ref())? {
        Ok(signer) => (Some(signer), None),
        Err(why) => (None, Some(why)),
    };
    let written = init::write(&places, &texts, signer.as_ref())?;
    say(&written, root, context);
    let commit: Vec<String> = written
        .new
        .iter()
        .chain(&written.gitignore)
        .filter_map(|path| Some(path.strip_prefix(root).ok()?.display().to_string()))
        .collect();
    let next = Next {
        placeholder: answers.address == NO_ADDRESS,
        in_git: repository.is_some(),
        no_signer: no_signer.filter(|_| !places.signers.exists()),
        commit,
    };
    let next = next.steps();
    context.ui.answer("Next:");
    for step in &next {
        context.ui.answer(&format!("  - {step}"));
    }
    let rest = Rest {
        app: &answers.name,
        wrote: &written.new,
        left: &written.left,
        next: &next,
    };
    context.ui.machine(&result_line("init", Exit::Done, rest));
    Ok(Exit::Done)
}

fn ask(
    args: &InitArgs,
    project: &Project,
    repository: Option<&Repository>,
    context: &Context,
) -> Result<Answers, CommandError> {
    let question = |given: &Option<String>, words: &str, offered: &str| match given {
        Some(given) => given.clone(),
        None if context.global.yes => offered.to_owned(),
        None => context.ui.ask_line(words, offered),
    };
    let name = question(&context.global.app, "The app's name", &project.name);
    let address = question(&args.host, "The first host's address", NO_ADDRESS);
    let domain = question(
        &args.domain,
        "The site's domain",
        &format!("{name}.example.com"),
    );
    let branch = repository.map(Repository::branch).transpose()?.flatten();
    Ok(Answers {
        name,
        address,
        domain,
        branch: branch.unwrap_or_else(|| DEFAULT_BRANCH.to_owned()),
    })
}

/// Who signs here, or why that is not known.
fn signer(repository: Option<&Repository>) -> Result<Result<Signer, String>, CommandError> {
    let key = match signing::public_half(repository) {
        Ok(key) => key,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let email = match repository {
        Some(repository) => repository.setting("user.email")?,
        None => None,
    };
    // These mean something in the list of signers.
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"'*?!,#".contains(c);
    Ok(
        match email.filter(|email| !email.is_empty() && email.chars().all(plain)) {
            Some(principal) => Ok(Signer { principal, key }),
            None => Err("git's user.email, which would be your name there, is not set".to_owned()),
        },
    )
}

fn say(written: &Written, root: &Path, context: &Context) {
    let short = |path: &PathBuf| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    for path in &written.new {
        context.ui.answer(&format!("{} is written.", short(path)));
    }
    for path in &written.left {
        context.ui.answer(&format!(
            "{} was there already, and is left as it is.",
            short(path)
        ));
    }
    if let Some(path) = &written.gitignore {
        context
            .ui
            .answer(&format!("{} has a new line: dist/", short(path)));
    }
}

/// What is left to be done.
struct Next {
    /// The host's address is nobody's.
    placeholder: bool,
    in_git: bool,
    no_signer: Option<String>,
    /// A build takes no new files that are not committed.
    commit: Vec<String>,
}

impl Next {
    fn steps(self) -> Vec<String> {
        let mut next = Vec::new();
        if !self.in_git {
            next.push("Releases are made of commits: git init".to_owned());
        }
        let address = if self.placeholder {
            ", the host's address first"
        } else {
            ""
        };
        next.push(format!(
            "Read longshore.toml and inventory.toml{address}, and correct what was guessed."
        ));
        if let Some(why) = &self.no_signer {
            next.push(format!(
                "Write allowed_signers beside the inventory ({why}): YOU@EXAMPLE.COM namespaces=\"longshore-release,longshore-signers\" ssh-ed25519 AAAA…"
            ));
        }
        let mut commit: Vec<&str> = self.commit.iter().map(String::as_str).collect();
        // By then it is there.
        commit.extend(self.no_signer.as_ref().map(|_| "allowed_signers"));
        if !commit.is_empty() {
            next.push(format!("git add {} && git commit", commit.join(" ")));
        }
        next.push("longshore next-version; longshore build".to_owned());
        next.push("longshore bootstrap production; longshore deploy production".to_owned());
        next
    }
}

#[derive(Serialize)]
struct Rest<'a> {
    app: &'a str,
    wrote: &'a [PathBuf],
    left: &'a [PathBuf],
    next: &'a [String],
}
