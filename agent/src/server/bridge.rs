//! `longshore-agent connect`: joins standard input and output to the agent's socket.
//!
//! It takes no arguments and knows no protocol, so that a key may be bound to it.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use thiserror::Error;

use crate::layout::SOCKET;

const BUFFER: usize = 128 * 1024;

/// Why there is no conversation. The controller shows this to its user.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("the agent does not run on this host: start it with `systemctl start longshore-agent`")]
    NotRunning,
    #[error("you may not talk to the agent on this host: you have to be in the group longshore")]
    NotAllowed,
    #[error("the agent's socket {SOCKET} does not answer")]
    Socket(#[source] io::Error),
    #[error("the conversation broke")]
    Broken(#[source] io::Error),
}

/// Connects to the agent of this host.
pub(crate) fn open() -> Result<UnixStream, ConnectError> {
    UnixStream::connect(SOCKET).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ConnectError::NotRunning,
        io::ErrorKind::PermissionDenied => ConnectError::NotAllowed,
        _ => ConnectError::Socket(error),
    })
}

/// Runs until the agent has no more to say.
pub(crate) fn connect() -> Result<(), ConnectError> {
    let socket = open()?;
    let mut orders = socket.try_clone().map_err(ConnectError::Broken)?;
    // The thread ends with the process: it may wait for ever on an input that is never closed.
    std::thread::spawn(move || {
        let input = io::stdin();
        let _ends_either_way = pour(&raw(input.as_fd()), &mut orders);
        let _may_be_closed = orders.shutdown(Shutdown::Write);
    });
    let output = io::stdout();
    pour(&socket, &mut &raw(output.as_fd())).map_err(ConnectError::Broken)
}

/// The descriptor itself, without the buffers of the standard library in between.
fn raw(fd: impl AsFd) -> Raw<impl AsFd> {
    Raw(fd)
}

struct Raw<F>(F);

impl<F: AsFd> Read for &Raw<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

impl<F: AsFd> Write for &Raw<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pour<R>(from: &R, to: &mut impl Write) -> io::Result<()>
where
    for<'a> &'a R: Read,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut source = from;
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..read).unwrap_or_default())?;
    }
}
