//! The other end of a connection: who it is, and frames to and from it.

use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use longshore_shared::wire::codec::{CodecError, Decoder, Frame, MAGIC};
use longshore_shared::wire::latest::{FromAgent, ToAgent};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use thiserror::Error;

use crate::names::{self, Person};

/// A connection that orders nothing for so long is closed.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Data that was asked for has to go on coming.
const LONGEST_STALL: Duration = Duration::from_secs(60);
const READ: usize = 128 * 1024;

/// The other end.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: UnixStream,
    decoder: Decoder,
    buffer: Vec<u8>,
    put_back: Option<ToAgent>,
    /// Data was asked for, and its end has not come.
    answering: bool,
    person: Person,
}

/// Why a conversation ends before its time.
#[derive(Debug, Error)]
pub(crate) enum PeerError {
    #[error("it cannot be told who asks")]
    Who(#[source] std::io::Error),
    #[error("user number {0} is not known on this host")]
    Stranger(u32),
    #[error("the connection broke")]
    Broken(#[source] std::io::Error),
    #[error("the other end was silent for too long, or left in the middle of a message")]
    Silent,
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("it was cancelled")]
    Cancelled,
    #[error("a message came that does not belong here")]
    OutOfPlace,
}

impl Peer {
    pub(crate) fn new(stream: UnixStream) -> Result<Self, PeerError> {
        let credentials = rustix::net::sockopt::socket_peercred(&stream)
            .map_err(|errno| PeerError::Who(errno.into()))?;
        let uid = credentials.uid.as_raw();
        let person = names::person(uid).ok_or(PeerError::Stranger(uid))?;
        stream
            .set_write_timeout(Some(LONGEST_STALL))
            .map_err(PeerError::Broken)?;
        Ok(Self {
            stream,
            decoder: Decoder::new(),
            buffer: vec![0; READ],
            put_back: None,
            answering: false,
            person,
        })
    }

    pub(crate) fn person(&self) -> &Person {
        &self.person
    }

    pub(crate) fn greet(&mut self) -> Result<(), PeerError> {
        self.stream.write_all(MAGIC).map_err(PeerError::Broken)
    }

    pub(crate) fn send(&mut self, messages: &[FromAgent]) -> Result<(), PeerError> {
        write(&mut self.stream, messages)
    }

    /// The next message, or nothing when the other end has left.
    pub(crate) fn next_message(&mut self) -> Result<Option<ToAgent>, PeerError> {
        if let Some(message) = self.put_back.take() {
            return Ok(Some(message));
        }
        match self.next_frame(LONGEST_PAUSE)? {
            Some(frame) => Ok(Some(frame.parse()?)),
            None => Ok(None),
        }
    }

    /// Gives a message to whoever asks next.
    pub(crate) fn put_back(&mut self, message: ToAgent) {
        self.put_back = Some(message);
    }

    /// The data that was asked for, up to its end.
    pub(crate) fn data(&mut self) -> Data<'_> {
        self.answering = true;
        self.rest()
    }

