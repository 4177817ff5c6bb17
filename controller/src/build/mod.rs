//! From a commit to a signed release in `dist/`.
//!
//! The same commit, the same Longshore and build steps that are themselves reproducible give the
//! same bytes on any machine.

mod cache;
mod cache_copy;
mod check;
mod explain;
mod export;
mod for_deploy;
mod found;
mod git;
mod make;
mod pack;
mod publish;
mod sbom;
mod selection;
mod step_group;
mod steps;
mod tar_writer;
pub mod wheels;

use std::path::{Path, PathBuf};

use longshore_shared::app_file::AppFileError;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::manifest::{Artifact, FORMAT, LARGEST_MANIFEST, Manifest, ManifestError};
use longshore_shared::name::EnvironmentName;
use longshore_shared::signature::RELEASE_NAMESPACE;
use longshore_shared::tree::Tree;
use semver::Version;
use thiserror::Error;

pub use cache::CacheError;
pub use check::{Checked, Difference, check};
pub(crate) use explain::{not_committed, with_causes};
pub use export::{ExportError, WhyLfs};
pub(crate) use for_deploy::remote_of;
pub use for_deploy::{ForDeploy, ResolveError, Resolved, WhichRelease};
pub use git::{Commit, GitError, Repository};
pub use pack::PackError;
pub use publish::PublishError;
pub use selection::SelectionError;
pub use steps::StepError;

use crate::release::ReleaseFiles;
use crate::sealed;
use crate::signing::{KeyError, SigningKey};
use crate::ssh::AskPassphrase;
use crate::terminal_text::one_line;
use crate::toml_file::TomlFileError;
use crate::versions::{self, VersionError};
use found::Found;
use make::{Checkout, FIRST_FOLDER, Surroundings};
use pack::Packed;

const APP_FILE: &str = "longshore.toml";
/// Where releases go, at the root of the repository.
const DIST: &str = "dist";

/// What to build.
#[derive(Debug)]
pub struct BuildRequest<'a> {
    /// Anywhere in the app's repository.
    pub folder: &'a Path,
    /// Else what is checked out.
    pub git_ref: Option<&'a str>,
    /// Else that of a tag such as `v1.4.0` on the commit, else what the commits since the last one say.
    pub version: Option<&'a Version>,
    pub key: Option<&'a Path>,
    /// Build the tracked files as they are in the working tree, and say so in the manifest.
    pub allow_dirty: bool,
    /// Neither use nor keep what `[build] cache` names.
    pub no_cache: bool,
    pub person: &'a dyn AskPassphrase,
}

/// What happens during a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// The remote is asked for its newest commits.
    Fetching {
        remote: String,
        branch: String,
    },
    Exporting {
        commit: String,
    },
    /// A step of `[build] run` begins.
    Step(String),
    /// A line that the step printed. It may hold anything.
    Output(String),
    /// What became of a path that `[build] cache` names.
    Cache {
        path: String,
        what: String,
    },
    /// The step goes on without a word.
    StillRunning {
        seconds: u64,
    },
    Packing,
    /// A file of the release that is called as files of secrets are.
    MayBeSecret {
        path: String,
    },
}

impl BuildEvent {
    /// The event as a line for people.
    pub fn line(&self) -> String {
        match self {
            Self::Fetching { remote, branch } => format!("fetching {branch} from {remote}"),
            Self::Exporting { commit } => format!("exporting commit {}", short(commit)),
            Self::Step(line) => format!("$ {}", one_line(line)),
            Self::Output(line) => format!("  {}", one_line(line)),
            Self::Cache { path, what } => format!("cache of {path}: {}", one_line(what)),
            Self::StillRunning { seconds } => format!("  … still running after {seconds} s"),
            Self::Packing => "packing".to_owned(),
            Self::MayBeSecret { path } => format!(
                "warning: {} is in the release, where whoever gets it can read it; secrets are set on the hosts: longshore settings set",
                one_line(path)
            ),
        }
    }
}

/// A release that was written.
#[derive(Debug)]
pub struct Built {
    pub files: ReleaseFiles,
    pub manifest: Manifest,
    pub commit: Commit,
    /// Of the key that signed.
    pub fingerprint: String,
    /// Whether the very same release was there before.
    pub unchanged: bool,
}

