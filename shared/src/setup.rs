//! What a host should be like, and the conversation in which `longshore bootstrap` makes it so.
//!
//! The controller brings its own agent along and runs it as root over SSH, so both ends are always
//! of the same version. Each message is one line of JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::app_file::ByteSize;
use crate::digest::Sha256Digest;
use crate::name::{AppName, EnvironmentName, HostName};
use crate::span::Span;
use crate::trust_file::TrustRules;
use crate::wire::latest::SignedTrust;

/// The longest line of either side.
pub const LONGEST_LINE: usize = 4 * 1024 * 1024;
/// The account that CI deploys with.
pub const DEPLOY_ACCOUNT: &str = "deploy";
/// Whoever is in it may deploy.
pub const DEPLOY_GROUP: &str = "longshore";
/// How long a host waits to be called anew before it takes back what could have locked us out.
pub const CONFIRM_SECONDS: u64 = 60;

/// From the controller.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToSetup {
    /// The first line of all.
    Desired(Box<Desired>),
    /// The plan is to be carried out.
    Go,
    /// A new connection was made and has confirmed, or not.
    Confirmed(bool),
}

/// From the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromSetup {
    /// What differs; nothing was changed yet.
    Plan(Plan),
    /// A change was begun.
    Begin(String),
    /// Something that a program of the host said meanwhile.
    Said(String),
    /// Why it takes long.
    Waiting(String),
    /// Call anew and run `longshore-agent setup --confirm TOKEN`.
    Confirm { token: String },
    /// A change that nothing else needs could not be made; the others go on.
    Missed(SetupFailure),
    /// All else was done; so many changes were made.
    Done {
        changes: usize,
        notes: Vec<String>,
        lacks: Vec<String>,
    },
    /// Nothing more is done.
    Failed(SetupFailure),
}

/// What differs on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Such as `Debian GNU/Linux 12 (bookworm), x86_64, 1.9 GiB`.
    pub host: String,
    /// In words, such as `+ user ops1 in sudo, dev`.
    pub changes: Vec<String>,
    /// What was left as it is, and why.
    pub notes: Vec<String>,
    /// What is not as the inventory wants it, and not for this run to change.
    pub lacks: Vec<String>,
    /// What has to be mended by a person first. Where there is one, nothing is changed.
    pub problems: Vec<SetupFailure>,
}

/// What went wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupFailure {
    pub what: String,
    pub next: String,
}

/// A host as the inventory wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    pub environment: EnvironmentName,
    pub host: HostName,
    pub apps: BTreeMap<AppName, DesiredApp>,
    pub people: Vec<DesiredPerson>,
    /// Public keys that may do nothing but deploy.
    pub deploy_keys: Vec<String>,
    /// Who may let a release serve whose key was revoked: names and `@groups`. Nothing is the agent's
    /// own default.
    pub overrule: Option<Vec<String>>,
    /// Who may see and change settings, in the same way.
    #[serde(default)]
    pub settings_by: Option<Vec<String>>,
    /// Whom the host trusts; it takes them once, and later only from somebody whom it trusts.
    pub trust: Option<TrustRules>,
    /// What the environment's other hosts trust by a signed file: a host that was rebuilt begins with
    /// their number, so that no older file is news to it.
    pub signed_trust: Option<SignedTrust>,
    pub system: DesiredSystem,
    pub sshd: Option<DesiredSshd>,
    pub firewall: Option<DesiredFirewall>,
    /// Nothing where no certificate is to be fetched in this run.
    pub acme: Option<DesiredAcme>,
    /// Of the agent that the controller brought along.
    pub agent: Sha256Digest,
    /// Whether a person who is not root could log in from there and become root.
    pub sudo_login: bool,
    /// The public key that opened this very connection, where it was one.
    pub login_key: Option<String>,
}

/// Where people reach an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredApp {
    pub domain: Option<String>,
    pub tls: Option<DesiredTls>,
    #[serde(default)]
    pub on_leave: OnLeave,
    /// Whether what is to run on one host of the environment runs on this one.
    #[serde(default)]
    pub single: bool,
    /// Nothing where its branches get no previews.
    #[serde(default)]
    pub preview: Option<PreviewRules>,
}

/// What previews of an app's branches may take on its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewRules {
    /// Each is reached under its own name before this one; else before the app's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Whether the app's certificate is for these names, too.
    #[serde(default)]
    pub https: bool,
    /// So many at a time.
    #[serde(default = "default_previews")]
    pub max: u32,
    /// How long one is there after the deployment that was its last.
    #[serde(rename = "for", default = "default_lasting")]
    pub lasting: Span,
    /// All that runs for one, at most.
    #[serde(default = "default_memory")]
    pub memory: ByteSize,
    #[serde(default = "default_processes")]
    pub processes: u32,
}

const fn default_previews() -> u32 {
    5
}
const fn default_lasting() -> Span {
    Span::seconds(7 * 24 * 3600)
}
const fn default_memory() -> ByteSize {
    ByteSize::mebibytes(512)
}
const fn default_processes() -> u32 {
    256
}

/// What becomes of migrations that the release which comes does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLeave {
    /// They stay, and whoever goes past them is told.
    #[default]
    Never,
    /// The release that leaves undoes them before the other one serves.
    Undo,
}

/// Where a site's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DesiredTls {
    /// From the inventory's owner.
    Files { certificate: String, key: Secret },
    /// From an authority, by certbot.
    Acme,
}

/// A text that is shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret")
    }
}

/// The authority that certificates are asked of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredAcme {
    /// Whom it writes to before a certificate ends.
    pub email: Option<String>,
    /// Its directory; else certbot's own choice.
    pub server: Option<String>,
}

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredPerson {
    pub name: String,
    /// As in a `.pub` file.
    pub keys: Vec<String>,
    pub groups: BTreeSet<String>,
    /// A repository that is cloned into a new home, and whose `install.sh` is run there, as them.
    pub dotfiles: Option<String>,
    /// Take over an account of that name that was there before.
    pub adopt: bool,
}

/// The system itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredSystem {
    /// Beside those that Longshore needs.
    pub packages: BTreeSet<String>,
    pub timezone: Option<String>,
    /// Bytes of a swap file, made where the memory is smaller than twice that.
    pub swap: Option<u64>,
    pub security_upgrades: bool,
    pub clock_sync: bool,
    /// Such as `500M`.
    pub journal: Option<String>,
    pub sysctl: BTreeMap<String, String>,
    pub docker: bool,
    pub fail2ban: bool,
    /// Whether members of `sudo` become root without a password.
    pub sudo_without_password: bool,
}

/// How people may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredSshd {
    /// Turned off only once a sudo account works.
    pub root_login: bool,
    /// Further lines of sshd's own configuration.
    pub lines: Vec<String>,
}

/// What may be reached from outside, beside SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredFirewall {
    /// Such as `80/tcp`.
    pub open: BTreeSet<String>,
    /// Whether ports that something listens on may be closed.
    pub close_used: bool,
}
