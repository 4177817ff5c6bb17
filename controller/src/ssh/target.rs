//! How one host is reached: the inventory, the person's own SSH configuration and the environment
//! brought together, before anything is connected.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use russh::keys::PublicKey;
use thiserror::Error;

use super::config_file::{self, ConfigError, HostSettings};
use crate::inventory::{Address, AddressError, Host};

const DEFAULT_PORT: u16 = 22;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_IDENTITIES: [&str; 2] = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa"];
const DEFAULT_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
const SYSTEM_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
/// Jump hosts whose own configuration names jump hosts, and so on.
const DEEPEST_JUMP: usize = 8;

/// Everything that is needed to open a session.
#[derive(Debug, Clone)]
pub struct Target {
    /// What people call it.
    pub name: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub trust: HostTrust,
    pub identities: Identities,
    /// Hosts to go through, the nearest first.
    pub jumps: Vec<Target>,
    pub connect_timeout: Duration,
}

/// How the host proves that it is the host.
#[derive(Debug, Clone)]
pub enum HostTrust {
    /// By one of these keys.
    Pinned(Vec<PublicKey>),
    /// By a record under this name in these files.
    KnownHosts {
        host: String,
        port: u16,
        files: Vec<PathBuf>,
    },
}

/// With what the person proves to be the person.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    pub agent_socket: Option<PathBuf>,
    pub files: Vec<PathBuf>,
    /// The files were named by the person, so a missing one is worth a word.
    pub explicit: bool,
    /// Offer no key of the agent but those of `files`.
    pub only: bool,
}

/// What this machine and this person bring along.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub home: PathBuf,
    pub config: PathBuf,
    /// The person's name on this machine.
    pub local_user: Option<String>,
    /// `LONGSHORE_USER`.
    pub forced_user: Option<String>,
    pub agent_socket: Option<PathBuf>,
}

#[derive(Debug, Error)]
pub enum TargetError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("nothing tells which user to log in as")]
    NoUser,
    #[error("`{text}` is not a host to jump through")]
    Jump {
        text: String,
        #[source]
        source: AddressError,
    },
    #[error("jump hosts go through each other without end")]
    JumpLoop,
}

impl Surroundings {
    pub fn of_this_process() -> Self {
        let word = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let home = env::home_dir().unwrap_or_else(|| PathBuf::from("."));
        Surroundings {
            config: home.join(".ssh/config"),
            home,
            local_user: word("USER").or_else(|| word("LOGNAME")).or_else(own_name),
            forced_user: word("LONGSHORE_USER"),
            agent_socket: word("SSH_AUTH_SOCK").map(PathBuf::from),
        }
    }

    fn settings(&self, alias: &str) -> Result<HostSettings, ConfigError> {
        let settings = config_file::settings_for(alias, &self.config, &self.home)?;
        for note in &settings.notes {
            tracing::debug!(host = alias, "{note}");
        }
        Ok(settings)
    }
}

impl Target {
    /// How to reach a host of the inventory.
    pub fn of_host(host: &Host, around: &Surroundings) -> Result<Self, TargetError> {
        let settings = around.settings(host.address.host())?;
        let user = around.forced_user.clone().or_else(|| host.user.clone());
        let mut target = Self::build(&host.address, user, settings, around, 0)?;
        target.name = host.name.to_string();
        if !host.host_keys.is_empty() {
            target.trust = HostTrust::Pinned(host.host_keys.clone());
        }
        Ok(target)
    }

    fn build(
        address: &Address,
        user: Option<String>,
        settings: HostSettings,
        around: &Surroundings,
        depth: usize,
    ) -> Result<Self, TargetError> {
        let alias = address.host();
        let host = match &settings.host_name {
            Some(name) => name.replace("%h", alias).replace("%%", "%"),
            None => alias.to_owned(),
        };
        let port = address.port().or(settings.port).unwrap_or(DEFAULT_PORT);
        let user = user
            .or_else(|| settings.user.clone())
            .or_else(|| around.local_user.clone())
            .ok_or(TargetError::NoUser)?;
        let words = Words {
            alias,
            host: &host,
            port,
            user: &user,
            around,
        };
        let trust = words.trust(&settings);
        let identities = words.identities(&settings);
        let jumps = jumps(settings.proxy_jump.as_deref(), around, depth)?;
        Ok(Target {
            name: alias.to_owned(),
            trust,
            identities,
            jumps,
            connect_timeout: settings.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            host,
            port,
            user,
        })
    }