/// Why there is no release.
#[derive(Debug, Error)]
pub enum BuildError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("the working tree differs from the commit")]
    Dirty { paths: Vec<String> },
    #[error("--allow-dirty builds what is checked out, and `{git_ref}` is another commit")]
    DirtyElsewhere { git_ref: String },
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("commit {commit} has no {APP_FILE} at its root")]
    NoAppFile { commit: String, uncommitted: bool },
    #[error(transparent)]
    AppFile(#[from] TomlFileError),
    #[error("{APP_FILE} is not right")]
    AppFileRules(#[source] AppFileError),
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error("what was built cannot become a release")]
    Pack(#[source] PackError),
    #[error("what was built cannot become a release")]
    Manifest(#[source] ManifestError),
    #[error("the manifest cannot be written down")]
    Encode(#[source] serde_json::Error),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Builds and signs the release that is asked for.
pub fn build(
    request: &BuildRequest<'_>,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<Built, BuildError> {
    let repository = Repository::find(request.folder)?;
    let commit = repository.resolve(request.git_ref.unwrap_or("HEAD"))?;
    let clean = check_clean(&repository, &commit, request)?;
    build_commit(&repository, commit, clean, request, on_event)
}

/// Whether the release is the commit. What is checked out matters only where it could be meant.
fn check_clean(
    repository: &Repository,
    commit: &Commit,
    request: &BuildRequest<'_>,
) -> Result<bool, BuildError> {
    if let Some(git_ref) = request.git_ref
        && repository.resolve("HEAD").ok().map(|head| head.hash) != Some(commit.hash.clone())
    {
        return if request.allow_dirty {
            Err(BuildError::DirtyElsewhere {
                git_ref: git_ref.to_owned(),
            })
        } else {
            Ok(true)
        };
    }
    let paths = repository.differences()?;
    match (paths.is_empty(), request.allow_dirty) {
        (true, _) => Ok(true),
        (false, true) => Ok(false),
        (false, false) => Err(BuildError::Dirty { paths }),
    }
}

/// `.env` and its like; an example of one is meant to be read.
fn may_be_secret(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let example = ["example", "sample", "template", "dist", "defaults"];
    match name.strip_prefix(".env") {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix('.')
            .is_some_and(|kind| !example.iter().any(|word| kind.ends_with(word))),
        None => false,
    }
}

/// Builds a commit that was looked at already.
fn build_commit(
    repository: &Repository,
    commit: Commit,
    clean: bool,
    request: &BuildRequest<'_>,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<Built, BuildError> {
    let (version, tag) = version(repository, &commit, clean, request)?;
    let checkout = Checkout::new(repository, &commit, clean, on_event)?;
    // Asked for early: nobody wants to hear of a missing key after minutes of building.
    let key = SigningKey::find(request.key, Some(repository), request.person)?;
    let caches = cache::of_user().filter(|_| !request.no_cache);
    let surroundings = Surroundings {
        folder: FIRST_FOLDER,
        user: None,
        caches: caches.as_deref(),
    };
    let found = checkout.make(&version, &surroundings, on_event)?;
    on_event(BuildEvent::Packing);
    let dist = dist(repository);
    let files = ReleaseFiles::named(&dist, &checkout.app_file.app.name, &version);
    let mut draft = publish::Draft::begin(&dist)?;
    let packed =
        pack::pack(&found, commit.time.as_second(), draft.tarball()).map_err(BuildError::Pack)?;
    let paths = packed.tree.entries().iter().map(|entry| &entry.path);
    for path in paths.filter(|path| may_be_secret(path)) {
        let path = path.clone();
        on_event(BuildEvent::MayBeSecret { path });
    }
    let sbom = bill(&checkout, &version, &found, &packed)?;
    let manifest = Manifest {
        format: FORMAT,
        app: checkout.app_file.app.name.clone(),
        git_ref: name_ref(repository, request, tag.as_deref())?,
        version,
        commit: commit.hash.clone(),
        clean,
        time: commit.time,
        app_file: checkout.app_file.clone(),
        tarball: packed.tarball.clone(),
        tar: packed.tar.clone(),
        tree: packed.tree_artifact(),
        sealed: sealed_for(&packed.tree),
        sbom: sbom.as_deref().map(|bytes| Artifact {
            size: bytes.len() as u64,
            sha256: Sha256Digest::of(bytes),
        }),
    };
    let bytes = write_down(&manifest)?;
    let signature = key.sign(RELEASE_NAMESPACE, &bytes)?;
    let texts = publish::Texts {
        manifest: &bytes,
        signature: &signature,
        sbom: sbom.as_deref(),
    };
    let unchanged = draft.publish(&files, &packed, &texts)?;
    Ok(Built {
        files,
        manifest,
        commit,
        fingerprint: key.fingerprint(),
        unchanged,
    })
}

fn sealed_for(tree: &Tree) -> Vec<EnvironmentName> {
    let paths = tree.entries().iter().map(|entry| entry.path.as_str());
    paths.filter_map(sealed::environment_of).collect()
}

/// The version, and the tag on the commit where that gave it.
fn version(
    repository: &Repository,
    commit: &Commit,
    clean: bool,
    request: &BuildRequest<'_>,
) -> Result<(Version, Option<String>), VersionError> {
    if let Some(version) = request.version {
        let tag = versions::of_tag(repository, &commit.hash)?.filter(|_| clean);
        return Ok((version.clone(), tag.map(|tag| tag.name)));
    }
    let ask = versions::Ask {
        commit,
        git_ref: request.git_ref,
        dirty: !clean,
    };
    let next = versions::next(repository, &ask)?;
    Ok((next.version, next.tag))
}

/// The software bill of materials, where there is something to put on it.
fn bill(
    checkout: &Checkout,
    version: &Version,
    found: &[Found],
    packed: &Packed,
) -> Result<Option<Vec<u8>>, BuildError> {
    let subject = sbom::Subject {
        app: checkout.app_file.app.name.as_str(),
        version: &version.to_string(),
    };
    sbom::bill(&subject, found, packed.tree.entries())
        .map_err(|source| BuildError::Pack(PackError::Read(source)))
}

fn dist(repository: &Repository) -> PathBuf {
    repository.root().join(DIST)
}

/// The manifest's bytes, if a host would read them.
fn write_down(manifest: &Manifest) -> Result<Vec<u8>, BuildError> {
    manifest.check().map_err(BuildError::Manifest)?;
    let bytes = manifest.to_bytes().map_err(BuildError::Encode)?;
    if bytes.len() > LARGEST_MANIFEST {
        return Err(BuildError::Manifest(ManifestError::TooLarge));
    }
    Ok(bytes)
}

/// What was asked for; without a word, what names the commit here.
fn name_ref(
    repository: &Repository,
    request: &BuildRequest<'_>,
    tag: Option<&str>,
) -> Result<String, GitError> {
    if let Some(name) = request.git_ref.or(tag) {
        return Ok(name.to_owned());
    }
    Ok(repository.branch()?.unwrap_or_else(|| "HEAD".to_owned()))
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}
