//! How a release gets onto a host: verify → receive → unpack → prepare → ready.
//!
//! What comes in is the signed tree and the contents that the host lacks, told by the pieces that it
//! has; no archive is parsed here. Nothing is under `releases/` before all of it was checked and is
//! durable. What a staging that breaks off has received is there for the next one.

mod arrival;
mod attempt;
mod base;
mod home;
mod inside;
mod layers;
mod linking;
mod list;
mod pieces;
mod prepare;
mod rebuild;
mod room;
mod seal;
mod shared;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use jiff::Timestamp;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::instance::Instance;
use longshore_shared::manifest::Manifest;
use longshore_shared::signature::Verified;
use longshore_shared::tree::Tree;
use longshore_shared::wire::latest::{Ask, Reply};
use semver::Version;

use crate::activate;
use crate::agent::Agent;
use crate::events::Cursor;
use crate::layout::{AppLayout, ReleaseFiles};
use crate::ledger::{ReleaseRow, Verdict};
use crate::links;
use crate::operation::{Operation, Trouble, chain};
use crate::peer::{Data, Peer, PeerError};
use crate::step_unit::release_environment;
use crate::system_file;
use crate::trash;
use crate::trust;

pub(crate) use attempt::{stopped_in_steps, worth_keeping};
pub(crate) use home::identity;
pub(crate) use room::room_problem;

use attempt::Attempt;
use base::Base;
use rebuild::Rebuild;

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
    attempt: Attempt,
    tree: Tree,
    text: String,
}

/// The other end of a staging: asked for what is lacking, and told what happens meanwhile.
#[derive(Debug)]
pub(crate) struct Dialog<'a> {
    pub(crate) peer: &'a mut Peer,
    pub(crate) cursor: &'a mut Cursor,
    /// Whether the other end can tell contents by pieces that are here.
    pub(crate) recipes: bool,
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
    /// A release that this host accepts for an instance; not a byte of it is here yet.
    pub(crate) fn of(release: Verified<Manifest>, app: &Instance) -> Self {
        let layout = AppLayout::new(app);
        Self { release, layout }
    }

    pub(crate) fn app(&self) -> &Instance {
        &self.layout.app
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
        let attempt = Attempt::begin(&self.layout, operation.id())
            .map_err(|error| Trouble::because(&error, MEND_DISK))?;
        let unpacked = self.receive_into(&attempt, operation, &mut dialog);
        if let Err(trouble) = &unpacked {
            if trouble.broke_off() {
                attempt.leave(&self.layout);
            } else {
                attempt.discard();
            }
        }
        let (tree, text, received) = unpacked?;
        Ok(Received {
            intake: self,
            received,
            unpacked: Some(Unpacked {
                attempt,
                tree,
                text,
            }),
        })
    }

    fn receive_into(
        &self,
        attempt: &Attempt,
        operation: &Operation,
        dialog: &mut Dialog<'_>,
    ) -> Result<(Tree, String, u64), Trouble> {
        let newest = |app| -> Result<Vec<String>, Trouble> {
            let releases = operation.ledger().releases(app)?.into_iter();
            Ok(releases.map(|row| row.version.to_string()).collect())
        };
        let earlier = attempt.earlier(&self.layout);
        let parts: Vec<_> = earlier
            .iter()
            .map(|part| (part.release(), part.tree()))
            .collect();
        let mut bases = Base::find(&self.layout, &parts, &newest(self.app())?);
        // Most of a branch is in what the app itself has here.
        if let Some(base) = self.layout.base() {
            bases.extend(Base::find(&base, &[], &newest(&base.app)?));
        }
        let (tree, text) = operation.step("receive", || {
            let (tree, text) = list::receive(self.release.value(), &bases, operation, dialog)?;
            fs_err::write(attempt.tree(), &text)
                .map_err(|error| Trouble::because(&error, MEND_DISK))?;
            Ok((tree, text))
        })?;
        let rebuild = Rebuild {
            layout: &self.layout,
            tree: &tree,
            bases: &bases,
            attempt,
            operation,
        };
        let received = operation.step("unpack", || rebuild.run(dialog))?;
        Ok((tree, text, received))
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
        let Some(Unpacked {
            attempt,
            tree,
            text,
        }) = unpacked
        else {
            return Ok(Reply::Staged {
                unchanged: true,
                received,
            });
        };
        let folder = attempt.release();
        let finished = intake.prepare_and_keep(agent, operation, &folder, &tree, &text);
        finished.inspect_err(|_| attempt.salvage(&intake.layout, &tree))?;
        attempt.end(&intake.layout);
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
        let environment: String = release_environment(&self.layout, self.release.value())
            .into_iter()
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

/// What came cannot be used: because the connection ended, which keeps what came, or because it is
/// not what was asked for, which keeps nothing.
fn came_wrong(error: io::Error) -> Trouble {
    match arrival::cut_off(&error) {
        Some(PeerError::Cancelled) => Trouble::cancelled(),
        Some(_) => Trouble::broken_off(
            chain(&error),
            "deploy again: what had come is kept, and the rest is sent",
        ),
        None => Trouble::because(&error, "nothing of the release was kept; deploy again"),
    }
}

fn hostile(error: &dyn std::error::Error) -> Trouble {
    Trouble::refused(
        format!("the release is not accepted: {}", chain(error)),
        "build it again with this Longshore; nothing of it was kept",
    )
}