    /// Host and port as one text.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// `a,b,c`: through `a`, then `b`, then `c`. The configuration may send `a` through others still.
fn jumps(
    text: Option<&str>,
    around: &Surroundings,
    depth: usize,
) -> Result<Vec<Target>, TargetError> {
    let Some(text) = text.filter(|text| !text.eq_ignore_ascii_case("none")) else {
        return Ok(Vec::new());
    };
    if depth >= DEEPEST_JUMP {
        return Err(TargetError::JumpLoop);
    }
    let mut chain = Vec::new();
    for (index, hop) in text.split(',').enumerate() {
        let hop = hop.trim();
        let plain = hop
            .strip_prefix("ssh://")
            .unwrap_or(hop)
            .trim_end_matches('/');
        let (user, address) = match plain.rsplit_once('@') {
            Some((user, address)) => (Some(user.to_owned()), address),
            None => (None, plain),
        };
        let address: Address = address.parse().map_err(|source| TargetError::Jump {
            text: hop.to_owned(),
            source,
        })?;
        let mut settings = around.settings(address.host())?;
        // Only the first hop is reached by its own configuration; the others by the hop before.
        if index > 0 {
            settings.proxy_jump = None;
        }
        let mut target = Target::build(&address, user, settings, around, depth + 1)?;
        chain.append(&mut target.jumps);
        chain.push(target);
    }
    Ok(chain)
}

/// What the percent signs in names of files stand for.
struct Words<'a> {
    alias: &'a str,
    host: &'a str,
    port: u16,
    user: &'a str,
    around: &'a Surroundings,
}

impl Words<'_> {
    fn path(&self, text: &str) -> PathBuf {
        let mut expanded = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            match chars.next() {
                Some('d') => expanded.push_str(&self.around.home.to_string_lossy()),
                Some('h') => expanded.push_str(self.host),
                Some('n') => expanded.push_str(self.alias),
                Some('p') => expanded.push_str(&self.port.to_string()),
                Some('r') => expanded.push_str(self.user),
                Some('u') => expanded.push_str(self.around.local_user.as_deref().unwrap_or("")),
                Some('%') => expanded.push('%'),
                Some(other) => expanded.extend(['%', other]),
                None => expanded.push('%'),
            }
        }
        config_file::expand_home(&expanded, &self.around.home)
    }

    fn paths<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Vec<PathBuf> {
        texts
            .into_iter()
            .filter(|text| !text.eq_ignore_ascii_case("none"))
            .map(|text| self.path(text))
            .collect()
    }

    fn trust(&self, settings: &HostSettings) -> HostTrust {
        let mut files = match &settings.user_known_hosts_files {
            Some(files) => self.paths(files.iter().map(String::as_str)),
            None => self.paths(DEFAULT_KNOWN_HOSTS),
        };
        files.extend(SYSTEM_KNOWN_HOSTS.map(PathBuf::from));
        match &settings.host_key_alias {
            // As in OpenSSH, an alias stands for the host whatever its port.
            Some(alias) => HostTrust::KnownHosts {
                host: alias.clone(),
                port: DEFAULT_PORT,
                files,
            },
            None => HostTrust::KnownHosts {
                host: self.host.to_owned(),
                port: self.port,
                files,
            },
        }
    }

    fn identities(&self, settings: &HostSettings) -> Identities {
        let explicit = !settings.identity_files.is_empty();
        let files = if explicit {
            self.paths(settings.identity_files.iter().map(String::as_str))
        } else {
            self.paths(DEFAULT_IDENTITIES)
        };
        let agent_socket = match settings.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => self.around.agent_socket.clone(),
            Some(none) if none.eq_ignore_ascii_case("none") => None,
            Some(variable) if variable.starts_with('$') => {
                env::var_os(variable.trim_start_matches('$')).map(PathBuf::from)
            }
            Some(path) => Some(self.path(path)),
        };
        Identities {
            agent_socket,
            files,
            explicit,
            only: settings.identities_only.unwrap_or(false),
        }
    }
}

