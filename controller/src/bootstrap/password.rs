//! Passwords for sudo: asked once for each host and user, checked at once, and kept in memory alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_shared::name::HostName;

use super::one_command::{self, Said};
use super::patience::telling;
use super::{Job, Tell};
use crate::ssh::Session;

/// Asks sudo for nothing but the proof. With `-k` it takes nobody's word but the password's.
const CHECK: &str = "sh -c 'LC_ALL=C sudo -k -S -p \"\" id -u'";
const MOST_TRIES: usize = 3;
/// Who proves passwords to sudo may be a directory far away, and a wrong one is answered late on
/// purpose. The person waits and is told so.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known of those who were asked.
#[derive(Debug, Default)]
pub(crate) struct Passwords(Mutex<HashMap<(HostName, String), Answer>>);

#[derive(Clone)]
enum Answer {
    Right(String),
    /// Not to be asked again.
    Without(NoPassword),
}

/// A password is shown nowhere.
impl std::fmt::Debug for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Right(_) => out.write_str("Right"),
            Self::Without(why) => why.fmt(out),
        }
    }
}

/// Whether the person may be asked: not while a host counts the seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    Allowed,
    Never,
}

/// Why somebody does not become root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoPassword {
    NobodyThere,
    Wrong,
    /// The password may be right, and root was not reached: what sudo said.
    NotRoot(String),
}

/// The password with which `user` really became root.
pub(super) async fn of(
    job: &Job,
    host: &HostName,
    user: &str,
    session: &Session,
    asking: Asking,
) -> Result<String, NoPassword> {
    match job.passwords.known(host, user) {
        Some(Answer::Right(password)) => return Ok(password),
        Some(Answer::Without(why)) => return Err(why),
        None if asking == Asking::Never => return Err(NoPassword::NobodyThere),
        None => {}
    }
    let answer = ask(job, host, user, session).await;
    match &answer {
        Ok(password) => {
            let right = Answer::Right(password.clone());
            job.passwords.keep(host, user, right);
        }
        // Bootstrap itself may put them into sudo.
        Err(NoPassword::NotRoot(_)) => {}
        Err(why) => {
            let without = Answer::Without(why.clone());
            job.passwords.keep(host, user, without);
        }
    }
    answer
}

async fn ask(
    job: &Job,
    host: &HostName,
    user: &str,
    session: &Session,
) -> Result<String, NoPassword> {
    for attempt in 1..=MOST_TRIES {
        let typed = typed(&job.tell, host, user).await;
        let password = typed.ok_or(NoPassword::NobodyThere)?;
        let input = format!("{password}\n");
        let check = one_command::run(session, CHECK, input.as_bytes(), PATIENCE);
        let what = || format!("sudo has not answered {user} yet");
        let said = telling(job.tell.as_ref(), host, what, check).await;
        match verdict(&said) {
            Verdict::Root => return Ok(password),
            Verdict::NotRoot => return Err(NoPassword::NotRoot(reason(&said))),
            Verdict::Wrong if attempt < MOST_TRIES => {
                let line = format!("wrong sudo password of {user} on {host}, try again");
                job.tell.say(host, &line);
            }
            Verdict::Wrong => {}
        }
    }
    Err(NoPassword::Wrong)
}

/// The person is asked beside the work: other hosts go on meanwhile.
async fn typed(tell: &Arc<dyn Tell>, host: &HostName, user: &str) -> Option<String> {
    let (tell, host, user) = (Arc::clone(tell), host.clone(), user.to_owned());
    let asked = tokio::task::spawn_blocking(move || tell.password(&user, &host));
    asked.await.ok().flatten()
}

/// A sudo that was silent is no sudo that said no.
fn reason(said: &Said) -> String {
    let words = said.last_words();
    if words.is_empty() {
        return format!("sudo said nothing: {}", said.how);
    }
    words
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Root,
    Wrong,
    NotRoot,
}

fn verdict(said: &Said) -> Verdict {
    let complaint = said.complaint.to_lowercase();
    let wrong = [
        "incorrect password",
        "try again",
        "incorrect authentication",
    ];
    if said.output.lines().any(|line| line.trim() == "0") {
        Verdict::Root
    } else if wrong.iter().any(|words| complaint.contains(words)) {
        Verdict::Wrong
    } else {
        Verdict::NotRoot
    }
}

impl Passwords {
    fn known(&self, host: &HostName, user: &str) -> Option<Answer> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(host.clone(), user.to_owned())).cloned()
    }

    fn keep(&self, host: &HostName, user: &str, answer: Answer) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((host.clone(), user.to_owned()), answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(output: &str, complaint: &str) -> Verdict {
        verdict(&Said {
            output: output.to_owned(),
            complaint: complaint.to_owned(),
            how: String::new(),
        })
    }

    #[test]
    fn only_root_itself_proves_a_password() {
        assert_eq!(said("Welcome!\n0\n", ""), Verdict::Root);
        assert_eq!(said("1000\n", ""), Verdict::NotRoot);
        let wrong = "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n";
        assert_eq!(said("", wrong), Verdict::Wrong);
        let refused = "dev1 is not in the sudoers file.\n";
        assert_eq!(said("", refused), Verdict::NotRoot);
    }

    #[test]
    fn a_password_is_in_no_log() {
        let passwords = Passwords::default();
        let host = HostName::new("web-1").unwrap();
        passwords.keep(&host, "ops1", Answer::Right("hunter2".to_owned()));
        assert!(!format!("{passwords:?}").contains("hunter2"));
    }
}
