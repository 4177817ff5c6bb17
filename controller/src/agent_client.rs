//! Talks to a host's agent over any stream of bytes: greeting, orders, events, replies.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use longshore_shared::name::{EnvironmentName, HostName};
use longshore_shared::wire::codec::{CodecError, Decoder, Frame};
use longshore_shared::wire::latest::{
    Ask, Event, FromAgent, Hello, LogLine, Order, PROTOCOL, Reply, ToAgent,
};
use semver::Version;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How long a host may take from the open channel to the greeting.
const GREETING_PATIENCE: Duration = Duration::from_secs(30);
/// Messages that were read and not yet looked at; beyond them the agent has to wait.
const INBOX: usize = 256;
const READ_BUFFER: usize = 64 * 1024;

/// Who should be at the other end.
#[derive(Debug, Clone)]
pub struct Expected {
    pub host: HostName,
    pub environment: EnvironmentName,
}

/// What the agent says while it carries out an order.
#[derive(Debug)]
pub enum Heard {
    /// The order is an operation now, which goes on without us.
    Begun(u64),
    Event(Event),
    Log(Vec<LogLine>),
    Ask(Ask),
    Reply(Reply),
}

/// Chunks of bulk data, read somewhere else; an error ends them.
pub type Chunks = mpsc::Receiver<io::Result<Chunk>>;

/// A part of bulk data.
#[derive(Debug)]
pub struct Chunk {
    pub bytes: Vec<u8>,
    /// How much of what was asked for is told up to its end.
    pub covered: u64,
}

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("the agent did not greet within {} s", GREETING_PATIENCE.as_secs())]
    Silent,
    #[error("what the host sends cannot be understood")]
    Codec(#[from] CodecError),
    #[error("the host sent something else than a greeting first")]
    NoHello,
    #[error("the agent cannot work on this host: {what}")]
    Unfit { what: String, next: String },
    #[error(
        "the agent is too old: it is version {agent} and speaks protocol {speaks}, and this \
         longshore needs {PROTOCOL}"
    )]
    AgentTooOld { agent: Version, speaks: u32 },
    #[error(
        "the agent is too new: it is version {agent} and speaks no protocol older than {oldest}, \
         and this longshore speaks {PROTOCOL}"
    )]
    AgentTooNew { agent: Version, oldest: u32 },
    #[error("this is another host: it calls itself {found}")]
    OtherHost { found: HostName },
    #[error("this host belongs to environment {found}")]
    OtherEnvironment { found: EnvironmentName },
    #[error("the agent gave an answer that this longshore does not know")]
    UnknownAnswer,
    #[error("the host says more and more while it is sent what it asked for")]
    Talks,
    #[error("cannot read what the host asked for")]
    Source(#[source] io::Error),
    /// The stream ended; whoever opened it can tell why.
    #[error("the connection ended")]
    Ended,
}

impl ClientError {
    pub fn hints(&self) -> Vec<String> {
        match self {
            ClientError::AgentTooOld { .. } => {
                vec!["Upgrade the agent: bootstrap the host again.".to_owned()]
            }
            ClientError::AgentTooNew { .. } => vec!["Upgrade this longshore.".to_owned()],
            ClientError::OtherHost { .. } | ClientError::OtherEnvironment { .. } => vec![
                "Compare the host's address in the inventory with its /etc/longshore/host.toml."
                    .to_owned(),
            ],
            ClientError::Unfit { next, .. } if !next.is_empty() => vec![next.clone()],
            _ => Vec::new(),
        }
    }
}

/// A conversation with one agent: one order after the other.
#[derive(Debug)]
pub struct AgentClient<S> {
    writer: WriteHalf<S>,
    inbox: mpsc::Receiver<Result<FromAgent, ClientError>>,
    /// Heard while data was being sent.
    waiting: VecDeque<FromAgent>,
    hello: Hello,
    _reading: AbortOnDrop,
}

