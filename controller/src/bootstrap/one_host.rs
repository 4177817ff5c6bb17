//! One host, from first contact to the end.

use std::time::{Duration, Instant};

use longshore_shared::setup::{CONFIRM_SECONDS, Desired, FromSetup, Plan, SetupFailure, ToSetup};
use tokio::io::AsyncReadExt as _;

use super::carry;
use super::contact::{self, Contact};
use super::conversation::Conversation;
use super::outcome::{Ended, Outcome, Stopped};
use super::{Job, Mode, Wanted};
use crate::rollout::HostFailure;
use crate::ssh::{Session, key_line};

/// As many lines of a program as a person reads.
const KEPT_LINES: usize = 12;
/// Well before the host takes it back.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(CONFIRM_SECONDS / 2);
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);
/// After so long a person wonders.
const FIRST_WORD: Duration = Duration::from_secs(5);
const LONGEST_SILENCE: Duration = Duration::from_secs(20);
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
        host_key: None,
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
    if host.host_keys.is_empty() {
        ended.host_key = contact.session.host_key().map(key_line);
    }
    let mut desired = wanted.desired.clone();
    let shuts_root_out = desired.sshd.as_ref().is_some_and(|sshd| !sshd.root_login);
    desired.sudo_login = contact.by_sudo();
    desired.login_key = contact.session.login_key().map(key_line);
    if shuts_root_out && !desired.sudo_login {
        desired.sudo_login = closed(contact::own_sudo(job, host, &contact).await).await;
    }
    run(job, wanted, &contact, &mut desired, ended).await?;
    // Somebody who can become root may be there only now.
    if job.mode == Mode::Change && shuts_root_out && !desired.sudo_login {
        desired.sudo_login = closed(contact::own_sudo(job, host, &contact).await).await;
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

/// Whether there was one.
async fn closed(contact: Option<Contact>) -> bool {
    match contact {
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
    let mut conversation = Conversation::begin(contact, agent).await?;
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
        match conversation.hear().await? {
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
        let deadline = Instant::now() + CONFIRM_PATIENCE;
        loop {
            if self.confirm_once(token).await {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(CONFIRM_PAUSE).await;
        }
    }

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
                let Some(own) = contact::own_sudo(self.job, host, self.contact).await else {
                    return false;
                };
                (own.session, own.probed.way, own.password)
            }
        };
        let command = carry::installed(way, &format!("setup --confirm {token}"));
        let said = async {
            let mut stream = session.run(&command).await.ok()?;
            if let Some(password) = password {
                let line = format!("{password}\n");
                tokio::io::AsyncWriteExt::write_all(&mut stream, line.as_bytes())
                    .await
                    .ok()?;
            }
            let mut said = String::new();
            stream
                .take(64 * 1024)
                .read_to_string(&mut said)
                .await
                .ok()?;
            Some(said)
        };
        let said = said.await;
        session.close().await;
        said.is_some_and(|said| said.lines().any(|line| line == CONFIRMED))
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

fn out_of_turn() -> Stopped {
    Stopped::new(
        Outcome::Failed,
        "the host said something out of turn",
        "bootstrap again",
    )
}
