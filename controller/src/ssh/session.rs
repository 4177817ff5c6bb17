//! One SSH session with one host, for a whole command.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{Algorithm, PublicKey};
use russh::{Disconnect, Preferred, cipher, compression};
use tokio::io::{AsyncRead, AsyncWrite};

use super::agent_stream::{AgentStream, OpenError};
use super::auth;
use super::connect_error::ConnectError;
use super::deadline::Deadline;
use super::dial::dial;
use super::gatekeeper::Gatekeeper;
use super::host_key::HostKeyJudge;
use super::keyring::Keyring;
use super::target::Target;
use super::traffic::{Counted, Traffic};

/// What the host runs for us. `authorized_keys` may force it, so it takes no arguments of ours.
const AGENT_COMMAND: &str = "longshore-agent connect";

/// Room for a long fat line: 16 MiB in flight are 80 ms at 1.6 Gbit/s.
const WINDOW: u32 = 16 * 1024 * 1024;
/// The largest that the library takes.
const LARGEST_PACKET: u32 = 65_535;
/// A silent host is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How many such questions may stay unanswered.
const KEEPALIVES_MISSED: usize = 3;
/// Whatever else happens, a line on which nothing comes for so long is dead.
const SILENCE: Duration = Duration::from_secs(90);

/// GCM needs no MAC that could be cut away. ChaCha20 comes last, and the gatekeeper refuses it
/// without strict key exchange.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
];
/// Releases are compressed already, and compressed packets have been a way to attack clients.
const COMPRESSION: &[compression::Name] = &[compression::NONE];

/// A session that is let in, host and person both proven.
pub struct Session {
    handle: Handle<Gatekeeper>,
    /// Kept because the session lives inside theirs; the nearest host first.
    jumps: Vec<Handle<Gatekeeper>>,
    traffic: Arc<Traffic>,
    host_key: Arc<OnceLock<PublicKey>>,
    login_key: Option<PublicKey>,
}

impl Session {
    pub async fn connect(target: &Target, keyring: &Keyring) -> Result<Self, ConnectError> {
        let mut jumps: Vec<Handle<Gatekeeper>> = Vec::new();
        for (index, hop) in target.jumps.iter().enumerate() {
            let before = before(&jumps, &target.jumps, index);
            let (handle, _) = open(hop, before, keyring, &Arc::default(), Arc::default())
                .await
                .map_err(|source| ConnectError::Jump {
                    jump: hop.name.clone(),
                    source: Box::new(source),
                })?;
            jumps.push(handle);
        }
        let traffic = Arc::new(Traffic::default());
        let last = before(&jumps, &target.jumps, target.jumps.len());
        let host_key = Arc::default();
        let shown = Arc::clone(&host_key);
        let (handle, login_key) = open(target, last, keyring, &traffic, shown).await?;
        Ok(Session {
            handle,
            jumps,
            traffic,
            host_key,
            login_key,
        })
    }

    /// A new channel to the host's agent.
    pub async fn open_agent(&self) -> Result<AgentStream, OpenError> {
        self.run(AGENT_COMMAND).await
    }

    /// A new channel in which the person's own shell runs a command.
    pub async fn run(&self, command: &str) -> Result<AgentStream, OpenError> {
        let channel = self
            .handle
            .channel_open_session()
            .await
            .map_err(OpenError::Channel)?;
        AgentStream::start(channel, command).await
    }

    /// The key by which the host proved itself.
    pub fn host_key(&self) -> Option<&PublicKey> {
        self.host_key.get()
    }

    /// The key by which the person was let in; nothing where it was a certificate.
    pub fn login_key(&self) -> Option<&PublicKey> {
        self.login_key.as_ref()
    }

    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Says good-bye. A host that is gone already is not an error any more.
    pub async fn close(self) {
        for handle in std::iter::once(&self.handle).chain(self.jumps.iter().rev()) {
            let bye = handle.disconnect(Disconnect::ByApplication, "", "");
            if let Err(error) = bye.await {
                tracing::trace!(%error, "the session had ended");
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("jumps", &self.jumps.len())
            .field("traffic", &self.traffic)
            .finish_non_exhaustive()
    }
}

type Before<'a> = Option<(&'a Handle<Gatekeeper>, &'a str)>;

/// The hop that hop number `index` is reached through, and its name.
fn before<'a>(opened: &'a [Handle<Gatekeeper>], hops: &'a [Target], index: usize) -> Before<'a> {
    let index = index.checked_sub(1)?;
    Some((opened.get(index)?, &hops.get(index)?.name))
}

async fn open(
    target: &Target,
    before: Before<'_>,
    keyring: &Keyring,
    traffic: &Arc<Traffic>,
    shown: Arc<OnceLock<PublicKey>>,
) -> Result<(Handle<Gatekeeper>, Option<PublicKey>), ConnectError> {
    // Judged first: a known_hosts file that cannot be read is no reason to bother the host.
    let judge = HostKeyJudge::new(&target.trust)?;
    let algorithms = judge.algorithms();
    let gatekeeper = Gatekeeper::new(judge, shown);
    let address = target.address();
    let mut deadline = Deadline::new(target.connect_timeout, address.clone());
    let traffic = Arc::clone(traffic);
    let mut handle = match before {
        None => {
            let stream = dial(target, &mut deadline).await?;
            let stream = Counted::new(stream, traffic);
            handshake(stream, gatekeeper, algorithms, &address, &mut deadline).await?
        }
        Some((handle, jump)) => {
            let channel = handle.channel_open_direct_tcpip(
                target.host.clone(),
                u32::from(target.port),
                "127.0.0.1",
                0,
            );
            let channel = deadline
                .run("connecting through the jump host", channel)
                .await?
                .map_err(|source| ConnectError::BeyondJump {
                    jump: jump.to_owned(),
                    address: address.clone(),
                    source,
                })?;
            let stream = Counted::new(channel.into_stream(), traffic);
            handshake(stream, gatekeeper, algorithms, &address, &mut deadline).await?
        }
    };
    let login_key = auth::authenticate(&mut handle, target, keyring, &mut deadline).await?;
    Ok((handle, login_key))
}

async fn handshake<S>(
    stream: S,
    gatekeeper: Gatekeeper,
    algorithms: Vec<Algorithm>,
    address: &str,
    deadline: &mut Deadline,
) -> Result<Handle<Gatekeeper>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = Arc::new(client::Config {
        window_size: WINDOW,
        maximum_packet_size: LARGEST_PACKET,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_MISSED,
        inactivity_timeout: Some(SILENCE),
        preferred: Preferred {
            key: Cow::Owned(algorithms),
            cipher: Cow::Borrowed(CIPHERS),
            compression: Cow::Borrowed(COMPRESSION),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    });
    deadline
        .run(
            "SSH handshake",
            client::connect_stream(config, stream, gatekeeper),
        )
        .await?
        .map_err(|error| ConnectError::of_handshake(address, error))
}