/// The reader holds half of the stream, which would otherwise stay open without its client.
#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> AgentClient<S> {
    /// Waits for the greeting and checks that this is the agent that was meant.
    pub async fn greet(stream: S, expected: &Expected) -> Result<Self, ClientError> {
        let (reader, writer) = tokio::io::split(stream);
        let (sender, mut inbox) = mpsc::channel(INBOX);
        let reading = AbortOnDrop(tokio::spawn(read_all(reader, sender)).abort_handle());
        let first = tokio::time::timeout(GREETING_PATIENCE, inbox.recv())
            .await
            .map_err(|_| ClientError::Silent)?;
        let hello = match first.ok_or(ClientError::Ended)?? {
            FromAgent::Hello(hello) => hello,
            // An agent that does not know who it is cannot greet, and says why.
            FromAgent::Reply(reply) => return Err(cannot_greet(*reply)),
            _ => return Err(ClientError::NoHello),
        };
        check(&hello, expected)?;
        Ok(AgentClient {
            writer,
            inbox,
            waiting: VecDeque::new(),
            hello,
            _reading: reading,
        })
    }

    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    pub async fn order(&mut self, order: Order) -> Result<(), ClientError> {
        self.say(&ToAgent::Order(order)).await
    }

    /// Asks the agent to finish or undo the step in hand; the reply still comes.
    pub async fn cancel(&mut self) -> Result<(), ClientError> {
        self.say(&ToAgent::Cancel).await
    }

    /// What the agent says next. Nothing is lost when this is given up and called again.
    pub async fn next(&mut self) -> Result<Heard, ClientError> {
        loop {
            let message = match self.waiting.pop_front() {
                Some(message) => message,
                None => self.inbox.recv().await.ok_or(ClientError::Ended)??,
            };
            return Ok(match message {
                FromAgent::Begun { operation } => Heard::Begun(operation),
                FromAgent::Event(event) => Heard::Event(event),
                FromAgent::Log { lines } => Heard::Log(lines),
                FromAgent::Ask(Ask::Handles | Ask::Unknown) => {
                    return Err(ClientError::UnknownAnswer);
                }
                FromAgent::Ask(ask) => Heard::Ask(ask),
                FromAgent::Reply(reply) if *reply == Reply::Unknown => {
                    return Err(ClientError::UnknownAnswer);
                }
                FromAgent::Reply(reply) => Heard::Reply(*reply),
                FromAgent::Hello(_) => return Err(ClientError::UnknownAnswer),
                // News of a newer agent that an older controller need not know.
                FromAgent::Unknown => continue,
            });
        }
    }

    /// Answers an [`Ask`] with data. Stops early when the agent has made up its mind meanwhile. Tells
    /// after each chunk how many bytes it had, and how much of what was asked for is told by now; asks
    /// before each whether to stop, which is told the agent as [`AgentClient::cancel`] does.
    pub async fn answer(
        &mut self,
        mut chunks: Chunks,
        mut sent: impl FnMut(u64, u64),
        stop: impl Fn() -> bool,
    ) -> Result<(), ClientError> {
        while let Some(chunk) = chunks.recv().await {
            let chunk = chunk.map_err(ClientError::Source)?;
            if stop() {
                return self.cancel().await;
            }
            let bytes = chunk.bytes.len() as u64;
            self.write(Frame::Data(chunk.bytes)).await?;
            sent(bytes, chunk.covered);
            if self
                .waiting
                .iter()
                .any(|m| matches!(m, FromAgent::Reply(_)))
            {
                break;
            }
        }
        self.say(&ToAgent::End).await
    }

    async fn say(&mut self, message: &ToAgent) -> Result<(), ClientError> {
        self.write(Frame::message(message)?).await
    }

    /// Writes one frame, and listens meanwhile: an agent that is full of words for us would
    /// otherwise stop to listen itself.
    async fn write(&mut self, frame: Frame) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes)?;
        let writing = async {
            self.writer.write_all(&bytes).await?;
            self.writer.flush().await
        };
        tokio::pin!(writing);
        loop {
            tokio::select! {
                written = &mut writing => return written.map_err(|_| ClientError::Ended),
                heard = self.inbox.recv() => match heard {
                    Some(_) if self.waiting.len() == INBOX => return Err(ClientError::Talks),
                    Some(message) => self.waiting.push_back(message?),
                    // A line that is lost while it has no room for more would never have room again.
                    None => return Err(ClientError::Ended),
                },
            }
        }
    }
}

