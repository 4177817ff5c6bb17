//! What a host gets before its first boot, written straight into its files: it stands in for
//! `longshore bootstrap` and for the image that a provider would have booted.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::accounts::{AGENT_GROUP, AGENT_GROUP_ID, Accounts, OPERATOR, PROVIDERS, STRANGER, User};
use crate::base::Suite;

/// Where units go. One in /etc could not be masked.
const UNITS: &str = "usr/local/lib/systemd/system";

/// The agent and what it needs on a host.
#[derive(Debug, Clone)]
pub struct Product {
    /// The static binary.
    pub agent: PathBuf,
    /// Its version, which names its folder on the host.
    pub version: String,
    /// The folder of the units that are installed and enabled.
    pub units: PathBuf,
}

/// An app that a host may run.
#[derive(Debug, Clone)]
pub struct App {
    /// Its name in `host.toml`.
    pub name: String,
    /// The domain that nginx answers for it.
    pub domain: String,
}

/// A host as a provider hands it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bare {
    /// Its Debian.
    pub suite: Suite,
    /// As whom the operator may log in.
    pub login: Login,
}

/// Whom a provider lets in, with the operator's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// root
    Root,
    /// `debian`, who may use sudo without a password; root may not log in.
    Sudo,
    /// `debian`, whose sudo asks for a password.
    SudoWithPassword,
}

/// Everything about one host that its files must say.
#[derive(Debug, Clone)]
pub struct HostFiles<'a> {
    /// The host's name.
    pub name: &'a str,
    /// Its environment.
    pub environment: &'a str,
    /// What may run on it.
    pub apps: &'a [App],
    /// Public half of the lab's own key, for root.
    pub root_key: &'a str,
    /// Public half of the operator's key.
    pub operator_key: &'a str,
    /// Public half of the key that releases are signed with, without its comment.
    pub signing_key: &'a str,
    /// The host's private SSH key.
    pub host_key: &'a Path,
    /// The agent, where the lab boots hosts with one.
    pub product: Option<&'a Product>,
    /// For a bare host, which has nothing of Longshore's.
    pub login: Option<Login>,
}

/// The `host.toml` of a host.
pub fn host_toml(environment: &str, name: &str, apps: &[App]) -> String {
    let mut text = format!(
        "environment = \"{environment}\"\nhost = \"{name}\"\n\n[access]\n\
         deploy = [\"@{AGENT_GROUP}\"]\nsettings = [\"@{AGENT_GROUP}\"]\n"
    );
    for app in apps {
        text.push_str(&format!(
            "\n[apps.{}]\ndomain = \"{}\"\n",
            app.name, app.domain
        ));
    }
    text
}

/// Writes all of it into the host's own layer over the base.
pub fn write(layer: &Path, base: &Path, files: &HostFiles<'_>) -> Result<(), io::Error> {
    let layer = Layer { own: layer, base };
    layer.file("etc/hostname", 0o644, format!("{}\n", files.name))?;
    layer.file(
        "etc/hosts",
        0o644,
        format!("127.0.0.1 localhost\n127.0.1.1 {}\n", files.name),
    )?;
    layer.file("etc/resolv.conf", 0o644, name_servers())?;
    ssh(&layer, files)?;
    if let Some(login) = files.login {
        return bare(&layer, files, login);
    }
    accounts(&layer, files)?;
    layer.folder("etc/longshore/apps", 0o755)?;
    layer.folder("srv/longshore", 0o755)?;
    layer.folder("var/lib/longshore", 0o700)?;
    let host_toml = host_toml(files.environment, files.name, files.apps);
    layer.file("etc/longshore/host.toml", 0o644, host_toml)?;
    let signers = format!(
        "release@example.com namespaces=\"longshore-release\" {}\n",
        files.signing_key
    );
    layer.file("etc/longshore/allowed_signers", 0o644, signers)?;
    layer.file("etc/longshore/revoked_signers", 0o644, "")?;
    let policy = "forward_only = false\n";
    layer.file("etc/longshore/release_policy.toml", 0o644, policy)?;
    match files.product {
        Some(product) => install(&layer, product),
        None => Ok(()),
    }
}

