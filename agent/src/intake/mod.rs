//! How a release gets onto a host: verify → receive → unpack → prepare → ready.
//!
//! What comes in is the signed tree and the contents that the host lacks; no archive is parsed
//! here. Nothing is under `releases/` before all of it was checked and is durable.

mod base;
mod home;
mod inside;
mod layers;
mod prepare;
mod rebuild;
mod seal;
mod shared;

use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::manifest::Manifest;
use longshore_shared::name::AppName;
use longshore_shared::signature::Verified;
use longshore_shared::tree::Tree;
use longshore_shared::wire::latest::{Ask, Reply};
use semver::Version;

use crate::activate;
use crate::agent::Agent;
use crate::events::Cursor;
use crate::journal;
use crate::layout::{AppLayout, ReleaseFiles};
use crate::ledger::{ReleaseRow, Verdict};
use crate::links;
use crate::operation::{Operation, Trouble, chain};
use crate::peer::{Data, Peer, PeerError};
use crate::step_unit::release_environment;
use crate::system_file;
use crate::trash;
use crate::trust;

pub(crate) use rebuild::room_problem;

const MEND_DISK: &str = "look at the disk and its permissions on this host, then deploy again";

/// A release whose signature was checked, and nothing more yet.
#[derive(Debug)]
pub(crate) struct Intake {
    release: Verified<Manifest>,
    layout: AppLayout,
}

/// All content is there and fits what was signed.
#[derive(Debug)]
pub(crate) struct Received {
    intake: Intake,
    received: u64,
    /// Nothing where the release was there before.
    unpacked: Option<Unpacked>,
}

#[derive(Debug)]
struct Unpacked {
    folder: PathBuf,
    tree: Tree,
    text: String,
}

/// The other end of a staging: asked for what is lacking, and told what happens meanwhile.
#[derive(Debug)]
pub(crate) struct Dialog<'a> {
    pub(crate) peer: &'a mut Peer,
    pub(crate) cursor: &'a mut Cursor,
}

impl Dialog<'_> {
    fn ask(&mut self, operation: &Operation, ask: Ask) -> Result<Data<'_>, PeerError> {
        let mut messages = operation.log().since(self.cursor);
        messages.push(longshore_shared::wire::latest::FromAgent::Ask(ask));
        self.peer.send(&messages)?;
        Ok(self.peer.data())
    }
}

impl Intake {
    /// A release that this host accepts; not a byte of it is here yet.
    pub(crate) fn of(release: Verified<Manifest>) -> Self {
        let layout = AppLayout::new(&release.value().app);
        Self { release, layout }
    }

    pub(crate) fn app(&self) -> &AppName {
        &self.release.value().app
    }

    pub(crate) fn version(&self) -> &Version {
        &self.release.value().version
    }

    /// Receives what this host lacks, into a folder that is root's alone.
    pub(crate) fn receive(
        self,
        operation: &Operation,
        mut dialog: Dialog<'_>,
    ) -> Result<Received, Trouble> {
        let manifest = self.release.value();
        if let Some(row) = operation.ledger().release(self.app(), self.version())? {
            same_release(&row, &self.release)?;
            operation.unchanged("receive", "the release is here already");
            self.sign_again(operation)?;
            return Ok(Received {
                intake: self,
                received: 0,
                unpacked: None,
            });
        }
        operation.step("home", || home::ensure(&self.layout))?;
        self.clear_leftovers()?;
        let (tree, text) = operation.step("receive", || {
            let data = dialog
                .ask(operation, Ask::Tree)
                .map_err(|error| lost(&error))?;
            let text = read_text(data, manifest.tree.size)?;
            let tree = manifest.read_tree(&text).map_err(|error| hostile(&error))?;
            Ok((tree, text))
        })?;
        let folder = self.layout.staging().join(operation.id().to_string());
        let unpacked = operation.step("unpack", || {
            let rebuilt = rebuild::rebuild(&self.layout, &tree, &folder, operation, &mut dialog);
            rebuilt.inspect_err(|_| discard(&folder))
        })?;
        let unpacked_tree = Unpacked { folder, tree, text };
        Ok(Received {
            intake: self,
            received: unpacked,
            unpacked: Some(unpacked_tree),
        })
    }

    /// Who signed a release last is who stands for it from now on.
    fn sign_again(&self, operation: &Operation) -> Result<(), Trouble> {
        if signed_alike(&self.layout, &self.release) {
            return Ok(());
        }
        operation.step("sign", || {
            // The file comes last: it is what tells whether there is anything left to do.
            let signer = &self.release.signer().principals;
            operation
                .ledger()
                .set_signer(self.app(), self.version(), signer)?;
            let signature = ReleaseFiles::of(&self.layout.release(self.version())).signature();
            system_file::put(&signature, self.release.signature())
                .map(drop)
                .map_err(|error| Trouble::because(&error, MEND_DISK))
        })
    }

    /// What an interrupted staging of this very version left: never anything that a link names.
    fn clear_leftovers(&self) -> Result<(), Trouble> {
        let folder = self.layout.release(self.version());
        if !folder.exists() {
            return Ok(());
        }
        let name = self.version().to_string();
        let named = [self.layout.current()]
            .into_iter()
            .chain([
                self.layout.slot(longshore_shared::wire::latest::Slot::Blue),
                self.layout
                    .slot(longshore_shared::wire::latest::Slot::Green),
            ])
            .any(|link| links::names(&link).as_deref() == Some(&name));
        if named {
            return Err(Trouble::refused(
                format!(
                    "{} is in use, but this host's ledger does not know it",
                    folder.display()
                ),
                "restore /var/lib/longshore from a backup, or release under another version",
            ));
        }
        trash::delete(&folder).map_err(|error| Trouble::because(&error, MEND_DISK))
    }
}

