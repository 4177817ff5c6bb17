//! `longshore build`: from a commit to a signed release in `dist/`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use longshore_shared::app_file::AppFile;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::name::AppName;
use semver::Version;
use serde::Serialize;

use super::build_check;
use crate::build::{self, BuildRequest, Repository};
use crate::context::{APP_FILE, Context};
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::inventory;
use crate::report::{bytes, milliseconds, result_line};

/// Build a signed release of this repository's app
///
/// Exports the commit into a clean folder, runs the app file's [build] steps there, and writes
/// dist/APP-VERSION.tar.gz, .json (the manifest), .json.sig and, where the release holds Python or npm
/// lock files, .cdx.json (a CycloneDX bill of materials; its digest is in the manifest). The same commit
/// gives the same bytes on any machine. Nothing is sent anywhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore build                             the commit that is checked out
  longshore build --ref v1.4.0 --version 1.4.0
  longshore build --check                     twice, to see whether the steps give the same bytes
  longshore build --key ~/.ssh/release_ed25519.pub    the private half is in ssh-agent")]
pub(crate) struct BuildArgs {
    /// The commit, branch or tag to build; else HEAD
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) git_ref: Option<String>,

    /// The release's version (semver); else that of a tag such as v1.4.0 on the commit, else what
    /// `longshore next-version` says
    #[arg(long, value_name = "X.Y.Z", value_parser = super::version_arg::parse)]
    pub(crate) version: Option<semver::Version>,

    /// Sign with this SSH key; else LONGSHORE_SIGNING_KEY, git's user.signingkey, or the only key in
    /// ssh-agent
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// Build although files here differ from the commit: the tracked files as they are, without new
    /// ones; the manifest will say so
    #[arg(long)]
    pub(crate) allow_dirty: bool,

    /// Neither use nor keep what [build] cache names
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Build twice, name the files that differ, and keep neither: exit 0 where both builds are the
    /// same, else 1. The second build has another folder, time and user name, and no cache
    #[arg(long, conflicts_with = "key")]
    pub(crate) check: bool,
}

pub(crate) fn run(args: &BuildArgs, context: &Context) -> Result<Exit, CommandError> {
    let begun = Instant::now();
    let folder = context.folder()?;
    is_the_app_here(&folder, context)?;
    let request = BuildRequest {
        folder: &folder,
        git_ref: args.git_ref.as_deref(),
        version: args.version.as_ref(),
        key: args.key.as_deref(),
        allow_dirty: args.allow_dirty,
        no_cache: args.no_cache,
        person: context.ui.as_ref(),
    };
    if args.check {
        return build_check::run(&request, begun, context);
    }
    let built = build::build(&request, &mut |event| context.ui.note(&event.line()))?;
    let manifest = &built.manifest;
    let what = if built.unchanged {
        "was there already, with the same bytes"
    } else {
        "is built and signed"
    };
    context
        .ui
        .answer(&format!("{} {} {what}", manifest.app, manifest.version));
    context
        .ui
        .answer(&format!("  {}", built.files.tarball.display()));
    context.ui.answer(&format!(
        "  {} packed, signed by {}",
        bytes(manifest.tarball.size),
        built.fingerprint
    ));
    if manifest.sbom.is_some() {
        context.ui.answer(&format!(
            "  bill of materials: {}",
            built.files.sbom.display()
        ));
    }
    let rest = Rest {
        app: &manifest.app,
        version: &manifest.version,
        seconds: milliseconds(begun.elapsed().as_secs_f64()),
        commit: &manifest.commit,
        clean: manifest.clean,
        unchanged: built.unchanged,
        release: &built.files.tarball,
        sha256: manifest.tarball.sha256,
        bytes: manifest.tarball.size,
        signer: &built.fingerprint,
        sbom: manifest.sbom.as_ref().map(|_| built.files.sbom.as_path()),
    };
    context.ui.machine(&result_line("build", Exit::Done, rest));
    Ok(Exit::Done)
}

/// The app file here is read only to compare it with what was named: a build goes by the commit's.
fn named(context: &Context) -> Result<Option<AppFile>, CommandError> {
    match context.global.app {
        Some(_) => Ok(context.app_file()?.map(|(_, file)| file)),
        None => Ok(None),
    }
}

/// What is built is the app of the repository's root: whoever means another is told, not given it.
fn is_the_app_here(folder: &Path, context: &Context) -> Result<(), CommandError> {
    let Some(path) = inventory::find_upwards(folder, APP_FILE) else {
        return Ok(());
    };
    if let (Some(wanted), Some(file)) = (&context.global.app, named(context)?)
        && *wanted != file.app.name.as_str()
    {
        let what = format!(
            "{} is that of {}, not of {wanted}",
            path.display(),
            file.app.name
        );
        return Err(
            CommandError::usage(what).hint("Go to the repository of the app that you mean.")
        );
    }
    let root = Repository::find(folder)?.root().to_owned();
    let place = path.parent().and_then(|folder| folder.canonicalize().ok());
    if place.is_some() && place != root.canonicalize().ok() {
        let what = format!(
            "{} is not at the root of its repository, {}",
            path.display(),
            root.display()
        );
        return Err(CommandError::usage(what).hint(
            "An app's file lies at the root of its repository, and that one is built: go there, or give this app a repository.",
        ));
    }
    Ok(())
}

#[derive(Serialize)]
struct Rest<'a> {
    app: &'a AppName,
    version: &'a Version,
    seconds: f64,
    commit: &'a str,
    clean: bool,
    unchanged: bool,
    release: &'a Path,
    sha256: Sha256Digest,
    bytes: u64,
    signer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sbom: Option<&'a Path>,
}
