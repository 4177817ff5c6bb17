//! One connection's orders, one after the other: who may give them, and who carries them out.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{
    FromAgent, Hello, Order, PROTOCOL, Preflighted, Reply, SwitchReason, ToAgent,
};
use semver::Version;

use super::gate::{knows, load_host};
use super::refusals::About;
use super::session::Session;
use crate::activate::{self, leave, migrate};
use crate::agent::Agent;
use crate::events::Cursor;
use crate::host::Right;
use crate::ledger::{LedgerError, NewOperation};
use crate::locks::{Claimant, Share};
use crate::logs::Wanted;
use crate::operation::{Operation, Trouble, chain, reply_to};
use crate::peer::{Peer, PeerError};
use crate::preflight::Inventory;
use crate::{intake, preflight, status, trust};

const MEND_FILE: &str = "look at the disk of this host, and mend the file as root";

/// The agent's own version.
pub(crate) fn agent_version() -> Version {
    Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or(Version::new(0, 0, 0))
}

impl<'a> Session<'a> {
    /// Greets whoever came, and says who they are here.
    pub(super) fn greet(
        agent: &'a Arc<Agent>,
        claimant: Claimant,
        stream: UnixStream,
    ) -> Result<Self, PeerError> {
        let mut peer = Peer::new(stream)?;
        peer.greet()?;
        let hello = match load_host() {
            Ok(host) => FromAgent::Hello(Hello {
                protocol: PROTOCOL,
                oldest: PROTOCOL,
                agent: agent_version(),
                host: host.host,
                environment: host.environment,
                user: peer.person().name.clone(),
                machine: std::env::consts::ARCH.to_owned(),
                capabilities: Vec::new(),
            }),
            // Without host.toml there is no greeting to give, and nothing to be done here.
            Err(trouble) => FromAgent::Reply(Box::new(reply_to(trouble))),
        };
        peer.send(&[hello])?;
        Ok(Self {
            agent,
            claimant,
            peer,
        })
    }

    /// Takes orders until the other end leaves.
    pub(super) fn converse(mut self) -> Result<(), PeerError> {
        while let Some(message) = self.peer.next_message()? {
            let reply = match message {
                ToAgent::Order(order) => self.carry_out(order)?,
                // Both can cross the reply that they were meant to come before.
                ToAgent::End | ToAgent::Cancel => continue,
                ToAgent::Unknown => Some(unknown()),
            };
            if let Some(reply) = reply {
                self.peer.send(&[FromAgent::Reply(Box::new(reply))])?;
            }
        }
        Ok(())
    }

    /// Nothing means that the reply was sent by an operation.
    fn carry_out(&mut self, order: Order) -> Result<Option<Reply>, PeerError> {
        let about = About::of(&order);
        let outcome = self.try_to_carry_out(order)?;
        if let (Some(Err(trouble @ Trouble::Refused(_))), Some(about)) = (&outcome, &about) {
            about.note(self.agent, &self.peer.person().name, &trouble.message());
        }
        Ok(outcome.map(|outcome| outcome.unwrap_or_else(reply_to)))
    }