impl Received {
    /// Makes the release ready: nobody at the other end is needed any more.
    pub(crate) fn finish(self, agent: &Agent, operation: &Operation) -> Result<Reply, Trouble> {
        let Self {
            intake,
            received,
            unpacked,
        } = self;
        let Some(Unpacked { folder, tree, text }) = unpacked else {
            return Ok(Reply::Staged {
                unchanged: true,
                received,
            });
        };
        let finished = intake.prepare_and_keep(agent, operation, &folder, &tree, &text);
        finished.inspect_err(|_| discard(&folder))?;
        Ok(Reply::Staged {
            unchanged: false,
            received,
        })
    }
}

impl Intake {
    fn prepare_and_keep(
        &self,
        agent: &Agent,
        operation: &Operation,
        folder: &Path,
        tree: &Tree,
        text: &str,
    ) -> Result<(), Trouble> {
        let manifest = self.release.value();
        // Receiving may have taken its time, and what follows runs the release's own steps.
        let trust = trust::still_accepted(agent, &self.release)?;
        let layers = operation.step("prepare", || {
            prepare::prepare(&self.layout, &self.release, &trust, tree, folder, operation)
        })?;
        operation.step_to_the_end("ready", || {
            self.write_own_files(folder, text, &layers)
                .and_then(|()| keep(folder, &self.layout.release(self.version())))
                .map_err(|error| Trouble::because(&error, MEND_DISK))?;
            let now = Timestamp::now();
            agent.ledger.add_release(
                self.app(),
                &ReleaseRow {
                    version: self.version().clone(),
                    manifest: Sha256Digest::of(self.release.exact()),
                    signer: self.release.signer().principals.clone(),
                    commit: manifest.commit.clone(),
                    bytes: manifest.tree.bytes,
                    staged: now,
                    signed: manifest.time.min(now),
                    verdict: Verdict::Staged,
                },
            )?;
            let keep = manifest.app_file.app.keep_releases;
            Ok(activate::prune(
                &agent.ledger,
                &self.layout,
                Some(self.version()),
                keep,
            )?)
        })
    }

    /// The signed manifest stays beside the files, so that a host can be audited with stock tools.
    fn write_own_files(&self, folder: &Path, tree: &str, layers: &[String]) -> std::io::Result<()> {
        let files = ReleaseFiles::of(folder);
        // Fails where a step made something of this name.
        fs_err::create_dir(files.folder())?;
        fs_err::write(files.manifest(), self.release.exact())?;
        fs_err::write(files.signature(), self.release.signature())?;
        fs_err::write(files.tree(), tree)?;
        fs_err::write(files.layers(), layers.join("\n"))?;
        let environment: String = release_environment(self.release.value())
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        fs_err::write(files.environment(), environment)
    }
}

/// Refuses a version that is here already with other bytes.
pub(crate) fn same_release(row: &ReleaseRow, release: &Verified<Manifest>) -> Result<(), Trouble> {
    if row.manifest == Sha256Digest::of(release.exact()) {
        return Ok(());
    }
    Err(Trouble::refused(
        format!(
            "version {} is on this host already with other content (commit {:.12}, here {:.12})",
            row.version,
            release.value().commit,
            row.commit
        ),
        "a version names one release for ever: build it under a new version",
    ))
}

/// Whether the release is here with the very signature that was sent.
pub(crate) fn signed_alike(layout: &AppLayout, release: &Verified<Manifest>) -> bool {
    let kept = ReleaseFiles::of(&layout.release(&release.value().version)).signature();
    fs_err::read(kept).is_ok_and(|kept| kept == release.signature().as_bytes())
}

/// One `syncfs` makes the whole release durable; only then does it get its name.
fn keep(folder: &Path, release: &Path) -> std::io::Result<()> {
    let handle = fs_err::File::open(folder)?;
    rustix::fs::syncfs(&handle)?;
    fs_err::rename(folder, release)?;
    links::sync_folder(release.parent().unwrap_or(release))
}

fn read_text(data: impl Read, size: u64) -> Result<String, Trouble> {
    let mut text = String::new();
    let mut decoder = rebuild::decoder(data).map_err(|error| lost(&error))?;
    // One byte more than was signed is enough to know that it does not fit.
    let read = decoder
        .by_ref()
        .take(size.saturating_add(1))
        .read_to_string(&mut text);
    read.map_err(|error| lost(&error))?;
    rebuild::finish(decoder).map_err(|error| lost(&error))?;
    Ok(text)
}

fn lost(error: &dyn std::error::Error) -> Trouble {
    Trouble::because(error, "nothing of the release was kept; deploy again")
}

fn hostile(error: &dyn std::error::Error) -> Trouble {
    Trouble::refused(
        format!("the release is not accepted: {}", chain(error)),
        "build it again with this Longshore; nothing of it was kept",
    )
}

/// Takes an unfinished release away. What cannot be removed now is removed at the next start.
fn discard(folder: &Path) {
    if let Err(error) = trash::delete(folder) {
        journal::say(&format!("left behind for now: {error}"));
    }
}
