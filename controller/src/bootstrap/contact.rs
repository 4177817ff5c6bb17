//! The first contact with a host: whether it is the host, and as whom to log in.

use longshore_shared::setup::DEPLOY_ACCOUNT;

use super::Job;
use super::become_root::{PROBE, Probed, Way};
use super::one_command::{self, PATIENCE, Said};
use super::outcome::{Outcome, Stopped};
use super::password::{self, Asking, NoPassword};
use super::patience::telling;
use crate::inventory::{Host, is_user};
use crate::rollout::HostFailure;
use crate::ssh::{ConnectError, HostKeyError, HostTrust, Session, Target, fingerprint};

const ROOT: &str = "root";

/// A session with somebody who can become root.
pub(super) struct Contact {
    pub(super) session: Session,
    pub(super) target: Target,
    pub(super) probed: Probed,
    /// For sudo, where it asks for one.
    pub(super) password: Option<String>,
    /// Who was not let in. Hosts count that, and shut out whoever tries too often.
    pub(super) shut_out: Vec<String>,
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
    let mut refused = Vec::new();
    let mut shut_out = Vec::new();
    let mut trust = own.trust.clone();
    for user in logins(job, &own.user) {
        let mut target = own.clone();
        target.user.clone_from(&user);
        target.trust = trust.clone();
        match attempt(job, host, target, Asking::Allowed).await {
            Ok(contact) => {
                return Ok(Contact {
                    shut_out,
                    ..contact
                });
            }
            Err(Attempt::NotThem(stopped, vouched)) => {
                trust = vouched;
                refused.push((user, stopped));
            }
            Err(Attempt::ShutOut(stopped, vouched)) => {
                trust = vouched;
                shut_out.push(user.clone());
                refused.push((user, stopped));
            }
            Err(Attempt::Stopped(stopped)) => return Err(stopped),
        }
    }
    Err(nobody(refused))
}

/// As whom the person logs in where nothing else is said.
pub(super) fn own_user(job: &Job, host: &Host) -> Option<String> {
    Some(own_target(job, host).ok()?.user)
}

/// Whether the person's own login can become root, beside the one that is used: root was really reached.
pub(super) async fn own_sudo(
    job: &Job,
    host: &Host,
    contact: &Contact,
    asking: Asking,
) -> Option<Contact> {
    let mut target = own_target(job, host).ok()?;
    target.trust = contact.target.trust.clone();
    if matches!(target.user.as_str(), ROOT | DEPLOY_ACCOUNT) {
        return None;
    }
    attempt(job, host, target, asking).await.ok()
}

/// The account `deploy` can deploy and nothing else, though inventories and CI log in as it: then the
/// person's own name is what ~/.ssh/config says, or the one on this machine.
fn own_target(job: &Job, host: &Host) -> Result<Target, Stopped> {
    let wrong = |error| stopped_by(&ConnectError::from(error));
    let target = Target::of_host(host, &job.around).map_err(wrong)?;
    if target.user != DEPLOY_ACCOUNT {
        return Ok(target);
    }
    let mut around = (*job.around).clone();
    around.forced_user = None;
    let mut host = host.clone();
    host.user = None;
    // Where nothing else tells a name, the others are tried.
    Ok(Target::of_host(&host, &around).unwrap_or(target))
}

/// The person's own name comes first: it is right ever after the first time, and on a new host it
/// is only refused.
fn logins(job: &Job, own: &str) -> Vec<String> {
    if let Some(login) = &job.login {
        return vec![login.clone()];
    }
    let mut logins: Vec<String> = Vec::new();
    for login in [Some(own), job.first_login.as_deref(), Some(ROOT)]
        .into_iter()
        .flatten()
        .filter(|login| *login != DEPLOY_ACCOUNT)
    {
        if !logins.iter().any(|other| other == login) {
            logins.push(login.to_owned());
        }
    }
    logins
}

