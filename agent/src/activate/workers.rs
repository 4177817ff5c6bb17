//! nginx's workers. After a reload the ones before still take connections, and answer with the
//! configuration before, until they are told to end; only the title of a worker tells.

use crate::command::CommandError;
use crate::systemd;

const TITLE: &[u8] = b"nginx: worker process";
const ENDING: &[u8] = b"nginx: worker process is shutting down";

/// Workers that took connections when they were looked at.
pub(super) struct Workers(Vec<u32>);

impl Workers {
    pub(super) fn now() -> Result<Self, CommandError> {
        let master = systemd::main_process("nginx")?;
        let children = format!("/proc/{master}/task/{master}/children");
        // Without a list of children (a kernel may be built so) the site itself is all there is to ask.
        let children = fs_err::read_to_string(children).unwrap_or_default();
        let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
        Ok(Self(ids.filter(|id| takes_connections(*id)).collect()))
    }

    /// Whether none of them takes another connection.
    pub(super) fn have_retired(&self) -> bool {
        !self.0.iter().any(|id| takes_connections(*id))
    }
}

fn takes_connections(id: u32) -> bool {
    let title = fs_err::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    title.starts_with(TITLE) && !title.starts_with(ENDING)
}
