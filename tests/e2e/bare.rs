//! Bootstrap: from hosts as a provider hands them over to hosts that take deployments.

use std::process::Command;

use longshore_lab::base::Suite;
use longshore_lab::controller::{Answer, Controller};
use longshore_lab::host::Host;
use longshore_lab::provision::{Bare, Login};
use longshore_lab::sample::{Behaviour, Sample};
use serde_json::Value;

use crate::answers::{ended, hosts, kinds, live};
use crate::stage::{ENVIRONMENT, Lease, lease_bare};
use crate::terminal::Terminal;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "bare::debian_12_by_root_takes_deployments",
        tell: || takes_deployments(Suite::Bookworm, Login::Root),
    },
    Story {
        name: "bare::debian_13_by_sudo_takes_deployments",
        tell: || takes_deployments(Suite::Trixie, Login::Sudo),
    },
    Story {
        name: "bare::a_person_compares_the_key_and_types_passwords",
        tell: at_a_terminal,
    },
];

const TINY: Sample = Sample::Tiny;

/// The inventory of an operator who starts with bare hosts.
pub(crate) struct Fleet<'a> {
    lease: &'a Lease,
    /// Of `[setup]`.
    pub(crate) setup: String,
    /// Of `[people]`, beside the operator.
    pub(crate) people: String,
    /// Of the environment.
    pub(crate) environment: String,
    /// Of the app.
    pub(crate) app: String,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(lease: &'a Lease) -> Self {
        Self {
            lease,
            setup: String::new(),
            people: String::new(),
            environment: String::new(),
            app: String::new(),
        }
    }

    /// Written anew: what bootstrap pinned is gone.
    pub(crate) fn write(&self) -> Told {
        let signer = format!(
            "release@example.com namespaces=\"longshore-release,longshore-signers\" {}\n",
            self.lease.signing_public()
        );
        fs_err::write(self.lease.folder().join("allowed_signers"), signer)?;
        let mut text = format!(
            "# The fleet of a story.\n[fleet]\nsigners = \"allowed_signers\"\n\n[setup]\n{}\n\
             [people.ops1]\nkeys = [\"{}\"]\ngroups = [\"sudo\", \"dev\", \"longshore\"]\n{}\n\
             [environments.{ENVIRONMENT}]\n{}\n",
            self.setup,
            self.lease.operator_key().public.trim(),
            self.people,
            self.environment,
        );
        for host in &self.lease.hosts {
            text.push_str(&format!(
                "\n[[environments.{ENVIRONMENT}.hosts]]   # {}\nname = \"{}\"\naddress = \"{}\"\n\
                 user = \"ops1\"\nroles = [\"web\"]\n",
                host.name, host.name, host.address
            ));
        }
        text.push_str(&format!(
            "\n[environments.{ENVIRONMENT}.apps.tiny]\nhosts = [\"@web\"]\ndomain = \"{}\"\n{}",
            TINY.domain(),
            self.app
        ));
        fs_err::write(self.lease.inventory(), text)?;
        Ok(())
    }

    pub(crate) fn controller(&self) -> Controller {
        self.lease.controller(TINY)
    }

    /// `longshore bootstrap` with these words and the hosts' true keys.
    pub(crate) fn bootstrap(&self, words: &[&str]) -> Result<Answer, Box<dyn std::error::Error>> {
        self.bootstrap_with(&self.lease.agent()?, words)
    }

    /// The same with another agent.
    pub(crate) fn bootstrap_with(
        &self,
        agent: &str,
        words: &[&str],
    ) -> Result<Answer, Box<dyn std::error::Error>> {
        let all = self.words(agent, words);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Ok(self.controller().run(&all)?)
    }

    /// The same, not started yet.
    pub(crate) fn command(&self, words: &[&str]) -> Result<Command, Box<dyn std::error::Error>> {
        let all = self.words(&self.lease.agent()?, words);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Ok(self.controller().command(&all))
    }

    fn words(&self, agent: &str, words: &[&str]) -> Vec<String> {
        let mut all = vec!["bootstrap", ENVIRONMENT, "--agent", agent];
        all.extend(words);
        let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        for host in &self.lease.hosts {
            let key = format!("{}={}", host.name, host.host_key.pinned());
            all.extend(["--host-key".to_owned(), key]);
        }
        all
    }
}

/// The number of changes that each host tells.
pub(crate) fn changes(answer: &Answer) -> Vec<u64> {
    let number = |host: &Value| host["changes"].as_u64().unwrap_or(u64::MAX);
    hosts(answer).iter().map(number).collect()
}

/// What each host planned, one below the other.
pub(crate) fn planned(answer: &Answer) -> String {
    let lines = hosts(answer)
        .into_iter()
        .flat_map(|host| host["plan"].as_array().cloned().unwrap_or_default());
    lines
        .filter_map(|line| Some(line.as_str()?.to_owned() + "\n"))
        .collect()
}

/// A run that changed nothing.
#[track_caller]
pub(crate) fn nothing_to_do(answer: &Answer) {
    ended(answer, 0);
    assert!(
        changes(answer).iter().all(|number| *number == 0),
        "{}",
        answer.all()
    );
}