/// Root is let in with the operator's key, or somebody who may become root is.
fn bare(layer: &Layer<'_>, files: &HostFiles<'_>, login: Login) -> Result<(), io::Error> {
    let key = files.operator_key;
    if login == Login::Root {
        let keys = format!("{key}\n{}\n", files.root_key);
        return layer.file("root/.ssh/authorized_keys", 0o600, keys);
    }
    let mut accounts = Accounts::read(layer.base)?;
    accounts.add_user(&PROVIDERS);
    accounts.write(layer)?;
    home(layer, &PROVIDERS, key)?;
    let password = match login {
        Login::SudoWithPassword => "",
        _ => "NOPASSWD: ",
    };
    let line = format!("{} ALL=(ALL) {password}ALL\n", PROVIDERS.name);
    layer.file("etc/sudoers.d/90-cloud-init-users", 0o440, line)
}

fn accounts(layer: &Layer<'_>, files: &HostFiles<'_>) -> Result<(), io::Error> {
    let mut accounts = Accounts::read(layer.base)?;
    accounts.add_group(AGENT_GROUP, AGENT_GROUP_ID);
    for user in [OPERATOR, STRANGER] {
        accounts.add_user(&user);
        home(layer, &user, files.operator_key)?;
    }
    accounts.write(layer)
}

impl Accounts {
    fn read(base: &Path) -> Result<Self, io::Error> {
        let read = |name: &str| fs_err::read_to_string(base.join("etc").join(name));
        Ok(Self {
            passwd: read("passwd")?,
            shadow: read("shadow")?,
            group: read("group")?,
            gshadow: read("gshadow")?,
        })
    }

    fn write(self, layer: &Layer<'_>) -> Result<(), io::Error> {
        layer.file("etc/passwd", 0o644, self.passwd)?;
        layer.file("etc/shadow", 0o600, self.shadow)?;
        layer.file("etc/group", 0o644, self.group)?;
        layer.file("etc/gshadow", 0o600, self.gshadow)
    }
}

fn home(layer: &Layer<'_>, user: &User, key: &str) -> Result<(), io::Error> {
    let ssh = format!("home/{}/.ssh", user.name);
    layer.folder(&ssh, 0o700)?;
    let keys = format!("{ssh}/authorized_keys");
    layer.file(&keys, 0o600, format!("{key}\n"))?;
    for path in [&format!("home/{}", user.name), &ssh, &keys] {
        chown(layer.own.join(path), Some(user.uid), Some(user.uid))?;
    }
    Ok(())
}

fn ssh(layer: &Layer<'_>, files: &HostFiles<'_>) -> Result<(), io::Error> {
    layer.file(
        "etc/ssh/ssh_host_ed25519_key",
        0o600,
        fs_err::read(files.host_key)?,
    )?;
    layer.folder("root/.ssh", 0o700)?;
    layer.file(
        "root/.ssh/authorized_keys",
        0o600,
        format!("{}\n", files.root_key),
    )
}

fn install(layer: &Layer<'_>, product: &Product) -> Result<(), io::Error> {
    let binary = format!(
        "usr/local/lib/longshore/{}/longshore-agent",
        product.version
    );
    layer.file(&binary, 0o755, fs_err::read(&product.agent)?)?;
    layer.link("usr/local/bin/longshore-agent", &format!("/{binary}"))?;
    for entry in fs_err::read_dir(&product.units)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if !name.ends_with(".service") {
            continue;
        }
        let unit = fs_err::read_to_string(&path)?;
        layer.file(&format!("{UNITS}/{name}"), 0o644, &unit)?;
        for target in wanted_by(&unit) {
            let link = format!("etc/systemd/system/{target}/{name}");
            layer.link(&link, &format!("/{UNITS}/{name}"))?;
        }
    }
    Ok(())
}