/// What all logins that were tried said.
fn nobody(mut refused: Vec<(String, Stopped)>) -> Stopped {
    if refused.len() == 1
        && let Some((_, only)) = refused.pop()
    {
        return only;
    }
    let users: Vec<&str> = refused.iter().map(|(user, _)| user.as_str()).collect();
    let what = format!("no login can become root; tried: {}", users.join(", "));
    let mut failure = HostFailure {
        what,
        ..HostFailure::default()
    };
    for (user, stopped) in &refused {
        let said = stopped.failure.in_one_line();
        failure.causes.push(format!("as {user}: {said}"));
        for hint in &stopped.failure.hints {
            if !failure.hints.contains(hint) {
                failure.hints.push(hint.clone());
            }
        }
    }
    Stopped {
        outcome: Outcome::Refused,
        failure: Box::new(failure),
    }
}

enum Attempt {
    /// The host is the right one, and another login may do.
    NotThem(Stopped, HostTrust),
    /// The same, and this one was not let in at all.
    ShutOut(Stopped, HostTrust),
    Stopped(Stopped),
}

async fn attempt(
    job: &Job,
    host: &Host,
    mut target: Target,
    asking: Asking,
) -> Result<Contact, Attempt> {
    let session = match connect(job, host, &target).await {
        Err(ConnectError::HostKey(HostKeyError::Unknown { shown, lookup })) => {
            let address = target.address();
            let keys = &job.host_keys;
            if asking == Asking::Never || !keys.vouched(&host.name, &address, &shown).await {
                if let Some(given) = keys.given_instead(&host.name) {
                    let what = format!(
                        "the host shows another key than was given for it: {}, and --host-key says {given}",
                        fingerprint(&shown)
                    );
                    let hint = "somebody may be in between, or it is another host's key: compare it with the host's console";
                    return Err(Attempt::Stopped(Stopped::new(Outcome::Refused, what, hint)));
                }
                let error = ConnectError::HostKey(HostKeyError::Unknown { shown, lookup });
                let mut stopped = stopped_by(&error);
                let or = format!(
                    "or say which it is: longshore bootstrap … --host-key {}=SHA256:…",
                    host.name
                );
                stopped.failure.hints.push(or);
                return Err(Attempt::Stopped(stopped));
            }
            let shown = *shown;
            target.trust = HostTrust::Pinned(vec![shown.clone()]);
            let session = connect(job, host, &target).await;
            if matches!(session, Ok(_) | Err(ConnectError::Authentication { .. })) {
                job.host_keys.proven(host, &shown);
            }
            session
        }
        connected => connected,
    };
    let session = match session {
        Ok(session) => session,
        Err(error @ ConnectError::Authentication { .. }) => {
            return Err(Attempt::ShutOut(stopped_by(&error), target.trust));
        }
        Err(error) => return Err(Attempt::Stopped(stopped_by(&error))),
    };
    if let Some(key) = session.host_key() {
        job.host_keys.proven(host, key);
    }
    match root(job, host, &target.user, &session, asking).await {
        Ok((probed, password)) => Ok(Contact {
            session,
            target,
            probed,
            password,
            shut_out: Vec::new(),
        }),
        Err(stopped) => {
            session.close().await;
            Err(match stopped {
                NotRoot::Other(stopped) => Attempt::NotThem(stopped, target.trust),
                NotRoot::End(stopped) => Attempt::Stopped(stopped),
            })
        }
    }
}

async fn connect(job: &Job, host: &Host, target: &Target) -> Result<Session, ConnectError> {
    let what = || format!("still connecting as {}", target.user);
    let work = Session::connect(target, &job.keyring);
    telling(job.tell.as_ref(), &host.name, what, work).await
}

enum NotRoot {
    /// Somebody else may be let further.
    Other(Stopped),
    End(Stopped),
}

