//! The agent's own journal: its standard error, which systemd keeps.

/// Says one line to whoever reads the journal.
#[expect(clippy::print_stderr, reason = "standard error is the agent's journal")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}
