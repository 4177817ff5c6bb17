//! The order to run a person's command where the live release runs.

use std::os::unix::net::UnixStream;

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{Ask, FromAgent, Reply};

use super::session::Session;
use crate::activate::live;
use crate::command::printable;
use crate::host::Right;
use crate::journal;
use crate::layout::AppLayout;
use crate::operation::{Trouble, chain};
use crate::peer::PeerError;
use crate::run_unit::RunUnit;
use crate::systemd;

/// As much of a command is in the history.
const LONGEST_TOLD: usize = 500;

impl Session<'_> {
    /// The outer error ends the connection.
    pub(super) fn run_command(
        &mut self,
        app: &Instance,
        command: &[String],
        terminal: Option<&str>,
    ) -> Result<Result<Reply, Trouble>, PeerError> {
        let layout = AppLayout::new(app);
        // It sees the settings, and is code that nobody signed.
        let allowed = self
            .allowed(Right::Settings)
            .and_then(|host| self.is_here(&host, app));
        let live = allowed.and_then(|()| {
            live::live(&layout).ok_or_else(|| {
                Trouble::refused(
                    format!("{app} does not serve here, so there is no release to run it in"),
                    "deploy it first",
                )
            })
        });
        let live = match live {
            Ok(live) => live,
            Err(trouble) => return Ok(Err(trouble)),
        };
        self.peer.send(&[FromAgent::Ask(Ask::Handles)])?;
        let handles = self.peer.handles()?;
        let mut told = printable(&format!("{app} {}: {}", live.version, command.join(" ")));
        told.truncate(told.floor_char_boundary(LONGEST_TOLD));
        if let Err(error) =
            self.agent
                .ledger
                .done("run", Some(app), &self.peer.person().name, &told)
        {
            return Ok(Err(error.into()));
        }
        match RunUnit::start(&layout, &live, command, terminal, handles) {
            Ok(unit) => self.wait_for(unit).map(|status| Ok(Reply::Ran { status })),
            Err(error) => Ok(Err(Trouble::because(
                &error,
                "systemd has to run on this host",
            ))),
        }
    }

    /// Whoever leaves takes what they began along.
    fn wait_for(&mut self, mut unit: RunUnit) -> Result<u8, PeerError> {
        let (done, watch) = UnixStream::pair().map_err(PeerError::Broken)?;
        let peer = &mut self.peer;
        let name = unit.name.clone();
        std::thread::scope(|scope| {
            let watcher = scope.spawn(move || {
                if peer.wait(&watch)
                    && let Err(error) = systemd::stop_soon(&[&name])
                {
                    journal::say(&chain(&error));
                }
            });
            let status = unit.wait();
            drop(done);
            drop(watcher.join());
            Ok(status)
        })
    }
}