/// How somebody who was let in becomes root, and the password that has proven it.
async fn root(
    job: &Job,
    host: &Host,
    user: &str,
    session: &Session,
    asking: Asking,
) -> Result<(Probed, Option<String>), NotRoot> {
    let what = || format!("{user} is let in, and gets no answer yet");
    let work = one_command::run(session, PROBE, b"", PATIENCE);
    let said = telling(job.tell.as_ref(), &host.name, what, work).await;
    let Some(probed) = Probed::read(&said.output) else {
        if session.is_closed() {
            let what = format!("the connection was lost as soon as {user} was let in");
            let stopped = Stopped::new(Outcome::Unreachable, what, "bootstrap again");
            return Err(NotRoot::End(stopped));
        }
        return Err(NotRoot::Other(no_shell(user, &said)));
    };
    let may_not = |why: &str| {
        let what = format!("{user} can log in, and may not become root{why}");
        let hint = "log in with --login as root, or as somebody in group sudo";
        NotRoot::Other(Stopped::new(Outcome::Refused, what, hint))
    };
    match probed.way {
        Way::IsRoot | Way::Sudo => return Ok((probed, None)),
        Way::None => return Err(may_not("")),
        Way::SudoWithPassword => {}
    }
    let other = "run it at a terminal, or log in with --login as root or as somebody whose sudo asks for none";
    match password::of(job, &host.name, user, session, asking).await {
        Ok(password) => Ok((probed, Some(password))),
        Err(NoPassword::NotRoot(said)) => Err(may_not(&format!(": {said}"))),
        Err(NoPassword::NobodyThere) => {
            let what = format!("sudo asks {user} for a password, and nobody is there to type it");
            Err(NotRoot::Other(Stopped::new(Outcome::Refused, what, other)))
        }
        Err(NoPassword::Wrong) => {
            let what = format!("wrong sudo password of {user} on {}", host.name);
            let hint =
                "bootstrap again with the right one, or log in with --login as somebody else";
            Err(NotRoot::End(Stopped::new(Outcome::Refused, what, hint)))
        }
    }
}

/// A login that runs no command of ours: it may be for a message alone, as root's is on cloud images.
fn no_shell(user: &str, said: &Said) -> Stopped {
    let words = said.last_words();
    let what = match words.as_str() {
        "" => format!("{user} is let in, and runs no command: {}", said.how),
        words => format!("{user} is let in, and runs no command; the host says: {words}"),
    };
    let hint = match named_instead(&words) {
        Some(other) => format!("log in as that user: --login {other}"),
        None => format!("log in with --login as somebody else, or see what `ssh {user}@…` says"),
    };
    Stopped::new(Outcome::Refused, what, hint)
}

/// `Please login as the user "admin" rather than the user "root".`
fn named_instead(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once("login as the user \"")?;
    let (user, _) = rest.split_once('"')?;
    Some(user).filter(|user| is_user(user) && *user != "NONE")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_for_a_message_alone_is_shown_and_names_the_right_one() {
        let said = Said {
            output: "Please login as the user \"admin\" rather than the user \"root\".\n\n".into(),
            how: "it ended with status 142".into(),
            ..Said::default()
        };
        let stopped = no_shell("root", &said);
        assert!(stopped.failure.what.contains("Please login as the user"));
        assert_eq!(
            stopped.failure.hints,
            ["log in as that user: --login admin"]
        );
        let silent = Said {
            how: "it did not end within 15 s".into(),
            ..Said::default()
        };
        assert!(
            no_shell("root", &silent)
                .failure
                .what
                .contains("within 15 s")
        );
        assert_eq!(named_instead("login as the user \"$(reboot)\""), None);
    }

    #[test]
    fn all_who_were_tried_are_named_with_what_they_were_told() {
        let refused = ["ops1", "root"].map(|user| {
            let what = format!("{user}@web-1:22 was not let in");
            (
                user.to_owned(),
                Stopped::new(Outcome::Refused, what, "Tried: a"),
            )
        });
        let failure = nobody(refused.into()).failure;
        assert!(failure.what.contains("ops1, root"), "{}", failure.what);
        assert_eq!(failure.causes[1], "as root: root@web-1:22 was not let in");
        assert_eq!(failure.hints, ["Tried: a"]);
        let one = vec![("a".to_owned(), Stopped::new(Outcome::Refused, "no", "b"))];
        assert_eq!(nobody(one).failure.what, "no");
    }
}
