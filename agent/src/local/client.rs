//! Orders to the agent of this very host.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use longshore_shared::wire::codec::{Decoder, Frame};
use longshore_shared::wire::latest::{FromAgent, Order, Reply, ToAgent};

use super::LocalError;
use crate::server::open;

/// A conversation with the agent.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    decoder: Decoder,
}

impl Client {
    pub(super) fn connect() -> Result<Self, LocalError> {
        let mut client = Self {
            stream: open()?,
            decoder: Decoder::after_greeting(),
        };
        match client.next()? {
            FromAgent::Hello(_) => Ok(client),
            FromAgent::Reply(reply) => Err(client.unexpected(*reply)),
            _ => Err(LocalError::Left),
        }
    }

    /// A second handle on the conversation.
    pub(super) fn handle(&self) -> Result<UnixStream, LocalError> {
        self.stream.try_clone().map_err(LocalError::Talk)
    }

    /// Gives an order and waits for its reply, passing on what happens meanwhile.
    pub(super) fn order(
        &mut self,
        order: Order,
        mut told: impl FnMut(FromAgent),
    ) -> Result<Reply, LocalError> {
        let mut bytes = Vec::new();
        Frame::message(&ToAgent::Order(order))
            .and_then(|frame| frame.encode(&mut bytes))
            .map_err(|error| LocalError::Talk(std::io::Error::other(error)))?;
        self.stream.write_all(&bytes).map_err(LocalError::Talk)?;
        loop {
            match self.next()? {
                FromAgent::Reply(reply) => return Ok(*reply),
                message => told(message),
            }
        }
    }

    /// A reply that is none to what was asked.
    pub(super) fn unexpected(&self, reply: Reply) -> LocalError {
        match reply {
            Reply::Refused { problems } => LocalError::Refused {
                what: problems
                    .iter()
                    .map(|p| p.what.as_str())
                    .collect::<Vec<_>>()
                    .join("\n"),
                next: problems
                    .into_iter()
                    .map(|p| p.next)
                    .next()
                    .unwrap_or_default(),
            },
            Reply::Failed(failed) => LocalError::Failed {
                what: failed.what,
                next: failed.next,
                log: failed.log,
            },
            _ => LocalError::Talk(std::io::ErrorKind::InvalidData.into()),
        }
    }

    fn next(&mut self) -> Result<FromAgent, LocalError> {
        let talk = |error| LocalError::Talk(std::io::Error::other(error));
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(talk)? {
                return frame.parse().map_err(talk);
            }
            match self.stream.read(&mut buffer).map_err(LocalError::Talk)? {
                0 => return Err(LocalError::Left),
                read => self.decoder.feed(buffer.get(..read).unwrap_or_default()),
            }
        }
    }
}