fn takes_deployments(suite: Suite, login: Login) -> Told {
    let lease = lease_bare(2, Bare { suite, login })?;
    let mut fleet = Fleet::new(&lease);
    if login == Login::Sudo {
        fleet.setup = "login = \"debian\"\n".to_owned();
    }
    fleet.write()?;
    let before = fs_err::read_to_string(lease.inventory())?;

    // Nobody is there to say that an unknown key is the host's.
    let agent = lease.agent()?;
    let stranger = fleet
        .controller()
        .run(&["bootstrap", ENVIRONMENT, "--agent", &agent])?;
    ended(&stranger, 4);
    assert_eq!(kinds(&stranger), ["refused"; 2], "{}", stranger.all());
    assert!(stranger.all().contains("--host-key"), "{}", stranger.all());

    let plan = fleet.bootstrap(&["--plan"])?;
    ended(&plan, 0);
    assert_eq!(kinds(&plan), ["differs"; 2], "{}", plan.all());
    for line in [
        "+ packages",
        "+ user ops1 in dev, longshore, sudo",
        "+ agent",
        "firewall",
    ] {
        assert!(planned(&plan).contains(line), "{line}: {}", plan.all());
    }
    for host in &lease.hosts {
        host.sh("! id ops1 2>/dev/null && ! command -v nginx && test ! -e /etc/longshore && test -z \"$(ls -d /root/.longshore* /home/*/.longshore* 2>/dev/null)\"")?;
    }
    assert_eq!(fs_err::read_to_string(lease.inventory())?, before);

    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["changed"; 2], "{}", answer.all());
    let pinned = fs_err::read_to_string(lease.inventory())?;
    let without: Vec<&str> = pinned
        .lines()
        .filter(|line| !line.starts_with("host_key"))
        .collect();
    assert_eq!(without, before.lines().collect::<Vec<_>>());
    for host in &lease.hosts {
        assert!(pinned.contains(&host.host_key.pinned()), "{pinned}");
        is_hardened(host)?;
    }
    nothing_to_do(&fleet.bootstrap(&[])?);

    let repository = lease.repository(TINY)?;
    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &release)?, 0);
    let status = fleet.controller().run(&["status", ENVIRONMENT])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"; 2], "{}", status.all());
    nothing_to_do(&fleet.bootstrap(&["--check"])?);
    Ok(())
}

/// Each of these units: systemctl itself is content with one of them.
pub(crate) fn run(host: &Host, units: &[&str]) -> Told {
    for unit in units {
        host.sh(&format!("systemctl is-active --quiet {unit}"))?;
    }
    Ok(())
}

/// Nobody comes in with a password or as root, and from outside only what should be is reached.
fn is_hardened(host: &Host) -> Told {
    host.sh("sshd -T | grep -qx 'passwordauthentication no'")?;
    host.sh("sshd -T | grep -qx 'permitrootlogin no'")?;
    host.sh("nft list table inet longshore | grep -q 'tcp dport { 22, 80, 443 } accept'")?;
    run(host, &["longshore-agent", "nginx"])?;
    host.sh("for unit in longshore-agent longshore-boot nginx; do systemctl is-enabled --quiet $unit || exit 1; done")?;
    host.sh("test ! -e /etc/nginx/sites-enabled/default && visudo -c -q")?;
    host.sh("sudo -u ops1 sudo -n true")?;
    Ok(())
}

fn at_a_terminal() -> Told {
    let suite = Suite::Bookworm;
    let lease = lease_bare(
        1,
        Bare {
            suite,
            login: Login::Root,
        },
    )?;
    let host = &lease.hosts[0];
    host.sh("useradd --create-home --groups sudo admin2 && cp -r /root/.ssh /home/admin2/ && chown -R admin2: /home/admin2")?;
    host.sh("echo admin2:secret | chpasswd")?;
    let mut fleet = Fleet::new(&lease);
    // People keep their passwords for sudo here.
    fleet.setup = "sudo_password = true\n[setup.sshd]\nroot_login = true\n".to_owned();
    fleet.write()?;
    let agent = lease.agent()?;
    let words = [
        "bootstrap",
        ENVIRONMENT,
        "--agent",
        &agent,
        "--login",
        "admin2",
    ];
    let command = || fleet.controller().command(&words);

    // It is not the same key, says the person.
    let mut terminal = Terminal::start(&command())?;
    terminal.answer("Is it the same?", "n")?;
    let (code, shown) = terminal.end()?;
    assert_eq!(code, Some(4), "{shown}");
    assert!(!fs_err::read_to_string(lease.inventory())?.contains("host_key"));

    let mut terminal = Terminal::start(&command())?;
    terminal.answer("Is it the same?", "y")?;
    for _ in 0..3 {
        terminal.answer("sudo password of admin2", "wrong")?;
    }
    let (code, shown) = terminal.end()?;
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("wrong sudo password of admin2"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");

    // The key was compared once, and is asked for no more; a change of sshd is confirmed without
    // another question.
    let pinned = fs_err::read_to_string(lease.inventory())?;
    assert!(pinned.contains(&host.host_key.pinned()), "{pinned}");
    let mut terminal = Terminal::start(&command())?;
    terminal.answer("sudo password of admin2", "secret")?;
    let (code, shown) = terminal.end()?;
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        !shown.contains("secret") && !shown.contains("Is it the same?"),
        "{shown}"
    );
    host.sh(
        "test ! -e /etc/sudoers.d/longshore && sshd -T | grep -qx 'passwordauthentication no'",
    )?;
    run(host, &["longshore-agent", "nginx"])
}