    /// The handles that come with one byte, which only somebody on this host can send.
    pub(crate) fn handles(&mut self) -> Result<[OwnedFd; 3], PeerError> {
        if !self.decoder.is_empty() {
            return Err(PeerError::OutOfPlace);
        }
        let patience = Some(LONGEST_STALL);
        self.stream
            .set_read_timeout(patience)
            .map_err(PeerError::Broken)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0; 1];
        let mut bytes = [IoSliceMut::new(&mut byte)];
        rustix::net::recvmsg(
            &self.stream,
            &mut bytes,
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
        .map_err(|error| PeerError::Broken(error.into()))?;
        let mut handles = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(all) = message {
                handles.extend(all);
            }
        }
        handles.try_into().map_err(|_| PeerError::OutOfPlace)
    }

    /// What has not been read yet of it.
    pub(crate) fn rest(&mut self) -> Data<'_> {
        Data {
            peer: self,
            frame: Vec::new(),
            at: 0,
        }
    }

    /// Waits until the other end sends something or leaves, or until `stop` becomes readable.
    /// Says whether there is something to read.
    pub(crate) fn wait(&self, stop: &UnixStream) -> bool {
        if !self.decoder.is_empty() {
            return true;
        }
        let mut both = [
            PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
        ];
        loop {
            match poll(&mut both, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
                Ok(_) => break,
            }
        }
        let [ours, stopped] = &both;
        stopped.revents().is_empty() && !ours.revents().is_empty()
    }

    /// Whether the other end has left, or says something, while nothing was asked of it.
    pub(crate) fn stirs(&self) -> bool {
        let mut ours = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
        !self.decoder.is_empty() || poll(&mut ours, Some(&Timespec::default())) != Ok(0)
    }

    /// A handle that ends the conversation, for whoever does not lead it.
    pub(crate) fn hook(&self) -> Result<UnixStream, PeerError> {
        self.stream.try_clone().map_err(PeerError::Broken)
    }

    /// A second handle that only writes.
    pub(crate) fn writer(&self) -> Result<Writer, PeerError> {
        self.stream
            .try_clone()
            .map(Writer)
            .map_err(PeerError::Broken)
    }

    fn next_frame(&mut self, patience: Duration) -> Result<Option<Frame>, PeerError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            // Between messages a peer may take its time; in the middle of one it may not.
            let patience = if self.decoder.is_empty() {
                patience
            } else {
                LONGEST_STALL
            };
            self.stream
                .set_read_timeout(Some(patience))
                .map_err(PeerError::Broken)?;
            match self.stream.read(&mut self.buffer) {
                Ok(0) if self.decoder.is_empty() => return Ok(None),
                Ok(0) => return Err(PeerError::Silent),
                Ok(read) => self
                    .decoder
                    .feed(self.buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Err(PeerError::Silent);
                }
                Err(error) => return Err(PeerError::Broken(error)),
            }
        }
    }
}

/// Writes messages while another thread reads.
#[derive(Debug)]
pub(crate) struct Writer(UnixStream);

impl Writer {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    pub(crate) fn greet(&mut self) -> Result<(), PeerError> {
        self.0.write_all(MAGIC).map_err(PeerError::Broken)
    }

    pub(crate) fn send(&mut self, messages: &[FromAgent]) -> Result<(), PeerError> {
        write(&mut self.0, messages)
    }
}

fn write(stream: &mut UnixStream, messages: &[FromAgent]) -> Result<(), PeerError> {
    let mut out = Vec::new();
    for message in messages {
        Frame::message(message)?.encode(&mut out)?;
    }
    stream.write_all(&out).map_err(PeerError::Broken)
}

/// Bulk data as a stream of bytes, which ends where the other end says so.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    peer: &'a mut Peer,
    frame: Vec<u8>,
    at: usize,
}

impl Read for Data<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.frame.len() && self.peer.answering {
            match self
                .peer
                .next_frame(LONGEST_STALL)
                .map_err(std::io::Error::other)?
            {
                // An answer made of nothing would go on for ever.
                Some(Frame::Data(bytes)) if bytes.is_empty() => {
                    return Err(std::io::Error::other(PeerError::OutOfPlace));
                }
                Some(Frame::Data(bytes)) => (self.frame, self.at) = (bytes, 0),
                Some(message) => match message.parse().map_err(std::io::Error::other)? {
                    ToAgent::End => self.peer.answering = false,
                    ToAgent::Cancel => return Err(std::io::Error::other(PeerError::Cancelled)),
                    _ => return Err(std::io::Error::other(PeerError::OutOfPlace)),
                },
                None => return Err(std::io::Error::other(PeerError::Silent)),
            }
        }
        let rest = self.frame.get(self.at..).unwrap_or_default();
        let take = rest.len().min(out.len());
        for (to, from) in out.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += take;
        Ok(take)
    }
}
