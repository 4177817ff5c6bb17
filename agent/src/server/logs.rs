//! The order to tell what is said here.

use std::os::unix::net::UnixStream;

use longshore_shared::app_file::AppFile;
use longshore_shared::instance::Instance;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::{FromAgent, LogLine, Reply, Slot, ToAgent};

use super::session::Session;
use crate::activate::live;
use crate::host::Right;
use crate::layout::AppLayout;
use crate::logs::{Lines, Programs, Wanted};
use crate::operation::Trouble;
use crate::peer::{PeerError, Writer};

/// One answer takes no more.
const MOST_LINES: u32 = 100_000;

/// A line is longer as JSON, six times at most; both have to fit one message.
const MOST_AT_ONCE: usize = 20 * 1024;

impl Session<'_> {
    /// Tells lines until there are no more, or until the other end has had enough. The outer error
    /// ends the connection.
    pub(super) fn logs(
        &mut self,
        app: &Instance,
        mut wanted: Wanted,
    ) -> Result<Result<Reply, Trouble>, PeerError> {
        let host = match self.allowed(Right::Read).and_then(|host| {
            self.is_here(&host, app)?;
            Ok(host)
        }) {
            Ok(host) => host,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let front = host.hosted(app).and_then(|app| app.front());
        wanted.domain = front.map(|front| front.domain.as_str().to_owned());
        wanted.lines = wanted.lines.min(MOST_LINES);
        if let Some(name) = unknown(&AppLayout::new(app), &wanted) {
            return Ok(Err(Trouble::refused(
                format!("{app} has no process or timer {name} here"),
                "`longshore status` lists what it has",
            )));
        }
        let (lines, programs) = match Lines::of(&AppLayout::new(app), &wanted) {
            Ok(both) => both,
            Err(error) => {
                let next = "systemd has to run on this host";
                return Ok(Err(Trouble::because(&error, next)));
            }
        };
        self.tell(&lines, programs)?;
        Ok(Ok(Reply::Logged))
    }

    fn tell(&mut self, lines: &Lines, programs: Programs) -> Result<(), PeerError> {
        let mut writer = self.peer.writer()?;
        let (done, watch) = UnixStream::pair().map_err(PeerError::Broken)?;
        let peer = &mut self.peer;
        std::thread::scope(|scope| {
            let watcher = scope.spawn(move || -> Result<(), PeerError> {
                if peer.wait(&watch)
                    && let Some(order) = peer.next_message()?
                    && !matches!(order, ToAgent::Cancel | ToAgent::End)
                {
                    peer.put_back(order);
                }
                drop(programs);
                Ok(())
            });
            let told = loop {
                let said = lines.next();
                if said.is_empty() {
                    break Ok(());
                }
                if let Err(error) = send(&mut writer, said) {
                    break Err(error);
                }
            };
            drop(done);
            let watched = watcher.join().unwrap_or(Err(PeerError::OutOfPlace));
            told.and(watched)
        })
    }
}

/// Somebody may have mistyped a name. One that runs on another host is known here, too.
fn unknown<'a>(layout: &AppLayout, wanted: &'a Wanted) -> Option<&'a ProcessName> {
    let slots = [Slot::Blue, Slot::Green];
    let files: Vec<AppFile> = slots
        .iter()
        .filter_map(|slot| live::in_slot(layout, *slot))
        .filter_map(|version| live::manifest(layout, &version).ok())
        .map(|manifest| manifest.app_file)
        .collect();
    let known = |name: &&ProcessName| {
        let mut files = files.iter();
        files.any(|file| file.processes.contains_key(name) || file.timers.contains_key(name))
    };
    wanted.processes.iter().find(|name| !known(name))
}

fn send(writer: &mut Writer, lines: Vec<LogLine>) -> Result<(), PeerError> {
    let mut messages = Vec::new();
    let mut some: Vec<LogLine> = Vec::new();
    let mut bytes = 0;
    for line in lines {
        bytes += line.text.len();
        some.push(line);
        if bytes > MOST_AT_ONCE {
            let lines = std::mem::take(&mut some);
            messages.push(FromAgent::Log { lines });
            bytes = 0;
        }
    }
    if !some.is_empty() {
        messages.push(FromAgent::Log { lines: some });
    }
    writer.send(&messages)
}
