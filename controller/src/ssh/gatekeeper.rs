//! What the SSH library asks us during a session: is this the right host, and may the host open
//! channels of its own. It may not.

use std::sync::{Arc, OnceLock};

use russh::client::{ChannelOpenHandle, Handler, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, Names, cipher};
use thiserror::Error;

use super::host_key::{HostKeyError, HostKeyJudge};

#[derive(Debug)]
pub(super) struct Gatekeeper {
    judge: HostKeyJudge,
    /// The key that passed, for whoever wants to pin it.
    shown: Arc<OnceLock<PublicKey>>,
}

/// How a handshake failed.
#[derive(Debug, Error)]
pub enum HandshakeError {
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    #[error("the host offers ChaCha20 without strict key exchange, which lets others cut messages")]
    NotStrict,
    #[error(transparent)]
    Ssh(#[from] russh::Error),
}

impl Gatekeeper {
    pub(super) fn new(judge: HostKeyJudge, shown: Arc<OnceLock<PublicKey>>) -> Self {
        Gatekeeper { judge, shown }
    }
}

impl Handler for Gatekeeper {
    type Error = HandshakeError;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, HandshakeError> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.judge.judge(key)?;
                // A second exchange of keys shows the same one, or another that passed as well.
                let _first = self.shown.set(key.clone());
                Ok(true)
            }
            PublicKeyOrCertificate::Certificate(_) => Err(HostKeyError::Certificate.into()),
        }
    }

    /// The library does not demand strict key exchange, so it is demanded here, where nothing has
    /// been sent under the new keys yet.
    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        if names.cipher == cipher::CHACHA20_POLY1305 && !names.strict_kex() {
            return Err(HandshakeError::NotStrict);
        }
        Ok(())
    }

    // The library accepts these by default. Dropping `reply` refuses.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        Ok(())
    }
}
