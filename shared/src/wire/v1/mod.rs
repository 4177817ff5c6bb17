//! The messages of protocol 1. They hold no behaviour.
//!
//! A conversation: the agent greets with [`Hello`]; the controller sends [`ToAgent::Order`]; the
//! agent answers with any number of [`FromAgent::Event`]s and one [`FromAgent::Reply`], and the next
//! order may come. An order that changes the host is an operation of its own: it goes on when the
//! connection ends, and [`Order::Attach`] follows it from another one. Enums that are received end
//! in `Unknown`, so that a newer peer can be told apart from a broken one.

mod preview;
mod state;
mod status;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::instance::Instance;
use crate::name::{EnvironmentName, HostName, ProcessName};
use crate::pieces::HeldPieces;
use crate::settings::SettingName;

pub use preview::{PreviewState, PreviewWish};
pub use state::{
    LogLine, LogSource, ServedWith, SettingState, SettingsChange, SettingsNumber, SettingsState,
};
pub use status::{
    AppStatus, MaintenanceState, OperationStatus, Outcome, ProcessState, ProcessStatus,
    ReleaseState, ReleaseStatus, Slot,
};

/// The protocol of this module.
pub const PROTOCOL: u32 = 1;

/// The agent's greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The newest protocol that the agent speaks.
    pub protocol: u32,
    /// The oldest protocol that it still speaks.
    pub oldest: u32,
    /// The agent's own version.
    pub agent: Version,
    pub host: HostName,
    pub environment: EnvironmentName,
    /// Who asks, as the host's kernel says it.
    pub user: String,
    /// The processor, such as `x86_64`.
    pub machine: String,
    pub capabilities: Vec<String>,
}

/// From the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum ToAgent {
    Order(Order),
    /// The data that was asked for is complete.
    End,
    /// Finish or undo the step in hand, then reply.
    Cancel,
    #[serde(other)]
    Unknown,
}

/// What the agent is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// → [`Reply::Status`]. All apps, or one.
    Status {
        app: Option<Instance>,
        /// Whether their previews, too: not everybody can read such names.
        #[serde(default)]
        previews: bool,
    },
    /// → [`Reply::Locked`]. Held until `Unlock`, or until the connection and what it began end.
    Lock {
        environment: EnvironmentName,
        app: Instance,
        verb: String,
        /// The digest of the manifest that is brought: whoever brings the same one waits for the
        /// lock instead of being refused.
        #[serde(default)]
        release: Option<Sha256Digest>,
    },
    /// → [`Reply::Unlocked`]
    Unlock { app: Instance },
    /// → [`Reply::Preflight`]. Changes nothing.
    Preflight {
        app: Instance,
        /// The domain that the inventory gives the app; the host's own has to be the same.
        domain: Option<String>,
        /// Whether the inventory has the host run what is to run on one host alone.
        #[serde(default)]
        single: Option<bool>,
        /// Whether settings come before it serves, so that it is no problem what is not set now.
        #[serde(default)]
        settings_follow: bool,
        /// What is to become of it as a preview.
        #[serde(default)]
        preview: Option<PreviewWish>,
        release: Preflighted,
    },
    /// → [`Ask`]s, then [`Reply::Staged`].
    Stage {
        app: Instance,
        release: SignedManifest,
        /// Whether the controller answers an [`Ask`] that says what is held.
        #[serde(default)]
        recipes: bool,
    },
    /// → [`Reply::Left`]. What of the live release's migrations the staged `version` does not have is
    /// undone, or told, as the host's own rules say; where it is undone, so is what failed releases left.
    Leave { app: Instance, version: Version },
    /// → [`Reply::Migrated`]. The release has to be staged.
    Migrate {
        app: Instance,
        version: Version,
        /// Why it is to serve, or serves; nothing is [`SwitchReason::Deploy`].
        #[serde(default)]
        why: Option<SwitchReason>,
    },
    /// → [`Reply::Switched`]. The release has to be staged.
    Switch {
        app: Instance,
        version: Version,
        why: SwitchReason,
        /// Goes back also to a release whose key was revoked.
        even_revoked: bool,
    },
    /// → [`Reply::Preview`]. There is to be this preview, or it is to stay for longer. Nothing of it is
    /// made yet.
    KeepPreview { app: Instance, wish: PreviewWish },
    /// → [`Reply::PreviewMade`]. What the staged `version` does to make one, where it was not done yet.
    MakePreview { app: Instance, version: Version },
    /// → [`Reply::PreviewDropped`]. Nothing of it stays but its history.
    DropPreview {
        app: Instance,
        /// What its release would do at the end is left undone.
        without_hook: bool,
    },
    /// → [`Reply::Maintenance`]. Closes the site, or opens it; without a lock.
    Maintenance { app: Instance, on: bool },
    /// → [`Reply::Settings`]
    Settings {
        app: Instance,
        /// Whether the values are to be told too.
        values: bool,
    },
    /// → [`Reply::Settings`]. Takes effect when a slot is started next.
    ChangeSettings {
        app: Instance,
        change: SettingsChange,
    },
    /// → [`Ask::Handles`], then [`Reply::Ran`]. Runs a command in the environment of the live release.
    /// Only from the host itself.
    Run {
        app: Instance,
        /// A program and its words; a single one is a line for the shell.
        command: Vec<String>,
        /// The kind of terminal that it is to have, if it is to have one.
        terminal: Option<String>,
    },
    /// → [`FromAgent::Log`]s, then [`Reply::Logged`]. Goes on until it is cancelled if it follows.
    Logs {
        app: Instance,
        /// What an app says, its steps, or whatever else; all of it if there is none.
        of: Vec<LogSource>,
        /// These processes and timers of it.
        #[serde(default)]
        processes: Vec<ProcessName>,
        since: Option<Timestamp>,
        /// As many of the last lines, at most.
        lines: u32,
        follow: bool,
        /// Only lines with these words in them.
        grep: Option<String>,
    },
    /// Follows an operation that another connection began → its reply.
    Attach { operation: u64 },
    /// → [`Reply::Trust`]: whom the host trusts to release.
    Trust,
    /// → [`Reply::Trusted`]. Trusts those who are named, and nobody else.
    SetTrust { trust: SignedTrust },
    #[serde(other)]
    Unknown,
}

