//! One host, from first contact to the end.

use std::iter::repeat;
use std::time::{Duration, Instant};

use longshore_shared::setup::{CONFIRM_SECONDS, Desired, FromSetup, Plan, SetupFailure, ToSetup};

use super::carry;
use super::contact::{self, Contact};
use super::conversation::Conversation;
use super::one_command::{self, PATIENCE};
use super::outcome::{Ended, Outcome, Stopped};
use super::password::Asking;
use super::patience::{FIRST_WORD, LONGEST_SILENCE, telling};
use super::{Job, Mode, Wanted};
use crate::rollout::HostFailure;
use crate::ssh::{Session, key_line};

/// As many lines of a program as a person reads.
const KEPT_LINES: usize = 12;
/// Well before the host takes it back.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(CONFIRM_SECONDS / 2);
const CONFIRM_PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
const CONFIRMED: &str = "confirmed";

/// Never fails for itself: what went wrong is in what it gives back.
pub(crate) async fn bootstrap(job: Job, wanted: Wanted) -> Ended {
    let begun = Instant::now();
    let mut ended = Ended {
        host: wanted.host.name.clone(),
        outcome: Outcome::Unchanged,
        made: 0,
        changes: Vec::new(),
        notes: Vec::new(),
        lacks: Vec::new(),
        missed: Vec::new(),
        failure: None,
        seconds: 0.0,
    };
    if let Err(stopped) = whole(&job, &wanted, &mut ended).await {
        ended.outcome = stopped.outcome;
        ended.failure = Some(*stopped.failure);
    }
    ended.seconds = begun.elapsed().as_secs_f64();
    ended
}

async fn whole(job: &Job, wanted: &Wanted, ended: &mut Ended) -> Result<(), Stopped> {
    let host = &wanted.host;
    let contact = contact::make(job, host).await?;
    let mut desired = wanted.desired.clone();
    let shuts_root_out = desired.sshd.as_ref().is_some_and(|sshd| !sshd.root_login);
    desired.sudo_login = contact.by_sudo();
    desired.login_key = contact.session.login_key().map(key_line);
    let own = contact::own_user(job, host);
    let was_refused = own
        .as_ref()
        .is_some_and(|own| contact.shut_out.contains(own));
    if shuts_root_out && !desired.sudo_login && !was_refused {
        desired.sudo_login = own_sudo(job, wanted, &contact).await;
    }
    run(job, wanted, &contact, &mut desired, ended).await?;
    // Somebody who can become root may be there only now.
    let may_now = !was_refused
        || desired
            .people
            .iter()
            .any(|one| Some(&one.name) == own.as_ref());
    if job.mode == Mode::Change && shuts_root_out && !desired.sudo_login && may_now {
        desired.sudo_login = own_sudo(job, wanted, &contact).await;
        if desired.sudo_login {
            // An authority that refused just now is not asked again at once.
            desired.acme = desired.acme.filter(|_| ended.missed.is_empty());
            let missed = std::mem::take(&mut ended.missed);
            run(job, wanted, &contact, &mut desired, ended).await?;
            ended.missed.splice(0..0, missed);
        }
    }
    contact.session.close().await;
    match refused_in_part(&ended.missed) {
        Some(stopped) => Err(stopped),
        None => Ok(()),
    }
}

/// What could not be done although all else was.
fn refused_in_part(missed: &[SetupFailure]) -> Option<Stopped> {
    let (first, others) = missed.split_first()?;
    Some(Stopped {
        outcome: Outcome::Failed,
        failure: Box::new(HostFailure {
            what: format!("{}. Everything else of the host is set up", first.what),
            causes: others.iter().map(|other| other.what.clone()).collect(),
            hints: missed.iter().map(|one| one.next.clone()).collect(),
            ..HostFailure::default()
        }),
    })
}

/// Whether the person's own login has become root.
async fn own_sudo(job: &Job, wanted: &Wanted, contact: &Contact) -> bool {
    match contact::own_sudo(job, &wanted.host, contact, Asking::Allowed).await {
        Some(contact) => {
            contact.session.close().await;
            true
        }
        None => false,
    }
}

