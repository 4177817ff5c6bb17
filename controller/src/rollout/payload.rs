//! Reads what a host asked for from the release, away from the threads that talk to hosts.

use std::io::{self, Read as _};
use std::sync::Arc;

use longshore_shared::wire::codec::CHUNK;
use longshore_shared::wire::latest::Ask;
use tokio::sync::mpsc;

use super::shipment::Shipment;
use crate::agent_client::{Chunk, Chunks};
use crate::release::{Part, Question, Release};

/// Chunks read ahead of the network.
const READ_AHEAD: usize = 4;

/// The answer to `ask`, in frame-sized chunks.
pub(super) fn chunks(shipment: Shipment, ask: Ask) -> Chunks {
    let (sender, chunks) = mpsc::channel(READ_AHEAD);
    tokio::spawn(async move {
        match shipment.release().await {
            Ok(release) => send(release, ask, sender),
            Err(failure) => {
                let error = io::Error::other(failure.in_one_line());
                drop(sender.send(Err(error)).await);
            }
        }
    });
    chunks
}

fn send(release: Arc<Release>, ask: Ask, sender: mpsc::Sender<io::Result<Chunk>>) {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send_all(&release, &ask, &sender) {
            // A closed channel means that nobody waits for the data any more.
            drop(sender.blocking_send(Err(error)));
        }
    });
}

fn send_all(
    release: &Release,
    ask: &Ask,
    sender: &mpsc::Sender<io::Result<Chunk>>,
) -> io::Result<()> {
    let question = match ask.clone() {
        Ask::Tree { held } => Question {
            wanted: Part::Tree,
            held,
        },
        Ask::Contents { wanted, held, .. } => Question {
            wanted: Part::Entries(wanted),
            held,
        },
        Ask::Handles | Ask::Unknown => {
            return Err(io::Error::other("the host asks for something unknown"));
        }
    };
    let mut reader = release.answer(&question).map_err(io::Error::other)?;
    loop {
        // What is there is sent: a host that waits for more than this is told that somebody is there.
        let mut bytes = vec![0; CHUNK];
        let read = reader.read(&mut bytes)?;
        bytes.truncate(read);
        let covered = reader.covered();
        if bytes.is_empty() || sender.blocking_send(Ok(Chunk { bytes, covered })).is_err() {
            return Ok(());
        }
    }
}
