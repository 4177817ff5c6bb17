//! Hosts for stories: booted once for all of them, leased to one story at a time, and as good as
//! new whenever they are leased.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use longshore_lab::base::{self, Kind};
use longshore_lab::controller::{Answer, Controller};
use longshore_lab::host::Host;
use longshore_lab::keys::Key;
use longshore_lab::lab::{self, Claim, Lab, Plan};
use longshore_lab::load::Load;
use longshore_lab::place::Place;
use longshore_lab::provision::Bare;
use longshore_lab::sample::{Behaviour, Repository, Sample};
use longshore_lab::{binaries, inventory, sample, say};
use tempfile::TempDir;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Far more than there are processors: most of the time a story waits. None can have more than these.
pub(crate) const HOSTS: usize = 6;
pub(crate) const ENVIRONMENT: &str = "demo";

static STAGE: OnceLock<std::result::Result<Stage, String>> = OnceLock::new();

struct Stage {
    lab: Lab,
    plan: Plan,
    controller: PathBuf,
    place: Place,
    claim: Claim,
    free: Mutex<Vec<usize>>,
    returned: Condvar,
}

fn stage() -> Result<&'static Stage> {
    let stage = STAGE.get_or_init(|| Stage::build().map_err(|error| say::causes(error.as_ref())));
    stage.as_ref().map_err(|error| error.clone().into())
}

/// Takes the hosts down, if any story booted them.
pub(crate) fn strike() {
    let Some(Ok(stage)) = STAGE.get() else { return };
    if let Err(error) = lab::down(&stage.place, &stage.claim) {
        say::error(&error);
    }
}