async fn read_all<S: AsyncRead>(
    mut reader: ReadHalf<S>,
    inbox: mpsc::Sender<Result<FromAgent, ClientError>>,
) {
    let mut decoder = Decoder::after_greeting();
    let mut buffer = vec![0; READ_BUFFER];
    loop {
        loop {
            let message = match decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => frame.parse::<FromAgent>(),
                Err(error) => Err(error),
            };
            let broken = message.is_err();
            if inbox
                .send(message.map_err(ClientError::Codec))
                .await
                .is_err()
                || broken
            {
                return;
            }
        }
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => decoder.feed(buffer.get(..read).unwrap_or_default()),
        }
    }
}

fn cannot_greet(reply: Reply) -> ClientError {
    let problem = match reply {
        Reply::Refused { problems } => problems.into_iter().next().map(|p| (p.what, p.next)),
        Reply::Failed(failed) => Some((failed.what, failed.next)),
        _ => None,
    };
    problem.map_or(ClientError::NoHello, |(what, next)| ClientError::Unfit {
        what,
        next,
    })
}

fn check(hello: &Hello, expected: &Expected) -> Result<(), ClientError> {
    if hello.protocol < PROTOCOL {
        return Err(ClientError::AgentTooOld {
            agent: hello.agent.clone(),
            speaks: hello.protocol,
        });
    }
    if hello.oldest > PROTOCOL {
        return Err(ClientError::AgentTooNew {
            agent: hello.agent.clone(),
            oldest: hello.oldest,
        });
    }
    // The environment first: it is the one that must never be mistaken.
    if hello.environment != expected.environment {
        return Err(ClientError::OtherEnvironment {
            found: hello.environment.clone(),
        });
    }
    if hello.host != expected.host {
        return Err(ClientError::OtherHost {
            found: hello.host.clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_shared::wire::codec::MAGIC;
    use longshore_shared::wire::latest::StepState;
    use tokio::io::DuplexStream;

    fn expected() -> Expected {
        Expected {
            host: HostName::new("web-1").unwrap(),
            environment: EnvironmentName::new("staging").unwrap(),
        }
    }

    fn hello() -> Hello {
        Hello {
            protocol: PROTOCOL,
            oldest: PROTOCOL,
            agent: Version::new(0, 1, 0),
            host: expected().host,
            environment: expected().environment,
            user: "deploy".into(),
            machine: "x86_64".into(),
            capabilities: vec![],
        }
    }

    fn bytes(messages: &[FromAgent]) -> Vec<u8> {
        let mut out = Vec::new();
        for message in messages {
            Frame::message(message).unwrap().encode(&mut out).unwrap();
        }
        out
    }

    async fn greeted(
        preamble: &[u8],
        hello: Hello,
    ) -> (Result<AgentClient<DuplexStream>, ClientError>, DuplexStream) {
        let (ours, mut theirs) = tokio::io::duplex(1024 * 1024);
        theirs.write_all(preamble).await.unwrap();
        theirs.write_all(MAGIC).await.unwrap();
        theirs
            .write_all(&bytes(&[FromAgent::Hello(hello)]))
            .await
            .unwrap();
        (AgentClient::greet(ours, &expected()).await, theirs)
    }

    #[tokio::test]
    async fn what_a_login_script_prints_is_passed_over() {
        let (client, _theirs) = greeted(b"Welcome to Debian\n", hello()).await;
        assert_eq!(client.unwrap().hello().user, "deploy");
    }

    #[tokio::test]
    async fn agents_of_other_times_and_places_are_told_apart() {
        let (old, _) = greeted(
            b"",
            Hello {
                protocol: 0,
                oldest: 0,
                ..hello()
            },
        )
        .await;
        assert!(matches!(old, Err(ClientError::AgentTooOld { .. })));
        let (new, _) = greeted(
            b"",
            Hello {
                protocol: 9,
                oldest: 8,
                ..hello()
            },
        )
        .await;
        assert!(matches!(new, Err(ClientError::AgentTooNew { .. })));
        let production = EnvironmentName::new("production").unwrap();
        let (other, _) = greeted(
            b"",
            Hello {
                environment: production,
                ..hello()
            },
        )
        .await;
        assert!(matches!(other, Err(ClientError::OtherEnvironment { .. })));
        let web_2 = HostName::new("web-2").unwrap();
        let (other, _) = greeted(
            b"",
            Hello {
                host: web_2,
                ..hello()
            },
        )
        .await;
        assert!(matches!(other, Err(ClientError::OtherHost { .. })));
    }

    #[tokio::test]
    async fn an_order_is_followed_to_its_reply() {
        let (client, mut theirs) = greeted(b"", hello()).await;
        let mut client = client.unwrap();
        let event = Event {
            step: "unpack".into(),
            state: StepState::Begun,
            detail: None,
        };
        let messages = [
            FromAgent::Begun { operation: 7 },
            FromAgent::Unknown,
            FromAgent::Event(event),
            FromAgent::Reply(Box::new(Reply::Locked)),
        ];
        theirs.write_all(&bytes(&messages)).await.unwrap();
        client
            .order(Order::Status {
                app: None,
                previews: false,
            })
            .await
            .unwrap();
        assert!(matches!(client.next().await.unwrap(), Heard::Begun(7)));
        assert!(matches!(client.next().await.unwrap(), Heard::Event(_)));
        assert!(matches!(
            client.next().await.unwrap(),
            Heard::Reply(Reply::Locked)
        ));
        drop(theirs);
        assert!(matches!(client.next().await, Err(ClientError::Ended)));
    }

    #[tokio::test]
    async fn a_line_that_ends_while_it_is_full_ends_the_answer() {
        let (client, mut theirs) = greeted(b"", hello()).await;
        let mut client = client.unwrap();
        // Nothing more is said, and nobody reads what we say.
        theirs.shutdown().await.unwrap();
        let (sender, chunks) = mpsc::channel(1);
        tokio::spawn(async move { while sender.send(Ok(chunk())).await.is_ok() {} });
        let answer = client.answer(chunks, |_, _| {}, || false);
        let ended = tokio::time::timeout(Duration::from_secs(20), answer).await;
        assert!(matches!(ended, Ok(Err(ClientError::Ended))), "{ended:?}");
        drop(theirs);
    }

    fn chunk() -> Chunk {
        Chunk {
            bytes: vec![0; 128 * 1024],
            covered: 0,
        }
    }

    #[tokio::test]
    async fn a_reply_in_the_middle_of_an_answer_ends_the_answer() {
        let (client, mut theirs) = greeted(b"", hello()).await;
        let mut client = client.unwrap();
        theirs
            .write_all(&bytes(&[FromAgent::Reply(Box::new(Reply::Unlocked))]))
            .await
            .unwrap();
        let (sender, chunks) = mpsc::channel(1);
        tokio::spawn(async move { while sender.send(Ok(chunk())).await.is_ok() {} });
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            drop(theirs.read_to_end(&mut all).await);
            all.len()
        });
        client.answer(chunks, |_, _| {}, || false).await.unwrap();
        assert!(matches!(
            client.next().await.unwrap(),
            Heard::Reply(Reply::Unlocked)
        ));
        drop(client);
        assert!(reading.await.unwrap() > 0);
    }

    #[tokio::test]
    async fn rubbish_is_an_error_and_no_panic() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(MAGIC).await.unwrap();
        theirs.write_all(&[0xff; 64]).await.unwrap();
        let error = AgentClient::greet(ours, &expected()).await.unwrap_err();
        assert!(matches!(error, ClientError::Codec(_)));
    }
}
