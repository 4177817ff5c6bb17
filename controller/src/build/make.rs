//! From a commit to what its release is made of.

use std::io;
use std::path::Path;

use longshore_shared::app_file::AppFile;
use semver::Version;

use super::cache::Caches;
use super::export::Export;
use super::found::{Found, walk};
use super::git::{Commit, Repository};
use super::selection::select;
use super::steps::{self, About};
use super::{APP_FILE, BuildError, BuildEvent, short};
use crate::toml_file::{SourceText, TomlFileError};

/// What the steps' folder is called in every build that makes a release.
pub(super) const FIRST_FOLDER: &str = "export";
const LONGEST_APP_FILE: u64 = 1024 * 1024;

/// A commit, exported, and what its app file says.
#[derive(Debug)]
pub(super) struct Checkout {
    export: Export,
    commit: Commit,
    pub(super) app_file: AppFile,
}

/// What may differ from one build of a commit to the next.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    /// What the steps' folder is called.
    pub(super) folder: &'a str,
    /// Who builds, where it is not to be the one who does.
    pub(super) user: Option<&'a str>,
    /// Where files are kept between builds, if they are.
    pub(super) caches: Option<&'a Path>,
}

impl Checkout {
    pub(super) fn new(
        repository: &Repository,
        commit: &Commit,
        clean: bool,
        on_event: &mut dyn FnMut(BuildEvent),
    ) -> Result<Self, BuildError> {
        on_event(BuildEvent::Exporting {
            commit: commit.hash.clone(),
        });
        let export = if clean {
            Export::of_commit(repository, commit)?
        } else {
            Export::of_working_tree(repository, commit)?
        };
        Ok(Self {
            app_file: read_app_file(&export, repository, commit)?,
            export,
            commit: commit.clone(),
        })
    }

    /// Runs the steps, and chooses what goes into the release. Without steps nothing is written
    /// out: what the commit holds is packed from its archive.
    pub(super) fn make(
        &self,
        version: &Version,
        surroundings: &Surroundings<'_>,
        on_event: &mut dyn FnMut(BuildEvent),
    ) -> Result<Vec<Found>, BuildError> {
        let build = &self.app_file.build;
        let mut found = if build.run.is_empty() {
            self.export.found().to_vec()
        } else {
            let folder = self.export.write_out(surroundings.folder)?;
            let app = self.app_file.app.name.as_str();
            let store = surroundings.caches.map(|all| all.join(app));
            let caches = Caches::restore(
                &build.cache,
                self.export.found(),
                &folder,
                store.as_deref(),
                on_event,
            )?;
            let about = About {
                folder: &folder,
                app,
                version: &version.to_string(),
                commit: &self.commit.hash,
                time: self.commit.time.as_second(),
                user: surroundings.user,
            };
            steps::run(build, &about, on_event)?;
            caches.keep(on_event);
            walk(&folder).map_err(BuildError::Pack)?
        };
        let mut chosen = select(build, found.iter().map(|one| one.path.as_str()))?.into_iter();
        found.retain(|_| chosen.next().unwrap_or(false));
        Ok(found)
    }
}

fn read_app_file(
    export: &Export,
    repository: &Repository,
    commit: &Commit,
) -> Result<AppFile, BuildError> {
    // A link could point at a file of this machine.
    let Some(content) = export.file(APP_FILE) else {
        return Err(BuildError::NoAppFile {
            commit: short(&commit.hash),
            uncommitted: repository.root().join(APP_FILE).is_file(),
        });
    };
    let read = |source: io::Error| TomlFileError::Read {
        path: APP_FILE.into(),
        source,
    };
    let text = content.text(LONGEST_APP_FILE).map_err(read)?;
    let file: AppFile = SourceText::from_text(Path::new(APP_FILE), text)
        .parse()
        .map_err(TomlFileError::from)?;
    file.check().map_err(BuildError::AppFileRules)?;
    Ok(file)
}
