//! A lab: hosts, their network, keys and inventory, in one folder.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::base::{self, Kind};
use crate::cgroup::{self, Cgroup};
use crate::host::{self, Host};
use crate::keys::{self, Key, KeyRing};
use crate::network::{self, Network};
use crate::place::Place;
use crate::provision::{self, App, Bare, HostFiles, Product};
use crate::{inventory, say};

/// Why a lab could not be built up, found or taken down.
#[derive(Debug, Error)]
pub enum Error {
    /// No lab of this name.
    #[error("the lab {0:?} is not up; `cargo lab up 3` boots three hosts")]
    NotUp(String),
    /// No such host.
    #[error("the lab has no host {wanted:?}; it has {known}")]
    NoHost {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// Another process builds it up or takes it down.
    #[error("another process is working on the lab {0:?}; wait for it, or set LONGSHORE_LAB=name")]
    Busy(String),
    /// The record cannot be understood.
    #[error("{path} is damaged; `cargo lab down` clears the lab all the same")]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Too many hosts.
    #[error("a lab has 1 to 200 hosts, not {0}")]
    Size(usize),
    /// The hosts' Debian.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// A host.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// A key.
    #[error(transparent)]
    Key(#[from] keys::Error),
    /// The lab's cgroup.
    #[error(transparent)]
    Cgroup(#[from] cgroup::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// What to boot.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many hosts.
    pub hosts: usize,
    /// The environment that they belong to.
    pub environment: String,
    /// What may run on them.
    pub apps: Vec<App>,
    /// The agent; none boots hosts without one.
    pub product: Option<Product>,
    /// Boots hosts as a provider hands them over, with nothing of Longshore's.
    pub bare: Option<Bare>,
}

/// What is written down before anything is made.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    network: Network,
    hosts: usize,
    environment: String,
    base: PathBuf,
}

/// A lab whose hosts run.
#[derive(Debug)]
pub struct Lab {
    place: Place,
    /// Its environment's name.
    pub environment: String,
    /// Its hosts in order.
    pub hosts: Vec<Host>,
    /// Its keys.
    pub keys: KeyRing,
    /// Its network.
    pub network: Network,
}

/// Held while a lab is built up, used by tests, or taken down.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

/// Claims a lab, or waits until whoever has it is done.
pub fn claim_in_turn(place: &Place) -> Result<Claim, Error> {
    fs_err::create_dir_all(place.labs())?;
    let lock = File::create(place.lock())?;
    lock.lock()?;
    Ok(Claim { _lock: lock })
}

/// Claims a lab, or says that another process has it.
pub fn claim(place: &Place) -> Result<Claim, Error> {
    fs_err::create_dir_all(place.labs())?;
    let lock = File::create(place.lock())?;
    match lock.try_lock() {
        Ok(()) => Ok(Claim { _lock: lock }),
        Err(TryLockError::WouldBlock) => Err(Error::Busy(place.name().to_owned())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

impl Lab {
    /// Clears whatever an earlier lab of this name left, then boots all hosts side by side.
    /// What cannot be built up whole is cleared again.
    pub fn up(place: &Place, plan: &Plan, claim: &Claim) -> Result<Self, Error> {
        down(place, claim)?;
        Self::build_up(place, plan).inspect_err(|_| {
            if let Err(error) = down(place, claim) {
                say::error(&error);
            }
        })
    }

    fn build_up(place: &Place, plan: &Plan) -> Result<Self, Error> {
        let count = u8::try_from(plan.hosts)
            .ok()
            .filter(|count| (1..=200).contains(count));
        let count = count.ok_or(Error::Size(plan.hosts))?;
        let kind = plan
            .bare
            .map_or(Kind::Serving, |bare| Kind::Bare(bare.suite));
        let base = base::ready(kind, &place.cache())?;
        let network = {
            // Two labs that start at once must not choose the same network.
            let lock = File::create(place.labs().join("network.lock"))?;
            lock.lock()?;
            let network = Network::choose(place.tag())?;
            let record = Record {
                network: network.clone(),
                hosts: plan.hosts,
                environment: plan.environment.clone(),
                base: base.clone(),
            };
            write_record(place, &record)?;
            network.create()?;
            network
        };
        let keys = KeyRing::generate(&place.folder().join("keys"))?;
        let raise = |index: u8| -> Result<Host, Error> {
            let name = host_name(index);
            fs_err::create_dir_all(host_folder(place, &name))?;
            Key::generate(&host_folder(place, &name).join("host_key"), &name)?;
            let host = find_host(place, &network, &base, index)?;
            network.connect(index)?;
            raise(&host, &keys, plan)?;
            Ok(host)
        };
        let hosts = thread::scope(|scope| {
            let started: Vec<_> = (0..count)
                .map(|index| scope.spawn(move || raise(index)))
                .collect();
            started
                .into_iter()
                .map(joined)
                .collect::<Result<Vec<_>, _>>()
        })?;
        let environment = plan.environment.clone();
        let lab = Self {
            place: place.clone(),
            environment,
            hosts,
            keys,
            network,
        };
        lab.write_people_files(plan)?;
        Ok(lab)
    }

    /// A lab that is up already.
    pub fn find(place: &Place) -> Result<Self, Error> {
        let record = read_record(place)?.ok_or_else(|| Error::NotUp(place.name().to_owned()))?;
        let count = u8::try_from(record.hosts).map_err(|_| Error::Size(record.hosts))?;
        let hosts = (0..count)
            .map(|index| find_host(place, &record.network, &record.base, index))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            place: place.clone(),
            environment: record.environment,
            hosts,
            keys: KeyRing::load(&place.folder().join("keys"))?,
            network: record.network,
        })
    }

    /// One host by name.
    pub fn host(&self, name: &str) -> Result<&Host, Error> {
        self.hosts
            .iter()
            .find(|host| host.name == name)
            .ok_or_else(|| Error::NoHost {
                wanted: name.to_owned(),
                known: self
                    .hosts
                    .iter()
                    .map(|host| host.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// Makes a host as good as new: killed, its layer thrown away, provisioned and booted again.
    /// Its name, address and keys stay.
    pub fn renew(&self, host: &Host, plan: &Plan) -> Result<(), Error> {
        host.kill()?;
        for old in ["upper", "work"] {
            let old = host.folder.join(old);
            if old.exists() {
                fs_err::remove_dir_all(old)?;
            }
        }
        self.network.reconnect(host.index)?;
        raise(host, &self.keys, plan)
    }

    /// Puts an agent where the operator's controller looks for those that it installs.
    pub fn offer_agent(&self, agent: &Path) -> Result<(), Error> {
        let machine = std::env::consts::ARCH;
        let folder = self
            .home()
            .join(".local/share/longshore/agents")
            .join(machine);
        fs_err::create_dir_all(&folder)?;
        fs_err::copy(agent, folder.join("longshore-agent"))?;
        Ok(())
    }

    /// Where the lab is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A home folder in which `~/.ssh/config` holds the operator's key.
    pub fn home(&self) -> PathBuf {
        self.place.folder().join("home")
    }

    fn write_people_files(&self, plan: &Plan) -> Result<(), Error> {
        let apps: BTreeMap<&str, &str> = plan
            .apps
            .iter()
            .map(|app| (app.name.as_str(), app.domain.as_str()))
            .collect();
        let hosts: Vec<&Host> = self.hosts.iter().collect();
        let mut text = inventory::render(&self.environment, &hosts, &apps);
        if plan.bare.is_some() {
            text = inventory::with_people(&text, &self.keys.operator.public);
        }
        fs_err::write(self.place.inventory(), text)?;
        let signers = format!(
            "release@example.com namespaces=\"longshore-release,longshore-signers\" {}\n",
            self.keys.signing.pinned()
        );
        fs_err::write(self.place.folder().join("allowed_signers"), signers)?;
        inventory::write_home(&self.home(), &self.keys.operator.file)?;
        Ok(())
    }
}

/// Takes down a lab, whole or not, whoever left it in whatever state.
pub fn down(place: &Place, _claim: &Claim) -> Result<(), Error> {
    let group = Cgroup::of_lab(place.tag())?;
    group.remove()?;
    cgroup::leave()?;
    network::clear(place.tag())?;
    if place.folder().exists() {
        fs_err::remove_dir_all(place.folder())?;
    }
    Ok(())
}

/// Writes a host's files and boots it.
fn raise(host: &Host, keys: &KeyRing, plan: &Plan) -> Result<(), Error> {
    let files = HostFiles {
        name: &host.name,
        environment: &plan.environment,
        apps: &plan.apps,
        root_key: &keys.root.public,
        operator_key: &keys.operator.public,
        signing_key: &keys.signing.pinned(),
        host_key: &host.host_key.file,
        product: plan.product.as_ref(),
        login: plan.bare.map(|bare| bare.login),
    };
    fs_err::create_dir_all(host.layer())?;
    provision::write(&host.layer(), &host.base, &files)?;
    let known = format!("{} {}\n", host.address, host.host_key.pinned());
    fs_err::write(host.folder.join("known_hosts"), known)?;
    host.boot()?;
    Ok(())
}

fn joined(handle: thread::ScopedJoinHandle<'_, Result<Host, Error>>) -> Result<Host, Error> {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn host_name(index: u8) -> String {
    format!("web-{}", u16::from(index) + 1)
}

fn host_folder(place: &Place, name: &str) -> PathBuf {
    place.folder().join("hosts").join(name)
}

fn find_host(place: &Place, network: &Network, base: &Path, index: u8) -> Result<Host, Error> {
    let name = host_name(index);
    let folder = host_folder(place, &name);
    Ok(Host {
        address: network.address(index),
        host_key: Key::load(&folder.join("host_key"))?,
        index,
        folder,
        base: base.to_path_buf(),
        namespace: network.namespace(index),
        machine: format!("longshore-{}-{name}", place.tag()),
        group: Cgroup::of_lab(place.tag())?.child(&name),
        root_key: place.folder().join("keys/root"),
        name,
    })
}

fn write_record(place: &Place, record: &Record) -> Result<(), Error> {
    fs_err::create_dir_all(place.folder())?;
    let path = place.record();
    let text = serde_json::to_string_pretty(record).map_err(|source| Error::Record {
        path: path.clone(),
        source,
    })?;
    let new = path.with_extension("new");
    fs_err::write(&new, text)?;
    fs_err::rename(new, path)?;
    Ok(())
}

fn read_record(place: &Place) -> Result<Option<Record>, Error> {
    let path = place.record();
    if !path.exists() {
        return Ok(None);
    }
    let text = fs_err::read_to_string(&path)?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|source| Error::Record { path, source })
}

/// Says in one line which hosts are up and where.
pub fn describe(lab: &Lab) {
    for host in &lab.hosts {
        say::line(&format!("{:<8} {}", host.name, host.address));
    }
}