    fn try_to_carry_out(
        &mut self,
        order: Order,
    ) -> Result<Option<Result<Reply, Trouble>>, PeerError> {
        let outcome = match order {
            Order::Status { app, previews } => self.allowed(Right::Read).and_then(|host| {
                let apps = status::report(self.agent, &host, app.as_ref(), previews)?;
                Ok(Reply::Status { apps })
            }),
            Order::Lock {
                environment,
                app,
                verb,
                release,
            } => self.lock(&environment, &app, &verb, release)?,
            Order::Unlock { app } => {
                self.agent.locks.release(self.claimant, Some(&app));
                Ok(Reply::Unlocked)
            }
            Order::Preflight {
                app,
                domain,
                single,
                settings_follow,
                preview,
                release,
            } => {
                let inventory = Inventory {
                    domain: domain.as_deref(),
                    single,
                    settings_follow,
                    preview: preview.as_ref(),
                };
                self.preflight(&app, inventory, &release)
            }
            Order::Attach { operation } => return self.attach(operation),
            Order::Stage {
                app,
                release,
                recipes,
            } => {
                let accepted = self.changes(&app).and_then(|(host, share)| {
                    Ok((trust::accept(self.agent, &host, &app, &release)?, share))
                });
                match accepted {
                    Ok((release, share)) => {
                        return self.stage(intake::Intake::of(release, &app), recipes, share);
                    }
                    Err(trouble) => Err(trouble),
                }
            }
            Order::Leave { app, version } => {
                let prepared = self.changes(&app).and_then(|(host, share)| {
                    Ok((leave::prepare(self.agent, &host, &app, &version)?, share))
                });
                match prepared {
                    Ok((leave, share)) => {
                        let new = self.operation("leave", &app, &version);
                        return self.run(&new, share, move |agent, operation| {
                            leave.run(agent, operation)
                        });
                    }
                    Err(trouble) => Err(trouble),
                }
            }
            Order::Migrate { app, version, why } => {
                let wanted = activate::Wanted {
                    app: &app,
                    version: &version,
                    why: why.unwrap_or(SwitchReason::Deploy),
                    even_revoked: false,
                };
                let prepared = self.changes(&app).and_then(|(host, share)| {
                    let migration = migrate::prepare(self.agent, &host, wanted)?;
                    Ok((migration, share))
                });
                match prepared {
                    Ok((migration, share)) => {
                        let new = self.operation("migrate", &app, &version);
                        return self.run(&new, share, move |agent, operation| {
                            migration.run(agent, operation)
                        });
                    }
                    Err(trouble) => Err(trouble),
                }
            }
            Order::Switch {
                app,
                version,
                why,
                even_revoked,
            } => {
                let wanted = activate::Wanted {
                    app: &app,
                    version: &version,
                    why,
                    even_revoked,
                };
                let prepared = self.changes(&app).and_then(|(host, share)| {
                    self.may_overrule(even_revoked)?;
                    Ok((activate::Switch::prepare(self.agent, &host, wanted)?, share))
                });
                match prepared {
                    Ok((switch, share)) => {
                        let mut new = self.operation(activate::verb(why), &app, &version);
                        (new.slot, new.why) = (Some(switch.slot()), Some(why));
                        new.previous = switch.previous();
                        return self.run(&new, share, move |agent, operation| {
                            switch.run(agent, operation)
                        });
                    }
                    Err(trouble) => Err(trouble),
                }
            }
            Order::Run {
                app,
                command,
                terminal,
            } => self.run_command(&app, &command, terminal.as_deref())?,
            Order::Logs {
                app,
                of,
                processes,
                since,
                lines,
                follow,
                grep,
            } => {
                let wanted = Wanted {
                    of,
                    processes,
                    since,
                    lines,
                    follow,
                    grep,
                    domain: None,
                };
                self.logs(&app, wanted)?
            }
            Order::KeepPreview { app, wish } => return self.keep_preview(app, wish),
            Order::MakePreview { app, version } => return self.make_preview(app, version),
            Order::DropPreview { app, without_hook } => {
                return self.drop_preview(app, without_hook);
            }
            Order::Maintenance { app, on } => self.maintenance(&app, on),
            Order::Settings { app, values } => self.settings(&app, values),
            Order::ChangeSettings { app, change } => {
                return self.change_settings(app, change);
            }
            Order::Trust => self.allowed(Right::Read).and_then(|_| {
                let installed = trust::installed()
                    .map_err(|error| Trouble::refused(chain(&error), MEND_FILE))?;
                Ok(Reply::Trust { installed })
            }),
            Order::SetTrust { trust } => self.set_trust(&trust),
            Order::Unknown => Ok(unknown()),
        };
        Ok(Some(outcome))
    }

    fn preflight(
        &self,
        app: &Instance,
        inventory: Inventory<'_>,
        release: &Preflighted,
    ) -> Result<Reply, Trouble> {
        let host = self.allowed(Right::Deploy)?;
        match inventory.preview {
            Some(_) => knows(&host, app)?,
            None => self.is_here(&host, app)?,
        }
        if let Preflighted::Kept { even_revoked, .. } = release {
            self.may_overrule(*even_revoked)?;
        }
        let who = &self.peer.person().name;
        preflight::check(self.agent, &host, app, inventory, release, who)
    }

    pub(super) fn operation(
        &self,
        verb: &'static str,
        app: &Instance,
        version: &Version,
    ) -> NewOperation {
        NewOperation {
            version: Some(version.clone()),
            ..self.about(verb, app)
        }
    }

    pub(super) fn about(&self, verb: &'static str, app: &Instance) -> NewOperation {
        NewOperation {
            app: app.clone(),
            verb,
            version: None,
            previous: None,
            slot: None,
            why: None,
            who: self.peer.person().name.clone(),
        }
    }