async fn run(
    job: &Job,
    wanted: &Wanted,
    contact: &Contact,
    desired: &mut Desired,
    ended: &mut Ended,
) -> Result<(), Stopped> {
    let machine = &contact.probed.machine;
    let Some(agent) = job.agents.of(machine) else {
        return Err(Stopped::new(
            Outcome::Refused,
            format!(
                "the host's processor is {machine}, and the agents at hand are for {}",
                job.agents.machines()
            ),
            "bring one for it along with --agent FILE",
        ));
    };
    desired.agent = agent.digest;
    let (tell, host) = (job.tell.as_ref(), &wanted.host.name);
    let mut conversation = Conversation::begin(tell, host, contact, agent).await?;
    conversation
        .say(&ToSetup::Desired(Box::new(desired.clone())))
        .await?;
    let mut following = Following {
        job,
        wanted,
        contact,
        said: Vec::new(),
        doing: None,
        begun: Instant::now(),
        wonder_at: Instant::now() + FIRST_WORD,
    };
    let plan = following.plan(&mut conversation).await?;
    job.tell.plan(&wanted.host.name, &plan);
    ended.changes.extend(plan.changes.iter().cloned());
    ended.notes = plan.notes;
    ended.lacks = plan.lacks;
    if !plan.problems.is_empty() {
        conversation.end().await;
        return Err(refused(&plan.problems));
    }
    if job.mode == Mode::Plan {
        conversation.end().await;
        if !ended.changes.is_empty() || !ended.lacks.is_empty() {
            ended.outcome = Outcome::Differs;
        }
        return Ok(());
    }
    conversation.say(&ToSetup::Go).await?;
    let followed = following.follow(&mut conversation, ended).await;
    conversation.end().await;
    followed?;
    if ended.made > 0 {
        ended.outcome = Outcome::Changed;
    }
    Ok(())
}

fn refused(problems: &[SetupFailure]) -> Stopped {
    let mut what = problems.iter().map(|problem| problem.what.clone());
    Stopped {
        outcome: Outcome::Refused,
        failure: Box::new(HostFailure {
            what: what.next().unwrap_or_default(),
            causes: what.collect(),
            hints: problems
                .iter()
                .map(|problem| problem.next.clone())
                .collect(),
            ..HostFailure::default()
        }),
    }
}

/// What is heard of one run.
struct Following<'a> {
    job: &'a Job,
    wanted: &'a Wanted,
    contact: &'a Contact,
    said: Vec<String>,
    doing: Option<String>,
    begun: Instant,
    /// When a person would wonder whether anything happens.
    wonder_at: Instant,
}