impl Stage {
    fn build() -> Result<Self> {
        let place = Place::from_environment()?.beside("test")?;
        let claim = lab::claim_in_turn(&place)?;
        let product = binaries::product()?;
        let controller = binaries::controller()?;
        let plan = Plan {
            hosts: HOSTS,
            environment: ENVIRONMENT.to_owned(),
            apps: sample::apps(),
            product: Some(product),
            bare: None,
        };
        let lab = Lab::up(&place, &plan, &claim)?;
        let free = Mutex::new((0..HOSTS).collect());
        Ok(Self {
            lab,
            plan,
            controller,
            place,
            claim,
            free,
            returned: Condvar::new(),
        })
    }

    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hosts that one story has for itself, with an operator's files for them.
pub(crate) struct Lease {
    stage: &'static Stage,
    taken: Vec<usize>,
    folder: TempDir,
    pub(crate) hosts: Vec<Host>,
}

thread_local! {
    /// Since when the story of this thread has had hosts.
    static WITH_HOSTS_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// How long this thread's story has had hosts, if it took any.
pub(crate) fn seconds_with_hosts() -> Option<f64> {
    let since = WITH_HOSTS_SINCE.with(Cell::take)?;
    Some(since.elapsed().as_secs_f64())
}

/// Waits for so many hosts, and gives them as good as new.
pub(crate) fn lease(count: usize) -> Result<Lease> {
    let lease = take(count)?;
    lease.renew_all(&lease.stage.plan)?;
    Ok(lease)
}

/// The same for hosts as a provider hands them over.
pub(crate) fn lease_bare(count: usize, bare: Bare) -> Result<Lease> {
    let mut lease = take(count)?;
    let base = base::ready(Kind::Bare(bare.suite), &lease.cache())?;
    for host in &mut lease.hosts {
        host.base.clone_from(&base);
    }
    let plan = Plan {
        product: None,
        bare: Some(bare),
        ..lease.stage.plan.clone()
    };
    lease.renew_all(&plan)?;
    Ok(lease)
}

fn take(count: usize) -> Result<Lease> {
    let stage = stage()?;
    assert!(count <= HOSTS, "the stage has {HOSTS} hosts");
    let taken = {
        let mut free = stage.free();
        while free.len() < count {
            free = stage
                .returned
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let rest = free.len() - count;
        let mut taken = free.split_off(rest);
        taken.sort_unstable();
        taken
    };
    WITH_HOSTS_SINCE.with(|since| since.set(since.get().or(Some(Instant::now()))));
    let hosts: Vec<Host> = taken
        .iter()
        .filter_map(|index| stage.lab.hosts.get(*index).cloned())
        .collect();
    let lease = Lease {
        stage,
        taken,
        folder: tempfile::tempdir()?,
        hosts,
    };
    lease.write_inventory(&[Sample::Cortico, Sample::Tiny])?;
    inventory::write_home(&lease.home(), &stage.lab.keys.operator.file)?;
    Ok(lease)
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stage.free().append(&mut self.taken);
        self.stage.returned.notify_all();
    }
}

impl Lease {
    fn renew_all(&self, plan: &Plan) -> Result<()> {
        thread::scope(|scope| {
            let lab = &self.stage.lab;
            let renewed: Vec<_> = self
                .hosts
                .iter()
                .map(|host| scope.spawn(move || lab.renew(host, plan)))
                .collect();
            for host in renewed {
                host.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(())
        })
    }

    /// Gives one bare host as new, as its provider would.
    pub(crate) fn renew_bare(&self, host: &Host, bare: Bare) -> Result<()> {
        let plan = Plan {
            product: None,
            bare: Some(bare),
            ..self.stage.plan.clone()
        };
        Ok(self.stage.lab.renew(host, &plan)?)
    }

    /// Pulls or plugs a host's cable.
    pub(crate) fn plug(&self, host: &Host, connected: bool) -> Result<()> {
        Ok(self.stage.lab.network.plug(host.index, connected)?)
    }

    /// The story's own folder, gone with the lease.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What all labs share.
    pub(crate) fn cache(&self) -> PathBuf {
        self.stage.place.cache()
    }

    fn home(&self) -> PathBuf {
        self.folder().join("home")
    }

    pub(crate) fn inventory(&self) -> PathBuf {
        self.folder().join("inventory.toml")
    }

    fn write_inventory(&self, samples: &[Sample]) -> Result<()> {
        let domains: Vec<(&str, String)> = samples
            .iter()
            .map(|sample| (sample.name(), sample.domain()))
            .collect();
        let apps: BTreeMap<&str, &str> = domains
            .iter()
            .map(|(name, domain)| (*name, domain.as_str()))
            .collect();
        let hosts: Vec<&Host> = self.hosts.iter().collect();
        fs_err::write(
            self.inventory(),
            inventory::render(ENVIRONMENT, &hosts, &apps),
        )?;
        Ok(())
    }

    /// The operator's controller for these hosts and this app.
    pub(crate) fn controller(&self, sample: Sample) -> Controller {
        Controller::of(&self.stage.lab, &self.stage.controller)
            .with_inventory(&self.inventory())
            .with_home(&self.home())
            .in_folder(self.folder())
            .for_app(sample.name())
    }

    /// A fresh repository of an app.
    pub(crate) fn repository(&self, sample: Sample) -> Result<Repository> {
        Ok(Repository::create(
            sample,
            &self.folder().join(sample.name()),
        )?)
    }

    /// The file of the key that the hosts trust.
    pub(crate) fn signing_key(&self) -> String {
        self.stage.lab.keys.signing.file.display().to_string()
    }

    /// Commits and builds a version; returns the tarball, with its manifest and signature beside
    /// it.
    pub(crate) fn release(
        &self,
        repository: &Repository,
        version: &str,
        behaviour: &Behaviour,
    ) -> Result<String> {
        repository.commit(version, behaviour)?;
        let key = self.signing_key();
        let tag = format!("v{version}");
        let controller = self
            .controller(repository.sample())
            .in_folder(repository.folder());
        let words = ["build", "--ref", &tag, "--version", version, "--key", &key];
        let answer = controller.run(&words)?;
        assert_eq!(
            answer.code,
            Some(0),
            "longshore build {version}: {}",
            answer.all()
        );
        Ok(repository.tarball(version).display().to_string())
    }

    /// What the operator logs in with.
    pub(crate) fn operator_key(&self) -> &Key {
        &self.stage.lab.keys.operator
    }

    /// The public half of the key that releases are signed with.
    pub(crate) fn signing_public(&self) -> String {
        self.stage.lab.keys.signing.pinned()
    }

    /// The agent that was built for the hosts.
    pub(crate) fn agent(&self) -> Result<String> {
        let product = self
            .stage
            .plan
            .product
            .as_ref()
            .ok_or("no agent was built")?;
        Ok(product.agent.display().to_string())
    }

    /// Deploys a tarball to all leased hosts.
    pub(crate) fn deploy(&self, sample: Sample, release: &str) -> Result<Answer> {
        Ok(self
            .controller(sample)
            .run(&["deploy", ENVIRONMENT, "--release", release])?)
    }

    /// A load on an app on all leased hosts, not started yet.
    pub(crate) fn load(&self, sample: Sample) -> Load {
        let targets = self
            .hosts
            .iter()
            .map(|host| SocketAddr::from((host.address, 80)))
            .collect();
        Load::on(targets, &sample.domain())
    }
}
