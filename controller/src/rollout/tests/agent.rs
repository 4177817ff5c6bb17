//! An agent that is played by the test: it keeps a version live and answers as it was told to.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use longshore_shared::name::{EnvironmentName, HostName};
use longshore_shared::wire::codec::{Decoder, Frame, MAGIC};
use longshore_shared::wire::latest::{
    AppStatus, Failed, FromAgent, Hello, Order, PROTOCOL, PreviewState, Problem, Reply,
    SwitchReason, Switched, ToAgent,
};
use semver::Version;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What goes wrong on this host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Trouble {
    #[default]
    None,
    OtherEnvironment,
    LockHeld,
    NoRoom,
    MigrationFails,
    SwitchFails,
    SwitchRefused,
    ReturnFails,
    LineBreaksInPreflight,
    LineBreaksInMigration,
    /// The line breaks in the middle of the switch; the work goes on.
    LineBreaks,
    PreviewIsNotMade,
    PreviewWasThere,
    /// The switch waits until it is cancelled.
    SwitchHangs,
}

#[derive(Debug)]
pub(super) struct PlayedAgent {
    pub(super) host: HostName,
    pub(super) trouble: Trouble,
    pub(super) live: Mutex<Option<Version>>,
    /// The orders that came, by name.
    pub(super) orders: Mutex<Vec<&'static str>>,
}

impl PlayedAgent {
    pub(super) fn new(host: &HostName, trouble: Trouble) -> Arc<Self> {
        Arc::new(PlayedAgent {
            host: host.clone(),
            trouble,
            live: Mutex::new(Some(Version::new(1, 0, 0))),
            orders: Mutex::default(),
        })
    }

    pub(super) async fn play<S: AsyncRead + AsyncWrite + Unpin>(self: Arc<Self>, mut stream: S) {
        let environment = match self.trouble {
            Trouble::OtherEnvironment => "production",
            _ => "staging",
        };
        let hello = FromAgent::Hello(Hello {
            protocol: PROTOCOL,
            oldest: PROTOCOL,
            agent: Version::new(0, 1, 0),
            host: self.host.clone(),
            environment: EnvironmentName::new(environment).unwrap(),
            user: "deploy".into(),
            machine: "x86_64".into(),
            capabilities: vec![],
        });
        let mut greeting = MAGIC.to_vec();
        Frame::message(&hello)
            .unwrap()
            .encode(&mut greeting)
            .unwrap();
        if stream.write_all(&greeting).await.is_err() {
            return;
        }
        let mut decoder = Decoder::new();
        let mut waiting_for_cancel = false;
        loop {
            while let Some(frame) = decoder.next_frame().unwrap() {
                let answers = match frame.parse::<ToAgent>().unwrap() {
                    ToAgent::Cancel if waiting_for_cancel => {
                        waiting_for_cancel = false;
                        vec![failed("cancelled", self.live(), true)]
                    }
                    ToAgent::Order(order) if self.breaks_at(&order) => return,
                    ToAgent::Order(order) => self.answer(&order),
                    _ => vec![],
                };
                waiting_for_cancel |=
                    matches!(answers.last(), Some(FromAgent::Begun { operation: 2 }));
                for answer in &answers {
                    let mut bytes = Vec::new();
                    Frame::message(answer).unwrap().encode(&mut bytes).unwrap();
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                if matches!(answers.last(), Some(FromAgent::Begun { operation: 1 })) {
                    return;
                }
            }
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => decoder.feed(&buffer[..read]),
            }
        }
    }

    fn breaks_at(&self, order: &Order) -> bool {
        match order {
            Order::Preflight { .. } => self.trouble == Trouble::LineBreaksInPreflight,
            Order::Migrate { .. } => self.trouble == Trouble::LineBreaksInMigration,
            _ => false,
        }
    }

    fn live(&self) -> Option<Version> {
        self.live.lock().unwrap().clone()
    }

