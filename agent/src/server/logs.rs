//! The order to tell what is said here.

use std::os::unix::net::UnixStream;

use longshore_shared::name::AppName;
use longshore_shared::wire::latest::{FromAgent, LogLine, Reply, ToAgent};

use super::orders::{Session, knows};
use crate::host::{HostedApp, Right};
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
        app: &AppName,
        mut wanted: Wanted,
    ) -> Result<Result<Reply, Trouble>, PeerError> {
        let host = match self.allowed(Right::Read).and_then(|host| {
            knows(&host, app)?;
            Ok(host)
        }) {
            Ok(host) => host,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let front = host.apps.get(app).and_then(HostedApp::front);
        wanted.domain = front.map(|front| front.domain.as_str().to_owned());
        wanted.lines = wanted.lines.min(MOST_LINES);
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
