//! `longshore verify FILE`: the verdict of a host on a release, offline.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::{AppName, EnvironmentName};
use longshore_shared::signature::{
    AllowedSigners, RELEASE_NAMESPACE, Revoked, Signer, Trust, verify_manifest,
};
use semver::Version;
use serde::Serialize;

use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code::Exit;
use crate::inventory::Environment;
use crate::release::{Bill, SignedRelease};
use crate::report::{bytes, result_line};
use crate::terminal_text::one_line;
use crate::trust;

/// Tell who signed a release, whether they may release, and that every file is as signed
///
/// Checks what a host checks, with the same code, and connects nowhere: the signature over the
/// manifest, the signer's rights, the tarball, and each file in it. Exit 0 means good, 4 refused.
/// A commit has a time and a signature has none, so "when" is the time of the commit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore verify dist/cortico-1.4.0.tar.gz
  longshore verify dist/cortico-1.4.0.json --for production
  longshore verify cortico-1.4.0.tar.gz --signers allowed_signers    without any inventory")]
pub(crate) struct VerifyArgs {
    /// Any file of the release: its .tar.gz or .json, the others beside it
    #[arg(value_name = "FILE")]
    pub(crate) release: PathBuf,

    /// Whom to trust, in the format of ssh-keygen's ALLOWED SIGNERS; else the inventory's signers
    #[arg(long, value_name = "FILE")]
    pub(crate) signers: Option<PathBuf>,

    /// Keys that must not be trusted any more; else the inventory's, which is not read with --signers
    /// unless --for names an environment of it
    #[arg(long, value_name = "FILE")]
    pub(crate) revoked: Option<PathBuf>,

    /// Also ask whether the signer may release to this environment of the inventory
    #[arg(long = "for", value_name = "ENV")]
    pub(crate) environment: Option<String>,
}

pub(crate) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, CommandError> {
    let (trust, environment) = whom_to_trust(args, context)?;
    let release = SignedRelease::read(&args.release)?;
    let signed = release.signed();
    let verified = verify_manifest(
        &trust,
        environment.as_ref(),
        signed.manifest.as_bytes(),
        &signed.signature,
        Timestamp::now(),
    )
    .map_err(|error| {
        CommandError::new(ErrorKind::Refused, "the release is not accepted")
            .caused_by(error)
            .hint("Nothing of it may be trusted until somebody with the right to has signed it.")
    })?;
    let bill = release.check_bill()?;
    let opened = release.clone().open()?;
    say(
        verified.value(),
        verified.signer(),
        environment.as_ref(),
        context,
    );
    let entries = opened.tree().entries().len();
    context.ui.answer(&format!(
        "  content  {} packed, {entries} entries: the tarball and each file are as signed",
        bytes(verified.value().tarball.size),
    ));
    if let Some(words) = bill_words(bill) {
        context.ui.answer(words);
    }
    let manifest = verified.value();
    let rest = Rest {
        app: &manifest.app,
        version: &manifest.version,
        commit: &manifest.commit,
        clean: manifest.clean,
        time: manifest.time,
        signer: &verified.signer().principals,
        fingerprint: &verified.signer().fingerprint,
        environment: environment.as_ref(),
        entries,
        sbom: bill == Bill::Fits,
    };
    context.ui.machine(&result_line("verify", Exit::Done, rest));
    Ok(Exit::Done)
}

fn say(
    manifest: &Manifest,
    signer: &Signer,
    environment: Option<&EnvironmentName>,
    context: &Context,
) {
    let line = |text: String| context.ui.answer(&one_line(&text));
    line(format!("{} {} is good", manifest.app, manifest.version));
    let clean = if manifest.clean {
        "nothing but the commit"
    } else {
        "from a working tree that differed from the commit"
    };
    line(format!(
        "  commit   {} ({}), of {}, {clean}",
        manifest.commit, manifest.git_ref, manifest.time
    ));
    line(format!(
        "  signed   by {} with {}",
        signer.principals, signer.fingerprint
    ));
    line(match environment {
        Some(environment) => format!("  rights   they may release to {environment}"),
        None => "  rights   not asked: name an environment with --for".to_owned(),
    });
}

fn bill_words(bill: Bill) -> Option<&'static str> {
    match bill {
        Bill::NotMade => None,
        Bill::NotHere => Some("  sbom     signed, but not beside the release: not looked at"),
        Bill::Fits => Some("  sbom     as signed"),
    }
}

/// The rules to go by: files that were named, else those of the inventory.
fn whom_to_trust(
    args: &VerifyArgs,
    context: &Context,
) -> Result<(Trust, Option<EnvironmentName>), CommandError> {
    let inventory = match (&args.signers, &args.environment) {
        (Some(_), None) => None,
        _ => Some(context.inventory().map_err(|error| {
            error.hint(
                "Or say whom to trust without one: longshore verify FILE --signers allowed_signers",
            )
        })?),
    };
    let environment: Option<&Environment> = match (&inventory, &args.environment) {
        (Some(inventory), Some(name)) => Some(inventory.environment(name)?),
        _ => None,
    };
    let mut trust = match (&inventory, environment) {
        (Some(inventory), Some(environment)) if args.signers.is_some() => {
            trust::rights(inventory, environment)?
        }
        (Some(inventory), environment) => trust::composed(inventory, environment)?,
        (None, _) => Trust::default(),
    };
    if let Some(path) = &args.signers {
        let text = String::from_utf8(read(path)?).map_err(|error| wrong(path, error))?;
        trust.allowed = AllowedSigners::parse(&text).map_err(|error| wrong(path, error))?;
    }
    if let Some(path) = &args.revoked {
        trust.revoked = Revoked::parse(&read(path)?).map_err(|error| wrong(path, error))?;
    }
    tracing::debug!(signers = trust.allowed.names(RELEASE_NAMESPACE), "trusted");
    Ok((
        trust,
        environment.map(|environment| environment.name.clone()),
    ))
}

fn read(path: &PathBuf) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path).map_err(|error| {
        CommandError::configuration(format!("cannot read {}", path.display()))
            .caused_by(error)
            .hint("Name a file in the format of ssh-keygen's ALLOWED SIGNERS with --signers, or leave it out and have the inventory's taken.")
    })
}

fn wrong(
    path: &std::path::Path,
    error: impl std::error::Error + Send + Sync + 'static,
) -> CommandError {
    CommandError::configuration(format!("{} cannot be used", path.display())).caused_by(error)
}

#[derive(Serialize)]
struct Rest<'a> {
    app: &'a AppName,
    version: &'a Version,
    commit: &'a str,
    clean: bool,
    time: Timestamp,
    signer: &'a str,
    fingerprint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a EnvironmentName>,
    entries: usize,
    /// Whether a software bill of materials was checked.
    sbom: bool,
}