/// What a preflight is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Preflighted {
    /// A release that is to be staged.
    Deploy { release: SignedManifest },
    /// A release that the host is to hold already.
    Kept {
        version: Version,
        why: SwitchReason,
        /// Goes back also to a release whose key was revoked.
        even_revoked: bool,
    },
}

/// A [`crate::trust_file::TrustFile`]'s exact text, and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTrust {
    pub text: String,
    pub signature: String,
}

/// The manifest's exact text, and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedManifest {
    pub manifest: String,
    pub signature: String,
}

/// Why traffic moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchReason {
    Deploy,
    /// Somebody asked for an earlier release: the one that is left is marked bad.
    Rollback,
    /// The rollout failed on another host: nothing is said about the release that is left.
    Return,
    /// What serves is started anew in the other slot.
    Restart,
}

/// From the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum FromAgent {
    Hello(Hello),
    /// The order is written down as this operation.
    Begun {
        operation: u64,
    },
    Event(Event),
    Log {
        lines: Vec<LogLine>,
    },
    Ask(Ask),
    Reply(Box<Reply>),
    #[serde(other)]
    Unknown,
}

/// What happens on the host while an order is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub step: String,
    pub state: StepState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    Begun,
    Done,
    /// There was nothing to do.
    Unchanged,
    Failed,
    /// A line of a step's output, or a remark.
    Note,
    #[serde(other)]
    Unknown,
}

/// Data that the agent lacks. The controller answers with data frames and [`ToAgent::End`]. Where the
/// agent says what it holds, every content in the answer is a recipe of these pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// The rendered tree, as one zstd frame.
    Tree {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<HeldPieces>,
    },
    /// The content of these entries of the tree, one after the other in the tree's order, as one
    /// zstd frame. `wanted` holds pairs: the first entry and how many.
    Contents {
        wanted: Vec<(u64, u64)>,
        bytes: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<HeldPieces>,
    },
    /// One byte, with which standard input, output and error come as handles.
    Handles,
    #[serde(other)]
    Unknown,
}

