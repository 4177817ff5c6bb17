//! One short command on a host: it ends soon, or counts as ended.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::ssh::Session;
use crate::terminal_text::last_lines;

/// A command that does next to nothing takes no longer; cloud images let root wait ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// More than a login script and a probe print.
const LONGEST: u64 = 64 * 1024;
const SHOWN_LINES: usize = 5;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) output: String,
    pub(super) complaint: String,
    /// In words: how it ended.
    pub(super) how: String,
}

impl Said {
    /// The last lines of all that the host printed, in one.
    pub(super) fn last_words(&self) -> String {
        let all = format!("{}\n{}", self.output.trim(), self.complaint.trim());
        let lines = last_lines(all.trim(), SHOWN_LINES);
        lines.join(" | ")
    }
}

/// Runs it with an input of its own, and nothing after that: what waits for more would wait for ever.
pub(super) async fn run(
    session: &Session,
    command: &str,
    input: &[u8],
    patience: Duration,
) -> Said {
    let mut output = Vec::new();
    let mut said = Said::default();
    let whole = async {
        let mut stream = match session.run(command).await {
            Ok(stream) => stream,
            Err(error) => {
                said.how = error.to_string();
                return;
            }
        };
        let ending = stream.ending();
        // A command that reads nothing may be over before all is written.
        drop(stream.write_all(input).await);
        drop(stream.shutdown().await);
        drop(stream.take(LONGEST).read_to_end(&mut output).await);
        let end = ending.command_end().await;
        said.complaint = end.complaint;
        said.how = match end.status {
            Some(status) => format!("it ended with status {status}"),
            None if end.by_signal => "a signal ended it".to_owned(),
            None => "the connection was lost".to_owned(),
        };
    };
    if tokio::time::timeout(patience, whole).await.is_err() {
        said.how = format!("it did not end within {} s", patience.as_secs());
    }
    said.output = String::from_utf8_lossy(&output).into_owned();
    said
}