    fn answer(&self, order: &Order) -> Vec<FromAgent> {
        let (name, reply) = match order {
            Order::Lock { .. } if self.trouble == Trouble::LockHeld => {
                ("lock", refused("somebody else deploys here"))
            }
            Order::Lock { .. } => ("lock", done(Reply::Locked)),
            Order::Status { .. } => (
                "status",
                done(Reply::Status {
                    apps: vec![self.status()],
                }),
            ),
            Order::Preflight { .. } => {
                let problem = (self.trouble == Trouble::NoRoom).then(|| problem("no room"));
                let problems = problem.into_iter().collect();
                let live = self.live();
                (
                    "preflight",
                    done(Reply::Preflight {
                        problems,
                        staged: true,
                        live,
                        revoked: false,
                        python: None,
                        settings: Vec::new(),
                        live_checks: false,
                    }),
                )
            }
            Order::Leave { .. } => {
                let (stay, undone) = (vec![], vec![]);
                let remark = None;
                return vec![done(Reply::Left {
                    stay,
                    undone,
                    remark,
                    lacks: false,
                })];
            }
            Order::Migrate { .. } if self.trouble == Trouble::MigrationFails => (
                "migrate",
                failed("the migration failed", self.live(), false),
            ),
            Order::Migrate { .. } => (
                "migrate",
                done(Reply::Migrated {
                    unchanged: false,
                    applied: Vec::new(),
                }),
            ),
            Order::Switch { version, why, .. } => return self.switch(version, *why),
            Order::Attach { .. } => {
                let mut live = self.live.lock().unwrap();
                let previous = live.replace(Version::new(2, 0, 0));
                ("attach", done(switched(&Version::new(2, 0, 0), previous)))
            }
            Order::KeepPreview { .. } => {
                let preview = PreviewState {
                    git_ref: "login".to_owned(),
                    who: "ann".to_owned(),
                    created: Timestamp::UNIX_EPOCH,
                    until: Timestamp::UNIX_EPOCH,
                    url: None,
                };
                let new = self.trouble != Trouble::PreviewWasThere;
                ("keep preview", done(Reply::Preview { preview, new }))
            }
            Order::MakePreview { .. } => {
                let reply = match self.trouble {
                    Trouble::PreviewIsNotMade | Trouble::PreviewWasThere => {
                        failed("no database", None, false)
                    }
                    _ => done(Reply::PreviewMade { unchanged: false }),
                };
                ("make preview", reply)
            }
            Order::DropPreview { .. } => (
                "drop preview",
                done(Reply::PreviewDropped { unchanged: false }),
            ),
            Order::Stage { .. }
            | Order::Unlock { .. }
            | Order::Trust
            | Order::Run { .. }
            | Order::Logs { .. }
            | Order::Settings { .. }
            | Order::ChangeSettings { .. }
            | Order::SetTrust { .. }
            | Order::Maintenance { .. }
            | Order::Unknown => ("other", refused("no")),
        };
        self.orders.lock().unwrap().push(name);
        vec![reply]
    }

    fn switch(&self, version: &Version, why: SwitchReason) -> Vec<FromAgent> {
        let back = why == SwitchReason::Return;
        self.orders
            .lock()
            .unwrap()
            .push(if back { "return" } else { "switch" });
        match self.trouble {
            Trouble::LineBreaks => vec![FromAgent::Begun { operation: 1 }],
            Trouble::SwitchHangs => vec![FromAgent::Begun { operation: 2 }],
            Trouble::SwitchFails => vec![failed("it never became healthy", self.live(), false)],
            Trouble::SwitchRefused => vec![refused("somebody took the lock")],
            Trouble::ReturnFails if back => vec![failed("cannot go back", self.live(), false)],
            _ => {
                let previous = self.live.lock().unwrap().replace(version.clone());
                vec![done(switched(version, previous))]
            }
        }
    }

    fn status(&self) -> AppStatus {
        AppStatus {
            app: "cortico".parse().unwrap(),
            version: self.live(),
            previous: Some(Version::new(0, 9, 0)),
            slot: None,
            healthy: Some(true),
            releases: vec![],
            since: None,
            git_ref: None,
            by: None,
            settings: Vec::new(),
            preview: None,
            maintenance: None,
            processes: Vec::new(),
            last: None,
            locked_by: None,
        }
    }
}

fn done(reply: Reply) -> FromAgent {
    FromAgent::Reply(Box::new(reply))
}

fn switched(version: &Version, previous: Option<Version>) -> Reply {
    Reply::Switched(Switched {
        unchanged: previous.as_ref() == Some(version),
        version: version.clone(),
        previous,
        milliseconds: 5,
        remarks: vec![],
    })
}

fn problem(what: &str) -> Problem {
    Problem {
        what: what.into(),
        next: "mend it".into(),
    }
}

fn refused(what: &str) -> FromAgent {
    let problems = vec![problem(what)];
    done(Reply::Refused { problems })
}

fn failed(what: &str, live: Option<Version>, cancelled: bool) -> FromAgent {
    done(Reply::Failed(Failed {
        what: what.into(),
        next: "look at its log".into(),
        live,
        log: vec!["ImportError".into()],
        probe: None,
        cancelled,
        resumable: false,
    }))
}
