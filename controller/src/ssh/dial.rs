//! A TCP connection to a host: all its addresses, one after the other, within the deadline.

use std::io;

use tokio::net::{TcpStream, lookup_host};

use super::connect_error::ConnectError;
use super::deadline::Deadline;
use super::target::Target;

pub(super) async fn dial(
    target: &Target,
    deadline: &mut Deadline,
) -> Result<TcpStream, ConnectError> {
    let unresolved = |source| ConnectError::Resolve {
        host: target.host.clone(),
        source,
    };
    let addresses: Vec<_> = deadline
        .run(
            "name lookup",
            lookup_host((target.host.as_str(), target.port)),
        )
        .await?
        .map_err(unresolved)?
        .collect();
    let mut last = None;
    for (index, address) in addresses.iter().enumerate() {
        // One address that swallows packets must not use up the time of the next.
        let remaining = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.left() / remaining;
        let attempt = tokio::time::timeout(share, TcpStream::connect(address));
        match deadline.run("connecting", attempt).await {
            Ok(Ok(Ok(stream))) => {
                // Orders are small and wait for answers: Nagle's delay would be paid at each.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%address, %error, "cannot set TCP_NODELAY");
                }
                return Ok(stream);
            }
            Ok(Ok(Err(error))) => last = Some(ConnectError::of_tcp(&target.address(), error)),
            Ok(Err(_)) => {
                last = Some(ConnectError::TimedOut {
                    address: target.address(),
                    after: target.connect_timeout,
                    phase: "connecting",
                });
            }
            Err(timed_out) => return Err(last.unwrap_or(timed_out)),
        }
    }
    Err(last.unwrap_or_else(|| unresolved(io::Error::other("the name has no address"))))
}
