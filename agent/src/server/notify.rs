//! Telling systemd that the agent is ready (`Type=notify`).

use crate::journal;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says so where systemd asked to be told. Started by hand, there is nobody to tell.
pub(super) fn ready() {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let told = address.and_then(|address| {
        UnixDatagram::unbound()?.send_to_addr(b"READY=1\nSTATUS=Waiting for orders", &address)
    });
    if let Err(error) = told {
        journal::say(&format!(
            "systemd was not told that the agent is ready: {error}"
        ));
    }
}
