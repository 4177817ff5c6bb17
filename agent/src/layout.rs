//! Every path on a host. The layout is a contract: nothing else spells one of these paths.

use std::path::{Path, PathBuf};

use longshore_shared::digest::Sha256Digest;
use longshore_shared::instance::Instance;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::Slot;
use semver::Version;

/// What root says of the host.
pub(crate) const ETC: &str = "/etc/longshore";
pub(crate) const CONFIG: &str = "/etc/longshore/host.toml";
pub(crate) const ALLOWED_SIGNERS: &str = "/etc/longshore/allowed_signers";
/// Plain keys, or what `ssh-keygen -k` writes.
pub(crate) const REVOKED_SIGNERS: &str = "/etc/longshore/revoked_signers";
pub(crate) const RELEASE_POLICY: &str = "/etc/longshore/release_policy.toml";
/// The signed trust file that the three above were installed from, and one that is being installed.
pub(crate) const TRUST: &str = "/var/lib/longshore/trust.json";
pub(crate) const TRUST_NEXT: &str = "/var/lib/longshore/trust.next.json";
/// Settings of apps, by hand or by `longshore settings`.
pub(crate) const SETTINGS: &str = "/etc/longshore/apps";
/// What `setup` remembers from one run to the next, and what it holds while it works.
pub(crate) const SETUP_PEOPLE: &str = "/var/lib/longshore/setup/people";
/// Whoever still waits for their dotfiles.
pub(crate) const SETUP_DOTFILES: &str = "/var/lib/longshore/setup/dotfiles";
/// Accounts that are neither the inventory's nor Longshore's, as they were told last.
pub(crate) const SETUP_OUTSIDERS: &str = "/var/lib/longshore/setup/outsiders";
pub(crate) const SETUP_PENDING: &str = "/var/lib/longshore/setup/pending";
pub(crate) const SETUP_TAKE_BACK: &str = "/var/lib/longshore/setup/take-back.json";
pub(crate) const SETUP_CONFIRMED: &str = "/var/lib/longshore/setup/confirmed";
/// What the kernel said of the firewall when it was loaded.
pub(crate) const SETUP_FIREWALL: &str = "/var/lib/longshore/setup/firewall.loaded";
/// Our settings of the kernel, loaded by themselves: what others set is theirs to load. At boot the last
/// file counts.
pub(crate) const SYSCTL: &str = "/etc/sysctl.d/99-zz-longshore.conf";
pub(crate) const SETUP_LOCK: &str = "/run/longshore-setup.lock";
pub(crate) const SETUP_GUARD_LOCK: &str = "/run/longshore-guard.lock";
/// The agent that was left, and its unit, until the new one has answered.
pub(crate) const SETUP_AGENT_BEFORE: &str = "/var/lib/longshore/setup/agent-before.json";
/// The agent's own program: one folder for each build, and the link that is run.
pub(crate) const AGENTS: &str = "/usr/local/lib/longshore";
pub(crate) const AGENT_LINK: &str = "/usr/local/bin/longshore-agent";
/// One in /etc could not be masked.
pub(crate) const OWN_UNITS: &str = "/usr/local/lib/systemd/system";
pub(crate) const SOCKET: &str = "/run/longshore/agent.sock";
pub(crate) const RUN: &str = "/run/longshore";
pub(crate) const STATE: &str = "/var/lib/longshore";
pub(crate) const LEDGER: &str = "/var/lib/longshore/ledger.db";
pub(crate) const APPS: &str = "/srv/longshore";
/// Where certbot puts what the authority asks for.
pub(crate) const ACME_ROOT: &str = "/var/lib/longshore-acme";
/// Certificates that came with the inventory: one folder for each app.
pub(crate) const CERTIFICATES: &str = "/etc/longshore/tls";
pub(crate) const NGINX_CONFIG: &str = "/etc/nginx/nginx.conf";
pub(crate) const UNITS: &str = "/etc/systemd/system";
/// When each timer ran last.
pub(crate) const TIMER_STAMPS: &str = "/var/lib/systemd/timers";

