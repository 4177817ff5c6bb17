//! The line to one host's agent for the length of a command: kept open, and made anew when it
//! breaks while the host works on.

use std::sync::Arc;
use std::time::Duration;

use longshore_shared::name::{EnvironmentName, HostName};
use longshore_shared::wire::latest::{Ask, Failed, Hello, Order, Reply};
use thiserror::Error;
use tokio::time::Instant;

use super::interrupt::Interrupts;
use super::outcome::{FailureKind, HostFailure, Outcome};
use super::payload;
use super::shipment::Shipment;
use crate::agent_client::{AgentClient, ClientError, Expected, Heard};
use crate::event::{HostEvent, Report, RunEvent, Sending};
use crate::inventory::Host;
use crate::ssh::{
    AgentGone, AgentStream, ConnectError, Ending, Keyring, OpenError, Session, Surroundings, Target,
};

/// How long a lost host is called again while it works on an operation.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(60);
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// A line that breaks so often is no line.
const MOST_CALLS: usize = 50;
/// How long saying good-bye may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What is needed to reach hosts, the same for all of them.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) report: Arc<dyn Report>,
    pub(crate) environment: EnvironmentName,
}

/// Why a host cannot be talked to.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Gone(#[from] AgentGone),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the connection was lost while the host worked, and it could not be reached again")]
    Lost(#[source] Box<LinkError>),
}

/// An open line.
pub(crate) struct HostLink {
    reach: Reach,
    target: Target,
    expected: Expected,
    session: Session,
    client: AgentClient<AgentStream>,
    ending: Ending,
    /// The lock that this line holds, to be taken again after the line was lost.
    lock: Option<Order>,
    lock_lost: bool,
    shipped: u64,
    /// How often the host was called again.
    calls: usize,
}

impl HostLink {
    pub(crate) async fn open(reach: &Reach, host: &Host) -> Result<Self, LinkError> {
        let target = Target::of_host(host, &reach.around).map_err(ConnectError::from)?;
        let expected = Expected {
            host: host.name.clone(),
            environment: reach.environment.clone(),
        };
        let session = Session::connect(&target, &reach.keyring).await?;
        let (client, ending) = greet(&session, &expected).await?;
        let hello = client.hello();
        reach.report.event(RunEvent::Host {
            host: host.name.clone(),
            what: HostEvent::Connected {
                agent: hello.agent.clone(),
                user: hello.user.clone(),
            },
        });
        Ok(HostLink {
            reach: reach.clone(),
            target,
            expected,
            session,
            client,
            ending,
            lock: None,
            lock_lost: false,
            shipped: 0,
            calls: 0,
        })
    }

    pub(crate) fn hello(&self) -> &Hello {
        self.client.hello()
    }

    /// Gives an order and follows it to its reply. A staging that the host never began, since the line
    /// broke before, is told as one that would go on.
    pub(crate) async fn order(
        &mut self,
        order: Order,
        shipment: Option<&Shipment>,
        interrupts: &Interrupts,
    ) -> Result<Reply, LinkError> {
        let stages = matches!(order, Order::Stage { .. });
        match self.order_once(order, shipment, interrupts).await {
            Err(LinkError::Gone(gone)) if stages && gone.may_pass() => {
                self.call_again(None, interrupts).await?;
                Ok(Reply::Failed(Failed {
                    what: gone.to_string(),
                    next: "run the same command again".to_owned(),
                    live: None,
                    log: Vec::new(),
                    probe: None,
                    cancelled: false,
                    resumable: true,
                }))
            }
            ordered => ordered,
        }
    }

    async fn order_once(
        &mut self,
        order: Order,
        shipment: Option<&Shipment>,
        interrupts: &Interrupts,
    ) -> Result<Reply, LinkError> {
        if self.lock_lost
            && let Some(lock) = self.lock.clone()
        {
            let reply = self.follow(lock, None, interrupts).await?;
            if reply != Reply::Locked {
                return Ok(reply);
            }
            self.lock_lost = false;
        }
        let lock = matches!(order, Order::Lock { .. }).then(|| order.clone());
        let reply = self.follow(order, shipment, interrupts).await?;
        if reply == Reply::Locked {
            self.lock = lock;
        }
        Ok(reply)
    }