/// The folders in which `systemctl enable` would link a unit.
fn wanted_by(unit: &str) -> Vec<String> {
    unit.lines()
        .filter_map(|line| {
            let (key, targets) = line.split_once('=')?;
            let folder = match key.trim() {
                "WantedBy" => "wants",
                "RequiredBy" => "requires",
                _ => return None,
            };
            Some(
                targets
                    .split_whitespace()
                    .map(move |target| format!("{target}.{folder}")),
            )
        })
        .flatten()
        .collect()
}

/// The machine's name servers that can be reached from elsewhere than the machine itself.
fn name_servers() -> String {
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .filter_map(|path| fs_err::read_to_string(path).ok())
        .map(|text| reachable(&text))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

fn reachable(resolv_conf: &str) -> String {
    resolv_conf
        .lines()
        .filter(|line| line.starts_with("nameserver "))
        .filter(|line| !line.contains(" 127.") && !line.contains(" ::1"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// A host's own layer. A folder that is made here hides the mode and owner of the base's, so each
/// takes over the base's.
struct Layer<'a> {
    own: &'a Path,
    base: &'a Path,
}

impl Layer<'_> {
    fn folder(&self, path: &str, mode: u32) -> Result<(), io::Error> {
        let mut here = PathBuf::new();
        for part in Path::new(path) {
            here.push(part);
            let own = self.own.join(&here);
            if own.exists() {
                continue;
            }
            fs_err::create_dir(&own)?;
            let base = fs_err::metadata(self.base.join(&here)).ok();
            let mode = match &base {
                Some(base) => base.mode(),
                None if here == Path::new(path) => mode,
                None => 0o755,
            };
            fs_err::set_permissions(&own, PermissionsExt::from_mode(mode & 0o7777))?;
            if let Some(base) = base {
                chown(&own, Some(base.uid()), Some(base.gid()))?;
            }
        }
        Ok(())
    }

    fn file(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Result<(), io::Error> {
        self.parent(path)?;
        let own = self.own.join(path);
        fs_err::write(&own, content)?;
        fs_err::set_permissions(&own, PermissionsExt::from_mode(mode))
    }

    fn link(&self, path: &str, target: &str) -> Result<(), io::Error> {
        self.parent(path)?;
        symlink(target, self.own.join(path))
    }

    fn parent(&self, path: &str) -> Result<(), io::Error> {
        path.rsplit_once('/')
            .map_or(Ok(()), |(parent, _)| self.folder(parent, 0o755))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_enabled_as_systemctl_would() {
        let unit = "[Unit]\nDescription=x\n[Install]\nWantedBy=multi-user.target nginx.service\n";
        assert_eq!(
            wanted_by(unit),
            ["multi-user.target.wants", "nginx.service.wants"]
        );
    }

    #[test]
    fn a_resolver_that_only_the_machine_reaches_is_left_out() {
        let conf = "# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\noptions edns0\n";
        assert_eq!(reachable(conf), "nameserver 192.0.2.1\n");
    }

    #[test]
    fn a_made_folder_keeps_the_bases_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (own, base) = (folder.path().join("own"), folder.path().join("base"));
        fs_err::create_dir_all(base.join("root")).unwrap();
        fs_err::set_permissions(base.join("root"), PermissionsExt::from_mode(0o700)).unwrap();
        fs_err::create_dir(&own).unwrap();
        Layer {
            own: &own,
            base: &base,
        }
        .file("root/.ssh/authorized_keys", 0o600, "k")
        .unwrap();
        let mode = |path: &str| fs_err::metadata(own.join(path)).unwrap().mode() & 0o777;
        assert_eq!((mode("root"), mode("root/.ssh")), (0o700, 0o755));
        assert_eq!(mode("root/.ssh/authorized_keys"), 0o600);
    }
}