/// What of a slot is written in paths and unit names.
pub(crate) fn slot_name(slot: Slot) -> &'static str {
    match slot {
        Slot::Blue => "blue",
        Slot::Green => "green",
    }
}

/// The slot that a link's last part names.
pub(crate) fn slot_named(name: &str) -> Option<Slot> {
    [Slot::Blue, Slot::Green]
        .into_iter()
        .find(|slot| slot_name(*slot) == name)
}

pub(crate) fn other_slot(slot: Slot) -> Slot {
    match slot {
        Slot::Blue => Slot::Green,
        Slot::Green => Slot::Blue,
    }
}

/// Where one app lives.
#[derive(Debug, Clone)]
pub(crate) struct AppLayout {
    pub(crate) app: Instance,
    home: PathBuf,
}

impl AppLayout {
    pub(crate) fn new(app: &Instance) -> Self {
        Self {
            app: app.clone(),
            home: Path::new(APPS).join(app.as_str()),
        }
    }

    /// The app that a preview is one of, with whose settings it begins.
    pub(crate) fn base(&self) -> Option<Self> {
        self.app.preview()?;
        Some(Self::new(&self.app.app().clone().into()))
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.home.join("releases")
    }

    pub(crate) fn release(&self, version: &Version) -> PathBuf {
        self.releases().join(version.to_string())
    }

    /// Root's alone, so that nobody reaches into a release while it is made.
    pub(crate) fn staging(&self) -> PathBuf {
        self.home.join("staging")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.home.join("layers")
    }

    pub(crate) fn shared(&self) -> PathBuf {
        self.home.join("shared")
    }

    /// Where every step and every slot sees its own release.
    pub(crate) fn app_mount(&self) -> PathBuf {
        self.home.join("app")
    }

    pub(crate) fn current(&self) -> PathBuf {
        self.home.join("current")
    }

    pub(crate) fn slots(&self) -> PathBuf {
        self.home.join("slots")
    }

    pub(crate) fn slot(&self, slot: Slot) -> PathBuf {
        self.slots().join(slot_name(slot))
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.slots().join("live")
    }

    pub(crate) fn run(&self) -> PathBuf {
        Path::new(RUN).join(self.app.as_str())
    }

    /// The folder that the app's user may write its socket into.
    pub(crate) fn socket_folder(&self, slot: Slot) -> PathBuf {
        self.run().join(slot_name(slot))
    }

    pub(crate) fn socket(&self, slot: Slot) -> PathBuf {
        self.socket_folder(slot).join("sock")
    }

    pub(crate) fn socket_link(&self, slot: Slot) -> PathBuf {
        self.run().join(format!("{}.sock", slot_name(slot)))
    }

    pub(crate) fn live_socket(&self) -> PathBuf {
        self.run().join("live.sock")
    }

    /// While it is there, nginx shows that the site is being worked on.
    pub(crate) fn maintenance(&self) -> PathBuf {
        self.home.join("maintenance")
    }

    /// Links to all releases that are kept, by which nginx finds the files of earlier pages.
    pub(crate) fn kept(&self) -> PathBuf {
        self.home.join("kept")
    }

    /// Who may see the site, where it is not for everybody.
    pub(crate) fn site_users(&self) -> PathBuf {
        Path::new(SETTINGS).join(format!("{}.users", self.app))
    }

    /// The app's settings, which are host state.
    pub(crate) fn settings(&self) -> PathBuf {
        Path::new(SETTINGS).join(format!("{}.env", self.app))
    }

    /// Those that a preview was given when it was made.
    pub(crate) fn made_settings(&self) -> PathBuf {
        Path::new(SETTINGS).join(format!("{}.made.env", self.app))
    }

    /// Those that the app takes as files; root's alone.
    pub(crate) fn setting_files(&self) -> PathBuf {
        self.run().join("settings")
    }

    /// What they were before, a file for each number.
    pub(crate) fn earlier_settings(&self) -> PathBuf {
        Path::new(SETTINGS).join(format!("{}.earlier", self.app))
    }

    pub(crate) fn unit(&self, slot: Slot) -> String {
        format!("longshore-{}@{}.service", self.app, slot_name(slot))
    }