    async fn follow(
        &mut self,
        order: Order,
        shipment: Option<&Shipment>,
        interrupts: &Interrupts,
    ) -> Result<Reply, LinkError> {
        let mut operation = None;
        let mut cancelled = false;
        let mut sending = Sending {
            release: shipment.map_or(0, |s| s.signed().manifest().tree.bytes),
            sent: self.shipped,
            ..Sending::default()
        };
        if let Err(error) = self.client.order(order).await {
            return Err(self.explain(error).await);
        }
        loop {
            let heard = tokio::select! {
                heard = self.client.next() => heard,
                () = interrupts.asked(), if !cancelled => {
                    cancelled = true;
                    // If the line is gone, the next read says so.
                    drop(self.client.cancel().await);
                    continue;
                }
            };
            let failed = match heard {
                Ok(Heard::Reply(reply)) => return Ok(reply),
                Ok(Heard::Begun(id)) => {
                    operation = Some(id);
                    continue;
                }
                Ok(Heard::Event(event)) => {
                    self.say(HostEvent::Step {
                        step: event.step,
                        state: event.state,
                        detail: event.detail,
                    });
                    continue;
                }
                Ok(Heard::Log(lines)) => {
                    self.say(HostEvent::Log(lines));
                    continue;
                }
                Ok(Heard::Ask(ask)) => {
                    let Some(shipment) = shipment else {
                        return Err(ClientError::UnknownAnswer.into());
                    };
                    let answered = self.answer(shipment, ask, &mut sending, interrupts).await;
                    match answered {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            match (failed, operation) {
                (ClientError::Ended, Some(id)) => self.call_again(Some(id), interrupts).await?,
                (error, _) => return Err(self.explain(error).await),
            }
        }
    }

    /// Sends what the host asks for.
    async fn answer(
        &mut self,
        shipment: &Shipment,
        ask: Ask,
        sending: &mut Sending,
        interrupts: &Interrupts,
    ) -> Result<(), ClientError> {
        // The list is a part of the release that counts as nothing.
        let content = matches!(ask, Ask::Contents { .. });
        if let Ask::Contents { bytes, .. } = ask {
            let lacking = sending.covered.saturating_add(bytes).min(sending.release);
            sending.lacking = sending.lacking.max(lacking);
        }
        let before = sending.covered;
        let (reach, host, shipped) = (&self.reach, &self.expected.host, &mut self.shipped);
        let chunks = payload::chunks(shipment.clone(), ask);
        let tell = |bytes, covered| {
            *shipped += bytes;
            sending.sent += bytes;
            if content {
                sending.covered = before + covered;
                reach.report.event(RunEvent::Host {
                    host: host.clone(),
                    what: HostEvent::Sending(*sending),
                });
            }
        };
        self.client
            .answer(chunks, tell, || interrupts.is_asked())
            .await
    }

    /// How many bytes of releases went over this line.
    pub(crate) fn shipped(&self) -> u64 {
        self.shipped
    }

    /// Calls the host again, and follows the operation that it works on, if there is one.
    async fn call_again(
        &mut self,
        operation: Option<u64>,
        interrupts: &Interrupts,
    ) -> Result<(), LinkError> {
        self.calls += 1;
        if self.calls > MOST_CALLS {
            return Err(AgentGone::Lost.into());
        }
        self.say(HostEvent::Reconnecting);
        let until = Instant::now() + RECONNECT_PATIENCE;
        loop {
            let attempt = async {
                if self.session.is_closed() {
                    self.session = Session::connect(&self.target, &self.reach.keyring).await?;
                }
                let (client, ending) = greet(&self.session, &self.expected).await?;
                self.client = client;
                self.ending = ending;
                if let Some(operation) = operation {
                    self.client.order(Order::Attach { operation }).await?;
                }
                self.lock_lost = true;
                Ok::<(), LinkError>(())
            };
            let error = match attempt.await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if Instant::now() >= until || interrupts.is_asked() {
                return Err(LinkError::Lost(Box::new(error)));
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    fn say(&self, what: HostEvent) {
        let host: HostName = self.expected.host.clone();
        self.reach.report.event(RunEvent::Host { host, what });
    }

    async fn explain(&self, error: ClientError) -> LinkError {
        match error {
            ClientError::Ended => self.ending.explain().await.into(),
            error => error.into(),
        }
    }

    /// Ends the session; whatever was locked is free again.
    pub(crate) async fn close(self) {
        let traffic = self.session.traffic();
        self.say(HostEvent::Traffic {
            sent: traffic.sent(),
            received: traffic.received(),
        });
        drop(self.client);
        drop(tokio::time::timeout(CLOSE_PATIENCE, self.session.close()).await);
    }
}

async fn greet(
    session: &Session,
    expected: &Expected,
) -> Result<(AgentClient<AgentStream>, Ending), LinkError> {
    let stream = session.open_agent().await?;
    let ending = stream.ending();
    match AgentClient::greet(stream, expected).await {
        Ok(client) => Ok((client, ending)),
        Err(ClientError::Ended) => Err(ending.explain().await.into()),
        Err(error) => Err(error.into()),
    }
}

impl LinkError {
    /// What this makes of a host that nothing was changed on. Only a host that cannot be reached may
    /// be left out: one that is not who it should be, or says no, never.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            LinkError::Connect(error) if error.is_refusal() => Outcome::Refused,
            LinkError::Connect(_) | LinkError::Lost(_) => Outcome::Unreachable,
            LinkError::Open(_) => Outcome::Refused,
            LinkError::Gone(gone) => match gone {
                AgentGone::SocketDenied { .. } | AgentGone::NoAgent => Outcome::Refused,
                AgentGone::NotRunning { .. } | AgentGone::Ended { .. } | AgentGone::Lost => {
                    Outcome::Unreachable
                }
            },
            LinkError::Client(error) => match error {
                ClientError::AgentTooOld { .. }
                | ClientError::AgentTooNew { .. }
                | ClientError::Unfit { .. }
                | ClientError::OtherHost { .. }
                | ClientError::OtherEnvironment { .. } => Outcome::Refused,
                ClientError::Silent | ClientError::Ended => Outcome::Unreachable,
                ClientError::Codec(_)
                | ClientError::NoHello
                | ClientError::UnknownAnswer
                | ClientError::Talks
                | ClientError::Source(_) => Outcome::Failed,
            },
        }
    }

    pub(crate) fn failure(&self) -> HostFailure {
        HostFailure {
            hints: self.hints(),
            kind: match self {
                LinkError::Connect(_) => FailureKind::Unreachable,
                _ => FailureKind::Failed,
            },
            ..HostFailure::of_error(self)
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            LinkError::Connect(error) => error.hints(),
            LinkError::Gone(error) => error.hints(),
            LinkError::Client(error) => error.hints(),
            LinkError::Open(_) => Vec::new(),
            LinkError::Lost(_) => vec![
                "The host finishes what it has begun, and keeps what it has received. \
                 `longshore status` tells how things stand; the same command goes on from there."
                    .to_owned(),
            ],
        }
    }
}
