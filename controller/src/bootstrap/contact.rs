//! The first contact with a host: whether it is the host, and as whom to log in.

use std::sync::Mutex;

use longshore_shared::name::HostName;
use russh::keys::{HashAlg, PublicKey};
use tokio::io::AsyncReadExt as _;

use super::Job;
use super::become_root::{PROBE, Probed, Way};
use super::outcome::{Outcome, Stopped};
use crate::inventory::Host;
use crate::rollout::HostFailure;
use crate::ssh::{ConnectError, HostKeyError, HostTrust, Session, Target, fingerprint};

const ROOT: &str = "root";
/// More than a login script and a probe print.
const LONGEST_PROBE: u64 = 64 * 1024;

/// Host keys that a person vouches for.
pub(crate) struct HostKeys {
    /// Fingerprints `SHA256:…` or whole keys, from `--host-key`.
    given: Vec<String>,
    ask: Box<dyn AskHostKey>,
    /// One question at a time.
    asking: Mutex<()>,
}

/// Asks the person whether a key is the host's.
pub(crate) trait AskHostKey: Send + Sync {
    fn is_it(&self, host: &HostName, address: &str, fingerprint: &str) -> bool;
}

impl HostKeys {
    pub(crate) fn new(given: Vec<String>, ask: Box<dyn AskHostKey>) -> Self {
        Self {
            given,
            ask,
            asking: Mutex::new(()),
        }
    }

    fn vouched(&self, shown: &PublicKey) -> bool {
        let fingerprint = shown.fingerprint(HashAlg::Sha256).to_string();
        self.given.iter().any(|given| {
            let given = given.trim();
            let whole = PublicKey::from_openssh(given);
            given == fingerprint || whole.is_ok_and(|key| key.key_data() == shown.key_data())
        })
    }
}

/// A session with somebody who can become root.
pub(super) struct Contact {
    pub(super) session: Session,
    pub(super) target: Target,
    pub(super) probed: Probed,
    /// For sudo, where it asks for one.
    pub(super) password: Option<String>,
}

impl Contact {
    /// Whether somebody who is not root has become root.
    pub(super) fn by_sudo(&self) -> bool {
        self.probed.way != Way::IsRoot
    }
}

/// Logs in as the first who can become root.
pub(super) async fn make(job: &Job, host: &Host) -> Result<Contact, Stopped> {
    let own = own_target(job, host)?;
    let mut refused = None;
    let mut trust = own.trust.clone();
    for user in logins(job, &own.user) {
        let mut target = own.clone();
        target.user = user;
        target.trust = trust.clone();
        match attempt(job, host, target).await {
            Ok(contact) => return Ok(contact),
            Err(Attempt::NotThem(stopped, vouched)) => {
                trust = vouched;
                // What the person's own login lacks says more than that there is no other.
                refused.get_or_insert(stopped);
            }
            Err(Attempt::Stopped(stopped)) => return Err(stopped),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Stopped::new(
            Outcome::Refused,
            "nobody was tried",
            "name somebody with --login",
        )
    }))
}

/// Whether the person's own login can become root, beside the one that is used.
pub(super) async fn own_sudo(job: &Job, host: &Host, contact: &Contact) -> Option<Contact> {
    let mut target = own_target(job, host).ok()?;
    target.trust = contact.target.trust.clone();
    if target.user == ROOT {
        return None;
    }
    attempt(job, host, target).await.ok()
}

fn own_target(job: &Job, host: &Host) -> Result<Target, Stopped> {
    Target::of_host(host, &job.around).map_err(|error| stopped_by(&ConnectError::from(error)))
}

/// The person's own name comes first: it is right ever after the first time, and on a new host it
/// is only refused.
fn logins(job: &Job, own: &str) -> Vec<String> {
    if let Some(login) = &job.login {
        return vec![login.clone()];
    }
    let mut logins = vec![own.to_owned()];
    for other in [job.first_login.as_deref(), Some(ROOT)]
        .into_iter()
        .flatten()
    {
        if !logins.iter().any(|login| login == other) {
            logins.push(other.to_owned());
        }
    }
    logins
}

enum Attempt {
    /// The host is the right one, and another login may do.
    NotThem(Stopped, HostTrust),
    Stopped(Stopped),
}

async fn attempt(job: &Job, host: &Host, mut target: Target) -> Result<Contact, Attempt> {
    let session = match Session::connect(&target, &job.keyring).await {
        Err(ConnectError::HostKey(HostKeyError::Unknown { shown, lookup })) => {
            if !is_vouched(job, host, &target, &shown) {
                let error = ConnectError::HostKey(HostKeyError::Unknown { shown, lookup });
                let mut stopped = stopped_by(&error);
                let or = "or say which it is: longshore bootstrap … --host-key SHA256:…";
                stopped.failure.hints.push(or.to_owned());
                return Err(Attempt::Stopped(stopped));
            }
            target.trust = HostTrust::Pinned(vec![*shown]);
            Session::connect(&target, &job.keyring).await
        }
        connected => connected,
    };
    let session = match session {
        Ok(session) => session,
        Err(error @ ConnectError::Authentication { .. }) => {
            return Err(Attempt::NotThem(stopped_by(&error), target.trust));
        }
        Err(error) => return Err(Attempt::Stopped(stopped_by(&error))),
    };
    let probed = probe(&session).await.map_err(Attempt::Stopped)?;
    let user = target.user.clone();
    let Some(probed) = probed.filter(|probed| probed.way != Way::None) else {
        session.close().await;
        let stopped = Stopped::new(
            Outcome::Refused,
            format!("{user} can log in, and may not become root"),
            "log in with --login as root, or as somebody in group sudo",
        );
        return Err(Attempt::NotThem(stopped, target.trust));
    };
    let password = match probed.way {
        Way::SudoWithPassword => {
            let password = job.tell.password(&user, &host.name);
            let hint = "run it at a terminal, or log in with --login as root or as somebody whose sudo asks for none";
            Some(password.ok_or_else(|| {
                let what =
                    format!("sudo asks {user} for a password, and nobody is there to type it");
                Attempt::Stopped(Stopped::new(Outcome::Refused, what, hint))
            })?)
        }
        _ => None,
    };
    Ok(Contact {
        session,
        target,
        probed,
        password,
    })
}

fn is_vouched(job: &Job, host: &Host, target: &Target, shown: &PublicKey) -> bool {
    if job.host_keys.vouched(shown) {
        return true;
    }
    let _one_at_a_time = job.host_keys.asking.lock();
    let asked = &job.host_keys.ask;
    asked.is_it(&host.name, &target.address(), &fingerprint(shown))
}

async fn probe(session: &Session) -> Result<Option<Probed>, Stopped> {
    let lost = |what: String| Stopped::new(Outcome::Unreachable, what, "bootstrap again");
    let stream = session
        .run(PROBE)
        .await
        .map_err(|error| lost(error.to_string()))?;
    let mut said = Vec::new();
    stream
        .take(LONGEST_PROBE)
        .read_to_end(&mut said)
        .await
        .map_err(|error| lost(error.to_string()))?;
    Ok(Probed::read(&String::from_utf8_lossy(&said)))
}

pub(super) fn stopped_by(error: &ConnectError) -> Stopped {
    let outcome = match error {
        error if error.is_refusal() => Outcome::Refused,
        _ => Outcome::Unreachable,
    };
    let failure = Box::new(HostFailure {
        hints: error.hints(),
        ..HostFailure::of_error(error)
    });
    Stopped { outcome, failure }
}
