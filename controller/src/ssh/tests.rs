//! Sessions against a real SSH server on loopback.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::cipher;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{PrivateKey, PublicKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::test_server::{Plays, Server, new_key};
use super::*;

/// A person with one key file, and a place for their known_hosts.
struct Person {
    folder: tempfile::TempDir,
    key: PrivateKey,
    keyring: Keyring,
}

impl Person {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = new_key();
        let text = key.to_openssh(LineEnding::LF).unwrap();
        std::fs::write(folder.path().join("id"), text.as_bytes()).unwrap();
        let keyring = Keyring::new(Arc::new(NobodyToAsk));
        Person {
            folder,
            key,
            keyring,
        }
    }

    fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    fn target(&self, server: &Server) -> Target {
        Target {
            name: "web-1".into(),
            host: "127.0.0.1".into(),
            port: server.address.port(),
            user: "deploy".into(),
            trust: HostTrust::Pinned(vec![server.host_key.clone()]),
            identities: Identities {
                agent_socket: None,
                files: vec![self.folder.path().join("id")],
                explicit: true,
                only: false,
            },
            jumps: vec![],
            connect_timeout: Duration::from_secs(5),
        }
    }

    fn by_known_hosts(&self, server: &Server) -> Target {
        let mut target = self.target(server);
        target.trust = HostTrust::KnownHosts {
            host: "127.0.0.1".into(),
            port: server.address.port(),
            files: vec![self.known_hosts()],
        };
        target
    }

    async fn connect(&self, target: &Target) -> Result<Session, ConnectError> {
        Session::connect(target, &self.keyring).await
    }
}