/// The end of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    Status {
        apps: Vec<AppStatus>,
    },
    Locked,
    Unlocked,
    /// No problems means ready.
    Preflight {
        problems: Vec<Problem>,
        /// Whether the release is there already.
        staged: bool,
        live: Option<Version>,
        /// Whether one of the problems is that the key of the release was revoked, which a person
        /// may overrule.
        revoked: bool,
        /// The version of what `python3` is here, such as `3.11`.
        python: Option<String>,
        /// The names of the settings that are set here.
        #[serde(default)]
        settings: Vec<SettingName>,
        /// Whether what serves can tell which migrations are in the database.
        #[serde(default)]
        live_checks: bool,
    },
    Staged {
        /// Whether the release was there already.
        unchanged: bool,
        received: u64,
    },
    Migrated {
        /// Whether there was nothing to run, or it had run already.
        unchanged: bool,
        /// What is new in the database, where the release can tell.
        #[serde(default)]
        applied: Vec<String>,
    },
    /// Migrations of the live release that another does not have, the oldest first.
    Left {
        /// Those that stay in the database.
        stay: Vec<String>,
        undone: Vec<String>,
        /// What nobody could tell, or was undone for nobody who serves.
        #[serde(default)]
        remark: Option<String>,
        /// Whether the other has to migrate before it serves, also where it served before.
        #[serde(default)]
        lacks: bool,
    },
    Switched(Switched),
    Settings(SettingsState),
    Maintenance {
        /// Whether it was so already.
        unchanged: bool,
    },
    Preview {
        preview: PreviewState,
        /// Whether it has not served yet.
        new: bool,
    },
    PreviewMade {
        /// Whether it was made before, or there was nothing to do.
        unchanged: bool,
    },
    PreviewDropped {
        /// Whether there was none.
        unchanged: bool,
    },
    Logged,
    Ran {
        status: u8,
    },
    Trust {
        /// What was installed last; nothing where bootstrap's files still stand.
        installed: Option<SignedTrust>,
    },
    Trusted {
        serial: u64,
        /// Whether the host trusted the very same already.
        unchanged: bool,
    },
    /// Nothing was changed.
    Refused {
        problems: Vec<Problem>,
    },
    Failed(Failed),
    #[serde(other)]
    Unknown,
}

/// Traffic is on `version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    pub version: Version,
    pub previous: Option<Version>,
    /// Whether it served already.
    pub unchanged: bool,
    /// From the order to the last link.
    pub milliseconds: u64,
    /// What differs from when the release last served, or should be known.
    pub remarks: Vec<String>,
}

/// Something that has to be mended first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub what: String,
    /// What to do.
    pub next: String,
}

/// An order that was begun and did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub what: String,
    /// What to do.
    pub next: String,
    /// What serves now.
    pub live: Option<Version>,
    /// The last lines of the failed unit's log.
    pub log: Vec<String>,
    /// What the last health probe saw.
    pub probe: Option<String>,
    /// Whether it ended because it was cancelled.
    pub cancelled: bool,
    /// Whether it broke off when the controller was lost, and the same order would go on from
    /// there.
    #[serde(default)]
    pub resumable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::Frame;

    #[test]
    fn words_of_a_newer_peer_are_unknown_and_not_an_error() {
        let message = |json: &str| Frame::Control(json.as_bytes().to_vec());
        let order: ToAgent = message(r#"{"message":"order","order":"dance","steps":3}"#)
            .parse()
            .unwrap();
        assert_eq!(order, ToAgent::Order(Order::Unknown));
        let news: FromAgent = message(r#"{"message":"fanfare"}"#).parse().unwrap();
        assert_eq!(news, FromAgent::Unknown);
        let reply: FromAgent = message(r#"{"message":"reply","reply":"moved"}"#)
            .parse()
            .unwrap();
        assert_eq!(reply, FromAgent::Reply(Box::new(Reply::Unknown)));
    }

    #[test]
    fn what_older_peers_say_is_understood() {
        let message = |json: &str| Frame::Control(json.as_bytes().to_vec());
        let ask: FromAgent = message(r#"{"message":"ask","ask":"tree"}"#)
            .parse()
            .unwrap();
        assert_eq!(ask, FromAgent::Ask(Ask::Tree { held: None }));
        let frame = Frame::message(&ask).unwrap();
        assert_eq!(frame, message(r#"{"message":"ask","ask":"tree"}"#));
        let order = r#"{"message":"order","order":"stage","app":"cortico",
            "release":{"manifest":"","signature":""}}"#;
        let order: ToAgent = message(order).parse().unwrap();
        assert!(matches!(
            order,
            ToAgent::Order(Order::Stage { recipes: false, .. })
        ));
    }

    #[test]
    fn an_order_reads_as_it_was_written() {
        let order = ToAgent::Order(Order::Switch {
            app: "cortico".parse().unwrap(),
            version: Version::new(1, 4, 0),
            why: SwitchReason::Deploy,
            even_revoked: false,
        });
        let frame = Frame::message(&order).unwrap();
        assert_eq!(
            frame,
            Frame::Control(
                br#"{"message":"order","order":"switch","app":"cortico","version":"1.4.0","why":"deploy","even_revoked":false}"#
                    .to_vec()
            )
        );
        assert_eq!(frame.parse::<ToAgent>().unwrap(), order);
    }
}