    pub(crate) fn unit_file(&self, slot: Slot) -> PathBuf {
        Path::new(UNITS).join(self.unit(slot))
    }

    /// A process beside a slot. No app's name has a dot or an at sign.
    pub(crate) fn process_unit(&self, slot: Slot, process: &ProcessName) -> String {
        format!(
            "longshore-{}@{}.{process}.service",
            self.app,
            slot_name(slot)
        )
    }

    /// What a timer starts, and the timer itself: one for all releases.
    pub(crate) fn timer_units(&self, timer: &ProcessName) -> [String; 2] {
        ["service", "timer"].map(|kind| format!("longshore-{}@timer.{timer}.{kind}", self.app))
    }

    /// The processes beside a slot for which there are units on this host.
    pub(crate) fn processes(&self, slot: Slot) -> Vec<ProcessName> {
        self.named_by_units(slot_name(slot), "service")
    }

    pub(crate) fn timers(&self) -> Vec<ProcessName> {
        self.named_by_units("timer", "timer")
    }

    fn named_by_units(&self, of: &str, kind: &str) -> Vec<ProcessName> {
        let begin = format!("longshore-{}@{of}.", self.app);
        let entries = fs_err::read_dir(UNITS).into_iter().flatten().flatten();
        let mut names: Vec<ProcessName> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let name = name.to_str()?.strip_prefix(&begin)?.strip_suffix(kind)?;
                ProcessName::new(name.strip_suffix('.')?).ok()
            })
            .collect();
        names.sort();
        names
    }

    /// The one transient unit in which steps of a release run.
    pub(crate) fn step_unit(&self) -> String {
        format!("longshore-{}-step.service", self.app)
    }

    pub(crate) fn tmpfiles(&self) -> PathBuf {
        PathBuf::from(format!("/etc/tmpfiles.d/longshore-{}.conf", self.app))
    }

    pub(crate) fn sysusers(&self) -> PathBuf {
        PathBuf::from(format!("/etc/sysusers.d/longshore-{}.conf", self.app))
    }

    pub(crate) fn site(&self) -> PathBuf {
        PathBuf::from(format!("/etc/nginx/conf.d/longshore-{}.conf", self.app))
    }

    /// A Unix name takes 31 letters, which is less than a preview's own may have.
    pub(crate) fn user(&self) -> String {
        if self.app.preview().is_none() {
            return format!("app-{}", self.app);
        }
        format!(
            "{}-{:.18}",
            self.short().replace('_', "-"),
            self.app.as_str()
        )
    }

    /// A name for places that take few letters, and no dash.
    pub(crate) fn short(&self) -> String {
        if self.app.preview().is_none() {
            return self.app.as_str().replace('-', "_");
        }
        let digest = Sha256Digest::of(self.app.as_str().as_bytes()).to_string();
        format!("pre_{digest:.8}")
    }

    /// What bounds all that runs for a preview.
    pub(crate) fn slice(&self) -> Option<String> {
        self.app.preview()?;
        Some(format!("longshore-{}.slice", self.short()))
    }

    pub(crate) fn slice_file(&self) -> Option<PathBuf> {
        Some(Path::new(UNITS).join(self.slice()?))
    }

    /// What the names of all units begin with that have files of their own.
    pub(crate) fn unit_prefix(&self) -> String {
        format!("longshore-{}@", self.app)
    }
}

/// What the agent keeps inside a release, beside the app's own files.
#[derive(Debug)]
pub(crate) struct ReleaseFiles {
    folder: PathBuf,
}

impl ReleaseFiles {
    pub(crate) fn of(release: &Path) -> Self {
        Self {
            folder: release.join(longshore_shared::tree::RESERVED),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.join("manifest.json")
    }

    pub(crate) fn signature(&self) -> PathBuf {
        self.folder.join("manifest.json.sig")
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// What the release tells the app of itself, as environment variables.
    pub(crate) fn environment(&self) -> PathBuf {
        self.folder.join("env")
    }

    /// The layers that the release links to, a key a line.
    pub(crate) fn layers(&self) -> PathBuf {
        self.folder.join("layers")
    }
}