impl Following<'_> {
    async fn plan(&mut self, conversation: &mut Conversation) -> Result<Plan, Stopped> {
        let (tell, host) = (self.job.tell.as_ref(), &self.wanted.host.name);
        let what = || "still looking at what is there".to_owned();
        match telling(tell, host, what, conversation.hear()).await? {
            FromSetup::Plan(plan) => Ok(plan),
            FromSetup::Failed(failure) => Err(self.failed(failure)),
            _ => Err(out_of_turn()),
        }
    }

    async fn follow(
        &mut self,
        conversation: &mut Conversation,
        ended: &mut Ended,
    ) -> Result<(), Stopped> {
        loop {
            match self.next(conversation).await? {
                FromSetup::Begin(what) => {
                    self.job
                        .tell
                        .detail(&self.wanted.host.name, &format!("making {what}"));
                    self.said.clear();
                    self.begun = Instant::now();
                    self.wonder_at = self.begun + FIRST_WORD;
                    self.doing = Some(what);
                }
                FromSetup::Said(line) => {
                    self.job.tell.detail(&self.wanted.host.name, &line);
                    self.said.push(line);
                    if self.said.len() > KEPT_LINES {
                        self.said.remove(0);
                    }
                }
                FromSetup::Waiting(why) => self.job.tell.say(&self.wanted.host.name, &why),
                FromSetup::Confirm { token } if !is_token(&token) => return Err(out_of_turn()),
                FromSetup::Confirm { token } => {
                    let confirmed = self.confirm(&token).await;
                    conversation.say(&ToSetup::Confirmed(confirmed)).await?;
                }
                FromSetup::Missed(failure) => {
                    let line = format!("left undone: {}", failure.what);
                    self.job.tell.say(&self.wanted.host.name, &line);
                    ended.missed.push(failure);
                }
                FromSetup::Done {
                    changes,
                    notes,
                    lacks,
                } => {
                    ended.made += changes;
                    (ended.notes, ended.lacks) = (notes, lacks);
                    return Ok(());
                }
                FromSetup::Failed(failure) => return Err(self.failed(failure)),
                FromSetup::Plan(_) => return Err(out_of_turn()),
            }
        }
    }

    /// The next message; what takes long is said to take long.
    async fn next(&mut self, conversation: &mut Conversation) -> Result<FromSetup, Stopped> {
        let hear = conversation.hear();
        tokio::pin!(hear);
        loop {
            tokio::select! {
                message = &mut hear => return message,
                () = tokio::time::sleep_until(self.wonder_at.into()) => {}
            }
            self.wonder_at = Instant::now() + LONGEST_SILENCE;
            if let Some(doing) = &self.doing {
                let seconds = self.begun.elapsed().as_secs();
                let line = format!("still making {doing} ({seconds} s)");
                self.job.tell.say(&self.wanted.host.name, &line);
            }
        }
    }

    /// Calls the host anew, as it can be called from now on. An sshd that was just reloaded does not
    /// listen for a moment.
    async fn confirm(&self, token: &str) -> bool {
        let deadline = tokio::time::Instant::now() + CONFIRM_PATIENCE;
        for pause in CONFIRM_PAUSES.into_iter().chain(repeat(LONGEST_PAUSE)) {
            // One that hangs is no reason to miss the host's minute.
            let tried = tokio::time::timeout_at(deadline, self.confirm_once(token));
            match tried.await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(_) => return false,
            }
            if tokio::time::Instant::now() + pause >= deadline {
                return false;
            }
            tokio::time::sleep(pause).await;
        }
        false
    }

    /// Asks the person nothing: the host counts the seconds.
    async fn confirm_once(&self, token: &str) -> bool {
        let same = Session::connect(&self.contact.target, &self.job.keyring).await;
        let (session, way, password) = match same {
            Ok(session) => (
                session,
                self.contact.probed.way,
                self.contact.password.clone(),
            ),
            Err(_) => {
                let host = &self.wanted.host;
                let own = contact::own_sudo(self.job, host, self.contact, Asking::Never);
                let Some(own) = own.await else {
                    return false;
                };
                (own.session, own.probed.way, own.password)
            }
        };
        let command = carry::installed(way, &format!("setup --confirm {token}"));
        let password = password.map(|password| format!("{password}\n"));
        let input = password.as_deref().unwrap_or_default().as_bytes();
        let said = one_command::run(&session, &command, input, PATIENCE).await;
        session.close().await;
        said.output.lines().any(|line| line == CONFIRMED)
    }

    fn failed(&self, failure: SetupFailure) -> Stopped {
        let what = match &self.doing {
            Some(doing) => format!("{doing}: {}", failure.what),
            None => failure.what,
        };
        Stopped {
            outcome: Outcome::Failed,
            failure: Box::new(HostFailure {
                what,
                log: self.said.clone(),
                hints: vec![failure.next],
                ..HostFailure::default()
            }),
        }
    }
}

/// It becomes a word of a command.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

fn out_of_turn() -> Stopped {
    Stopped::new(
        Outcome::Failed,
        "the host said something out of turn",
        "bootstrap again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_no_command() {
        assert!(is_token("1234-5678"));
        for wrong in ["", "1;reboot", "$(id)", "1 2", "a"] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }
}