/// Where nobody logged in, as in CI and in containers: the name that this process runs under.
fn own_name() -> Option<String> {
    let output = std::process::Command::new("id").arg("-un").output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    let name = name.trim();
    (output.status.success() && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use longshore_shared::name::HostName;

    fn around(config: &str) -> (tempfile::TempDir, Surroundings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, config).unwrap();
        let around = Surroundings {
            home: "/home/me".into(),
            config: path,
            local_user: Some("me".into()),
            forced_user: None,
            agent_socket: Some("/tmp/agent".into()),
        };
        (folder, around)
    }

    fn host(address: &str) -> Host {
        Host {
            name: HostName::new("web-1").unwrap(),
            address: address.parse().unwrap(),
            user: None,
            roles: vec![],
            host_keys: vec![],
        }
    }

    #[test]
    fn nothing_but_an_address_is_enough() {
        let (_folder, around) = around("");
        let target = Target::of_host(&host("2001:db8::7"), &around).unwrap();
        assert_eq!(
            (target.address().as_str(), target.user.as_str()),
            ("[2001:db8::7]:22", "me")
        );
        assert_eq!(
            target.identities.files[0],
            Path::new("/home/me/.ssh/id_ed25519")
        );
        assert!(!target.identities.explicit && target.jumps.is_empty());
        let HostTrust::KnownHosts { files, .. } = target.trust else {
            panic!()
        };
        assert_eq!(files[0], Path::new("/home/me/.ssh/known_hosts"));
    }

    #[test]
    fn users_are_taken_in_their_order() {
        let (_folder, mut around) = around("Host web\nUser fromconfig\n");
        let mut host = host("web");
        assert_eq!(Target::of_host(&host, &around).unwrap().user, "fromconfig");
        host.user = Some("frominventory".into());
        assert_eq!(
            Target::of_host(&host, &around).unwrap().user,
            "frominventory"
        );
        around.forced_user = Some("forced".into());
        assert_eq!(Target::of_host(&host, &around).unwrap().user, "forced");
    }

    #[test]
    fn the_inventory_port_is_stronger_than_the_configuration() {
        let (_folder, around) = around("Host web\nPort 2000\nHostName %h.example.com\n");
        let target = Target::of_host(&host("web"), &around).unwrap();
        assert_eq!(target.address(), "web.example.com:2000");
        assert_eq!(Target::of_host(&host("web:22"), &around).unwrap().port, 22);
    }

    #[test]
    fn chains_of_jumps_are_put_in_order() {
        let (_folder, around) = around(
            "Host web\nProxyJump ops@near:2222,ssh://[2001:db8::1]:22\nHost near\nProxyJump gate\nHost gate\nUser keeper\n",
        );
        let target = Target::of_host(&host("web"), &around).unwrap();
        let hops: Vec<_> = target
            .jumps
            .iter()
            .map(|j| format!("{}@{}", j.user, j.address()))
            .collect();
        assert_eq!(
            hops,
            ["keeper@gate:22", "ops@near:2222", "me@[2001:db8::1]:22"]
        );
    }

    #[test]
    fn jumps_in_a_circle_are_found() {
        let (_folder, around) = around("Host a\nProxyJump b\nHost b\nProxyJump a\n");
        assert!(matches!(
            Target::of_host(&host("a"), &around),
            Err(TargetError::JumpLoop)
        ));
    }

    #[test]
    fn aliases_agents_and_tokens_are_followed() {
        let (_folder, around) = around(
            "Host web\nHostKeyAlias prod\nIdentityAgent none\nIdentityFile %d/.ssh/%n_%r\nPort 2022\n",
        );
        let target = Target::of_host(&host("web"), &around).unwrap();
        assert_eq!(target.identities.agent_socket, None);
        assert_eq!(target.identities.files, [Path::new("/home/me/.ssh/web_me")]);
        let HostTrust::KnownHosts { host, port, .. } = target.trust else {
            panic!()
        };
        assert_eq!((host.as_str(), port), ("prod", 22));
    }
}
