//! The agent's own journal: its standard error, which systemd keeps.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::layout::AppLayout;

/// Where journald takes entries of several fields.
const SOCKET: &str = "/run/systemd/journal/socket";
/// A datagram has its bounds, and so has what a person reads.
const LONGEST: usize = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// Says one line to whoever reads the journal.
#[expect(clippy::print_stderr, reason = "standard error is the agent's journal")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// How names end under which the output of steps is kept.
pub(crate) const STEP: &str = "-step";

/// Under which name the output of an app's steps is kept.
pub(crate) fn step_identifier(layout: &AppLayout) -> String {
    format!("longshore-{}{STEP}", layout.app)
}

/// Keeps what steps of an app say, for whoever was not there.
pub(crate) struct Steps {
    identifier: String,
    socket: Option<UnixDatagram>,
}

impl Steps {
    pub(crate) fn of(layout: &AppLayout) -> Self {
        let connect = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect(SOCKET)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok::<_, std::io::Error>(socket)
        };
        Self {
            identifier: step_identifier(layout),
            socket: connect().ok(),
        }
    }

    /// A line that cannot be kept is told to whoever listens all the same, and a step waits for no
    /// journal for long.
    pub(crate) fn say(&mut self, line: &str) {
        if let Some(socket) = &self.socket {
            let line = line
                .get(..line.floor_char_boundary(LONGEST))
                .unwrap_or_default();
            let entry = format!(
                "SYSLOG_IDENTIFIER={}\nPRIORITY=6\nMESSAGE={}\n",
                self.identifier,
                line.replace('\n', " ")
            );
            if socket.send(entry.as_bytes()).is_err() {
                self.socket = None;
            }
        }
    }
}
