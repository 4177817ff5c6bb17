//! `longshore-agent run APP -- COMMAND`: hands this program's own standard input, output and error to
//! what the agent starts.

use std::io::{self, IoSlice, IsTerminal as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{Ask, FromAgent, Order, Reply};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::LocalError;
use super::client::Client;

/// How it ended.
pub(crate) fn run(app: &Instance, command: Vec<String>) -> Result<u8, LocalError> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let kind = || std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    let mut client = Client::connect()?;
    let handles = client.handle()?;
    let order = Order::Run {
        app: app.clone(),
        command,
        terminal: is_terminal.then(kind),
    };
    let mut given = Ok(());
    let reply = client.order(order, |message| {
        if matches!(message, FromAgent::Ask(Ask::Handles)) {
            given = give(&handles);
            if let Ok(agent) = handles.try_clone() {
                leave_with_the_reader(agent);
            }
        }
    })?;
    given.map_err(LocalError::Talk)?;
    match reply {
        Reply::Ran { status } => Ok(status),
        reply => Err(client.unexpected(reply)),
    }
}

/// Who called may be gone, and their line with them, while nothing is said that would fail. Without us the
/// agent ends what it began; a terminal tells it itself.
fn leave_with_the_reader(agent: UnixStream) {
    std::thread::spawn(move || {
        let output = io::stdout();
        loop {
            let mut gone = [PollFd::new(&output, PollFlags::empty())];
            match poll(&mut gone, None) {
                Ok(1..) => {
                    // One that is closed already is as good.
                    drop(agent.shutdown(Shutdown::Both));
                    return;
                }
                Ok(0) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    });
}

fn give(stream: &UnixStream) -> io::Result<()> {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let all = [input.as_fd(), output.as_fd(), errors.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&all));
    let byte = [IoSlice::new(b"h")];
    rustix::net::sendmsg(stream, &byte, &mut ancillary, SendFlags::empty())?;
    Ok(())
}