    fn begin(&self, new: &NewOperation) -> Result<Arc<Operation>, LedgerError> {
        let operations = &self.agent.operations;
        operations.begin(&self.agent.ledger, new, self.claimant)
    }

    /// Staging talks with the peer first; only what follows the last byte goes on without it.
    fn stage(
        &mut self,
        intake: intake::Intake,
        recipes: bool,
        share: Share,
    ) -> Result<Option<Result<Reply, Trouble>>, PeerError> {
        let hook = self.peer.hook()?;
        let new = self.operation("stage", intake.app(), intake.version());
        let operation = match self.begin(&new) {
            Ok(operation) => operation,
            Err(error) => return Ok(Some(Err(error.into()))),
        };
        operation.set_source(Some(hook));
        let mut cursor = Cursor::default();
        let dialog = intake::Dialog {
            peer: &mut self.peer,
            cursor: &mut cursor,
            recipes,
        };
        let received = operation.guarded(|| intake.receive(&operation, dialog));
        operation.set_source(None);
        match received {
            Ok(staged) => {
                let finish = Arc::clone(&operation);
                let agent = Arc::clone(self.agent);
                spawn(move || finish.run(share, || staged.finish(&agent, &finish)));
            }
            Err(trouble) => {
                let gone = trouble.broke_off() && !trouble.is_cancelled();
                operation.end(share, Err(trouble));
                if gone {
                    // Nobody is there to be told; the lock must not wait for them to leave.
                    return Err(PeerError::Silent);
                }
            }
        }
        self.follow(&operation, cursor).map(|()| None)
    }

    pub(super) fn run(
        &mut self,
        new: &NewOperation,
        share: Share,
        work: impl FnOnce(&Arc<Agent>, &Operation) -> Result<Reply, Trouble> + Send + 'static,
    ) -> Result<Option<Result<Reply, Trouble>>, PeerError> {
        let operation = match self.begin(new) {
            Ok(operation) => operation,
            Err(error) => return Ok(Some(Err(error.into()))),
        };
        let (running, agent) = (Arc::clone(&operation), Arc::clone(self.agent));
        spawn(move || running.run(share, || work(&agent, &running)));
        self.follow(&operation, Cursor::default()).map(|()| None)
    }

    /// Passes on what an operation says until it ends. A peer that leaves or cannot be written to
    /// ends this connection alone.
    fn follow(&mut self, operation: &Arc<Operation>, cursor: Cursor) -> Result<(), PeerError> {
        self.follow_as(operation, cursor, true)
    }

    /// Whoever may only look cannot end it.
    pub(super) fn follow_as(
        &mut self,
        operation: &Arc<Operation>,
        mut cursor: Cursor,
        may_cancel: bool,
    ) -> Result<(), PeerError> {
        let mut writer = self.peer.writer()?;
        let (done, watch) = UnixStream::pair().map_err(PeerError::Broken)?;
        let peer = &mut self.peer;
        std::thread::scope(|scope| {
            let watcher = scope.spawn(move || -> Result<(), PeerError> {
                while peer.wait(&watch) {
                    match peer.next_message()? {
                        Some(ToAgent::Cancel) if may_cancel => operation.cancel(),
                        Some(ToAgent::Cancel | ToAgent::End) => {}
                        // The other end has the reply already, and is one order ahead of us.
                        Some(order) => {
                            peer.put_back(order);
                            break;
                        }
                        None => break,
                    }
                }
                Ok(())
            });
            let told = loop {
                let news = operation.log().wait(&mut cursor);
                if news.is_empty() {
                    break Ok(());
                }
                if let Err(error) = writer.send(&news) {
                    break Err(error);
                }
            };
            drop(done);
            let watched = watcher.join().unwrap_or(Err(PeerError::OutOfPlace));
            told.and(watched)
        })
    }
}

/// An operation that has to run to its end whether or not a thread can be had for it.
fn spawn(work: impl FnOnce() + Send + 'static) {
    let work = Arc::new(Mutex::new(Some(work)));
    let in_thread = Arc::clone(&work);
    let spawned = std::thread::Builder::new().spawn(move || run_once(&in_thread));
    if spawned.is_err() {
        run_once(&work);
    }
}

fn run_once(work: &Mutex<Option<impl FnOnce()>>) {
    let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(work) = work {
        work();
    }
}

fn unknown() -> Reply {
    reply_to(Trouble::refused(
        "this agent does not know that order",
        "upgrade the agent: run `longshore bootstrap`",
    ))
}
