//! First contacts with a real SSH server on loopback, whose sudo is played.

use std::sync::atomic::{AtomicUsize, Ordering};

use longshore_shared::name::HostName;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{HashAlg, PublicKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::contact::{self, Contact};
use super::outcome::Stopped;
use super::password::Asking;
use super::*;
use crate::ssh::NobodyToAsk;
use crate::ssh::test_server::{Plays, Server, new_key};

/// A person who types the same password whenever asked.
struct Types(&'static str, AtomicUsize);

impl Tell for Types {
    fn plan(&self, _: &HostName, _: &Plan) {}
    fn say(&self, _: &HostName, _: &str) {}
    fn detail(&self, _: &HostName, _: &str) {}
    fn password(&self, _: &str, _: &HostName) -> Option<String> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Some(self.0.to_owned())
    }
}

struct NobodyThere;

impl AskHostKey for NobodyThere {
    fn is_it(&self, _: &HostName, _: &str, _: &str) -> bool {
        false
    }
}

struct Story {
    server: Server,
    key: PublicKey,
    host: Host,
    job: Job,
    person: Arc<Types>,
    _folder: tempfile::TempDir,
}

/// The host answers only once nothing more can come: what is asked has to be whole.
async fn story(types: &'static str, user: &str) -> Story {
    let play = |mut stream: russh::ChannelStream<russh::server::Msg>| {
        let playing = async move {
            let mut input = String::new();
            stream.read_to_string(&mut input).await.unwrap();
            let said = match input.as_str() {
                "" => "Welcome!\nlongshore-probe\n1000\nx86_64\n-\npassword\n",
                "right\n" => "0\n",
                _ => "",
            };
            stream.write_all(said.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        Box::pin(playing) as crate::ssh::test_server::Playing
    };
    let key = new_key();
    let server = Server::start(&key, Plays::Agent(Arc::new(play))).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = key.to_openssh(LineEnding::LF).unwrap();
    std::fs::write(path("id"), text.as_bytes()).unwrap();
    std::fs::write(path("config"), "IdentityFile %d/id\n").unwrap();
    let host = Host {
        name: HostName::new("web-1").unwrap(),
        address: server.address.to_string().parse().unwrap(),
        user: Some(user.to_owned()),
        roles: Vec::new(),
        host_keys: Vec::new(),
    };
    let print = server.host_key.fingerprint(HashAlg::Sha256).to_string();
    let given = vec![(host.name.clone(), print)];
    let person = Arc::new(Types(types, AtomicUsize::new(0)));
    let own = std::env::current_exe().unwrap();
    let job = Job {
        around: Arc::new(Surroundings {
            home: folder.path().to_owned(),
            config: path("config"),
            local_user: Some("me".to_owned()),
            forced_user: None,
            agent_socket: None,
        }),
        keyring: Arc::new(Keyring::new(Arc::new(NobodyToAsk))),
        agents: Arc::new(Carried::pack(Some(&own)).unwrap()),
        host_keys: Arc::new(HostKeys::new(given, Arc::new(NobodyThere))),
        passwords: Arc::default(),
        tell: person.clone(),
        login: None,
        first_login: None,
        mode: Mode::Change,
    };
    Story {
        server,
        key: key.public_key().clone(),
        host,
        job,
        person,
        _folder: folder,
    }
}

impl Story {
    async fn contact(&self) -> Result<Contact, Stopped> {
        contact::make(&self.job, &self.host).await
    }

    fn asked(&self) -> usize {
        self.person.1.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_once_proven_and_remembered_and_deploy_is_nobodys_own_login() {
    let story = story("right", "deploy").await;
    let contact = story.contact().await.unwrap();
    assert_eq!(contact.target.user, "me");
    assert_eq!(contact.password.as_deref(), Some("right"));
    let login_key = contact.session.login_key().map(PublicKey::key_data);
    assert_eq!(login_key, Some(story.key.key_data()));
    let again = contact::own_sudo(&story.job, &story.host, &contact, Asking::Never).await;
    assert_eq!(again.unwrap().password.as_deref(), Some("right"));
    assert_eq!(story.asked(), 1);
    let pinned = crate::ssh::key_line(&story.server.host_key);
    assert_eq!(
        story.job.host_keys.to_pin(),
        [(story.host.name.clone(), pinned)]
    );
    // In no list of processes.
    let commands = story.server.commands.lock().unwrap().join("\n");
    assert!(commands.contains("sudo -k -S") && !commands.contains("right"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_never_reached_root_is_not_taken_for_root() {
    let story = story("other", "ops1").await;
    let stopped = story.contact().await.err().unwrap();
    let what = stopped.failure.in_one_line();
    assert!(what.contains("tried: ops1, root"), "{what}");
    assert!(what.contains("ops1 can log in, and may not become root: sudo said nothing"));
    // What is vouched for holds nevertheless.
    assert_eq!(story.job.host_keys.to_pin().len(), 1);
}
