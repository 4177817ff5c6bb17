//! A real SSH server on loopback, in this process, that knows one key and runs nothing: commands
//! are played by the test.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelStream, MethodKind, MethodSet, Preferred, cipher};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// What the played `longshore-agent connect` does.
#[derive(Clone)]
pub(crate) enum Plays {
    /// Says back what it hears.
    Echo,
    /// Writes to standard error and exits.
    Fails(&'static str, u32),
    /// As above, with the output ended some time before the exit status is known.
    FailsSlowly(&'static str, u32),
    /// The server refuses the command.
    Denies,
    /// Whatever the test wants, once per channel.
    Agent(Arc<dyn Fn(ChannelStream<Msg>) -> Playing + Send + Sync>),
}

pub(crate) type Playing = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) host_key: PublicKey,
    /// Signatures and offers that reached user authentication.
    pub(crate) auth_attempts: Arc<AtomicUsize>,
    pub(crate) commands: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Played {
    user_key: PublicKey,
    plays: Plays,
    attempts: Arc<AtomicUsize>,
    commands: Arc<Mutex<Vec<String>>>,
    opened: Arc<Mutex<HashMap<ChannelId, Channel<Msg>>>>,
}

impl Server {
    pub(crate) async fn start(user_key: &PrivateKey, plays: Plays) -> Self {
        Self::start_with(user_key, plays, &[cipher::AES_256_GCM]).await
    }

    pub(crate) async fn start_with(
        user_key: &PrivateKey,
        plays: Plays,
        ciphers: &'static [cipher::Name],
    ) -> Self {
        let host_key = new_key();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shown = host_key.public_key().clone();
        let config = Arc::new(Config {
            keys: vec![host_key],
            methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
            auth_rejection_time: Duration::from_millis(1),
            preferred: Preferred {
                cipher: ciphers.into(),
                ..Preferred::DEFAULT
            },
            ..Config::default()
        });
        let played = Played {
            user_key: user_key.public_key().clone(),
            plays,
            attempts: Arc::default(),
            commands: Arc::default(),
            opened: Arc::default(),
        };
        let (auth_attempts, commands) = (played.attempts.clone(), played.commands.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (config, played) = (config.clone(), played.clone());
                tokio::spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, played).await {
                        drop(session.await);
                    }
                });
            }
        });
        Server {
            address,
            host_key: shown,
            auth_attempts,
            commands,
        }
    }
}

pub(crate) fn new_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
}

impl Handler for Played {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        key: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        Ok(self.decide(key.public_key))
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        Ok(self.decide(key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        self.opened.lock().unwrap().insert(channel.id(), channel);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let mut beyond = TcpStream::connect((host, port as u16)).await?;
        reply.accept().await;
        tokio::spawn(async move {
            drop(copy_bidirectional(&mut channel.into_stream(), &mut beyond).await);
        });
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.commands
            .lock()
            .unwrap()
            .push(String::from_utf8_lossy(command).into_owned());
        // Only now: what is said before the command is accepted is not the command's.
        let opened = self.opened.lock().unwrap().remove(&channel).unwrap();
        match self.plays.clone() {
            Plays::Echo => {
                session.channel_success(channel)?;
                tokio::spawn(async move {
                    let (mut read, mut write) = tokio::io::split(opened.into_stream());
                    drop(tokio::io::copy(&mut read, &mut write).await);
                });
                Ok(())
            }
            Plays::Agent(play) => {
                session.channel_success(channel)?;
                tokio::spawn(play(opened.into_stream()));
                Ok(())
            }
            Plays::Denies => session.channel_failure(channel),
            Plays::Fails(complaint, status) => {
                session.channel_success(channel)?;
                session.extended_data(channel, 1, complaint.as_bytes().to_vec())?;
                session.eof(channel)?;
                session.exit_status_request(channel, status)?;
                session.close(channel)
            }
            Plays::FailsSlowly(complaint, status) => {
                session.channel_success(channel)?;
                session.extended_data(channel, 1, complaint.as_bytes().to_vec())?;
                session.eof(channel)?;
                let handle = session.handle();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let _ = handle.exit_status_request(channel, status).await;
                    let _ = handle.close(channel).await;
                });
                Ok(())
            }
        }
    }
}

impl Played {
    fn decide(&self, key: &PublicKey) -> Auth {
        if key.key_data() == self.user_key.key_data() {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}