async fn says_back(session: &Session) {
    let mut agent = session.open_agent().await.unwrap();
    agent.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    agent.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_host_lets_a_known_key_in_and_channels_share_the_session() {
    let person = Person::new();
    let server = Server::start(&person.key, Plays::Echo).await;
    let session = person.connect(&person.target(&server)).await.unwrap();
    tokio::join!(says_back(&session), says_back(&session));
    assert_eq!(
        *server.commands.lock().unwrap(),
        ["longshore-agent connect"; 2]
    );
    assert!(session.traffic().sent() > 1000 && session.traffic().received() > 1000);
    let login_key = session.login_key().map(PublicKey::key_data);
    assert_eq!(login_key, Some(person.key.public_key().key_data()));
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_data_passes_both_ways_unharmed() {
    let person = Person::new();
    let server = Server::start(&person.key, Plays::Echo).await;
    let session = person.connect(&person.target(&server)).await.unwrap();
    let agent = session.open_agent().await.unwrap();
    let (mut read, mut write) = tokio::io::split(agent);
    let sent: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut heard = vec![0; sent.len()];
    let (written, got) = tokio::join!(write.write_all(&sent), read.read_exact(&mut heard));
    written.unwrap();
    got.unwrap();
    assert!(heard == sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_another_key_is_refused_before_any_user_authentication() {
    let person = Person::new();
    let server = Server::start(&person.key, Plays::Echo).await;
    let mut target = person.target(&server);
    target.trust = HostTrust::Pinned(vec![new_key().public_key().clone()]);
    let error = person.connect(&target).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::HostKey(HostKeyError::NotPinned { .. })),
        "{error:?}"
    );
    assert_eq!(server.auth_attempts.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_hosts_decides_where_nothing_is_pinned() {
    let person = Person::new();
    let server = Server::start(&person.key, Plays::Echo).await;
    let target = person.by_known_hosts(&server);
    let error = person.connect(&target).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::HostKey(HostKeyError::Unknown { .. })),
        "{error:?}"
    );
    // The line that the hint gives is the line that makes it known.
    let hint = error.hints().join("\n");
    let line = hint.split("known_hosts: ").nth(1).unwrap().to_owned();
    std::fs::write(person.known_hosts(), &line).unwrap();
    person.connect(&target).await.unwrap();
    let other = new_key().public_key().to_openssh().unwrap();
    let changed = format!("{} {other}\n", line.split(' ').next().unwrap());
    let before = server.auth_attempts.load(Ordering::SeqCst);
    std::fs::write(person.known_hosts(), changed).unwrap();
    let error = person.connect(&target).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::HostKey(HostKeyError::Changed { .. })),
        "{error:?}"
    );
    assert_eq!(server.auth_attempts.load(Ordering::SeqCst), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_lacks_the_trusted_type_is_no_stranger() {
    let person = Person::new();
    let server = Server::start(&person.key, Plays::Echo).await;
    let target = person.by_known_hosts(&server);
    let name = format!("[127.0.0.1]:{}", server.address.port());
    std::fs::write(
        person.known_hosts(),
        format!("{name} ecdsa-sha2-nistp256 AAAA\n"),
    )
    .unwrap();
    let error = person.connect(&target).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::HostKey(HostKeyError::NoTrustedType { .. })
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_not_known_hears_which_keys_were_tried() {
    let person = Person::new();
    let server = Server::start(&new_key(), Plays::Echo).await;
    let mut target = person.target(&server);
    target.identities.files.push("/nowhere/id".into());
    let error = person.connect(&target).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Authentication { .. }),
        "{error:?}"
    );
    let hints = error.hints().join("\n");
    assert!(hints.contains("Tried: ssh-ed25519 SHA256:"), "{hints}");
    assert!(hints.contains("/nowhere/id is not there"), "{hints}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_reached_through_a_chain_of_jumps() {
    let person = Person::new();
    let servers = [
        Server::start(&person.key, Plays::Denies).await,
        Server::start(&person.key, Plays::Denies).await,
        Server::start(&person.key, Plays::Echo).await,
    ];
    let mut target = person.target(&servers[2]);
    target.jumps = vec![person.target(&servers[0]), person.target(&servers[1])];
    let session = person.connect(&target).await.unwrap();
    says_back(&session).await;
    target.jumps[1].trust = HostTrust::Pinned(vec![new_key().public_key().clone()]);
    let error = person.connect(&target).await.unwrap_err();
    assert!(matches!(error, ConnectError::Jump { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_agent_or_right_says_so() {
    let person = Person::new();
    let cases = [
        (
            Plays::Fails("sh: 1: longshore-agent: not found\n", 127),
            AgentGone::NoAgent,
        ),
        (
            Plays::Fails("Permission denied\n", 1),
            AgentGone::SocketDenied {
                said: "Permission denied".into(),
            },
        ),
    ];
    for (plays, expected) in cases {
        let server = Server::start(&person.key, plays).await;
        let session = person.connect(&person.target(&server)).await.unwrap();
        let mut agent = session.open_agent().await.unwrap();
        let ending = agent.ending();
        assert_eq!(agent.read(&mut [0; 16]).await.unwrap(), 0);
        assert_eq!(ending.explain().await, expected);
    }
    let server = Server::start(&person.key, Plays::Denies).await;
    let session = person.connect(&person.target(&server)).await.unwrap();
    assert!(matches!(session.open_agent().await, Err(OpenError::Denied)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nobody_listens_refuses_and_a_silent_one_times_out() {
    let person = Person::new();
    let server = Server::start(&person.key, Plays::Echo).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = person.target(&server);
    target.port = listener.local_addr().unwrap().port();
    target.connect_timeout = Duration::from_millis(200);
    let error = person.connect(&target).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::TimedOut {
                phase: "SSH handshake",
                ..
            }
        ),
        "{error:?}"
    );
    drop(listener);
    let error = person.connect(&target).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ciphers_that_we_do_not_trust_are_not_negotiated() {
    let person = Person::new();
    let server = Server::start_with(&person.key, Plays::Echo, &[cipher::AES_256_CTR]).await;
    let error = person.connect(&person.target(&server)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Handshake { .. }), "{error:?}");
    // ChaCha20 passes here because this server offers strict key exchange.
    let server = Server::start_with(&person.key, Plays::Echo, &[cipher::CHACHA20_POLY1305]).await;
    says_back(&person.connect(&person.target(&server)).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_at_the_end_of_the_output_still_hears_the_exit_status() {
    let person = Person::new();
    let plays = Plays::FailsSlowly("sh: 1: longshore-agent: not found\n", 127);
    let server = Server::start(&person.key, plays).await;
    let session = person.connect(&person.target(&server)).await.unwrap();
    let mut agent = session.open_agent().await.unwrap();
    let ending = agent.ending();
    assert_eq!(agent.read(&mut [0; 16]).await.unwrap(), 0);
    drop(agent);
    assert_eq!(ending.explain().await, AgentGone::NoAgent);
}
