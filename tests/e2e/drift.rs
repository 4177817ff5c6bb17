//! Bootstrap again: what drifted is found and mended, people come and go, and nobody is locked out.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use longshore_lab::base::Suite;
use longshore_lab::keys::Key;
use longshore_lab::load::Connections;
use longshore_lab::provision::{Bare, Login};
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, kinds};
use crate::bare::{Fleet, changes, nothing_to_do, planned, run};
use crate::logins::{gets_in, ssh};
use crate::patience::until;
use crate::stage::{ENVIRONMENT, lease_bare};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "drift::is_found_and_mended_and_people_come_and_go",
        tell: found_and_mended,
    },
    Story {
        name: "drift::a_change_that_locks_everybody_out_is_taken_back",
        tell: taken_back,
    },
    Story {
        name: "drift::an_sshd_that_systemd_starts_is_ruled_the_same",
        tell: started_by_systemd,
    },
    Story {
        name: "drift::a_rebuilt_host_begins_with_the_signers_of_the_others",
        tell: rebuilt,
    },
    Story {
        name: "drift::the_agent_is_upgraded_under_load",
        tell: upgraded_under_load,
    },
];

const TINY: Sample = Sample::Tiny;
const ROOT: Bare = Bare {
    suite: Suite::Bookworm,
    login: Login::Root,
};

fn found_and_mended() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    let dev = Key::generate(&lease.folder().join("dev2"), "dev2")?;
    let mut fleet = Fleet::new(&lease);
    fleet.setup = "timezone = \"Europe/Berlin\"\npackages = [\"file\"]\nfail2ban = true\n\
                   sysctl = { \"net.core.somaxconn\" = 1024 }\n"
        .to_owned();
    fleet.people = format!(
        "[people.dev2]\nkeys = [\"{}\"]\ngroups = [\"dev\"]\n",
        dev.public.trim()
    );
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    nothing_to_do(&fleet.bootstrap(&[])?);
    assert!(gets_in(host, &dev, "dev2")?);
    assert_eq!(
        host.sh("readlink /etc/localtime")?.trim(),
        "/usr/share/zoneinfo/Europe/Berlin"
    );

    // By hand.
    host.sh(
        "echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-longshore.conf && systemctl reload ssh && \
         apt-get -qq -y purge file >/dev/null && useradd --create-home mallory && \
         gpasswd -d ops1 dev >/dev/null && echo 'ssh-ed25519 AAAA evil' >> /home/dev2/.ssh/authorized_keys && \
         systemctl stop longshore-agent nginx fail2ban && nft insert rule inet longshore input accept && \
         echo '# more' >> /etc/longshore/host.toml && chmod 666 /etc/longshore/allowed_signers && \
         rm /usr/local/lib/systemd/system/longshore-boot.service",
    )?;
    let check = fleet.bootstrap(&["--check"])?;
    ended(&check, 1);
    assert_eq!(kinds(&check), ["differs"]);
    for words in [
        "+ packages file",
        "~ user ops1 in dev, longshore, sudo (was in longshore, sudo)",
        "~ 1 key of dev2",
        "~ who the host is",
        "~ whom the host trusts (/etc/longshore/allowed_signers)",
        "+ unit (/usr/local/lib/systemd/system/longshore-boot.service)",
        "~ agent runs",
        "~ nginx runs",
        "~ fail2ban runs",
        "~ sshd: with keys only",
        "~ firewall",
        "mallory",
    ] {
        assert!(
            planned(&check).contains(words),
            "{words}: {}",
            planned(&check)
        );
    }
    // Looking changes nothing, and says so again.
    assert_eq!(planned(&fleet.bootstrap(&["--check"])?), planned(&check));
    ended(&fleet.bootstrap(&[])?, 0);
    nothing_to_do(&fleet.bootstrap(&["--check"])?);
    run(host, &["longshore-agent", "nginx", "fail2ban"])?;
    host.sh("id mallory && ! grep -q evil /home/dev2/.ssh/authorized_keys")?;

    // dev2 leaves, with a session open.
    let mut open = ssh(host, &dev, "dev2")
        .arg("touch kept; sleep 600")
        .spawn()?;
    until("the session", 60, || {
        Ok(host
            .exec(&["test", "-e", "/home/dev2/kept"])?
            .status
            .success())
    })?;
    fleet.people.clear();
    fleet.write()?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 0);
    assert!(
        planned(&answer).contains("- user dev2: locked"),
        "{}",
        planned(&answer)
    );
    assert!(!open.wait()?.success());
    assert!(!gets_in(host, &dev, "dev2")?);
    host.sh("test -e /home/dev2/kept && ! test -e /home/dev2/.ssh/authorized_keys")?;
    nothing_to_do(&fleet.bootstrap(&[])?);

    // And comes back.
    fleet.people = format!("[people.dev2]\nkeys = [\"{}\"]\n", dev.public.trim());
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    assert!(gets_in(host, &dev, "dev2")?);
    Ok(())
}

fn taken_back() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    let mut fleet = Fleet::new(&lease);
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);

    fleet.setup = "[setup.sshd]\nlines = [\"AllowUsers nobody\"]\n".to_owned();
    fleet.write()?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 1);
    assert!(
        answer.all().contains("it was taken back"),
        "{}",
        answer.all()
    );
    assert!(
        answer.all().contains("the host is as it was before"),
        "{}",
        answer.all()
    );
    // What sshd itself refuses is never loaded.
    fleet.setup = "[setup.sshd]\nlines = [\"NoSuchSetting yes\"]\n".to_owned();
    fleet.write()?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 1);
    assert!(
        answer.all().contains("sshd refuses its configuration"),
        "{}",
        answer.all()
    );

    // The same with nobody left to take it back but the host: by its timer, and at its next boot.
    fleet.setup = "[setup.sshd]\nlines = [\"AllowUsers nobody\"]\n".to_owned();
    fleet.write()?;
    let rules = || host.sh("cat /etc/ssh/sshd_config.d/00-longshore.conf");
    let before = rules()?;
    let left_alone = || -> Told {
        let mut run = fleet.command(&["--yes"])?;
        let mut run = run.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        until("the change that shuts all out", 60, || {
            Ok(rules()? != before && !gets_in(host, lease.operator_key(), "ops1")?)
        })?;
        let killed = host.exec(&["pkill", "-KILL", "-f", "longshore-agent setup"])?;
        assert!(killed.status.success());
        run.kill()?;
        run.wait()?;
        Ok(())
    };
    left_alone()?;
    let waited = until("the timer", 75, || Ok(rules()? == before))?;
    assert!(waited > Duration::from_secs(30), "{waited:?}");
    until("sshd with the rules of before", 60, || {
        Ok(gets_in(host, lease.operator_key(), "ops1")?)
    })?;
    left_alone()?;
    host.reboot()?;
    assert_eq!(rules()?, before);
    assert!(gets_in(host, lease.operator_key(), "ops1")?);

    // A cable that was pulled ends nothing, and is waited for no longer than a minute.
    let mut run = fleet.command(&["--yes"])?;
    let mut run = run.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    until("the change that shuts all out", 60, || {
        Ok(rules()? != before)
    })?;
    lease.plug(host, false)?;
    until("the end of setup", 90, || {
        let still = host.exec(&["pgrep", "-f", "longshore-agent setup"])?;
        Ok(!still.status.success())
    })?;
    assert_eq!(rules()?, before);
    lease.plug(host, true)?;
    run.kill()?;
    run.wait()?;
    fleet.setup.clear();
    fleet.write()?;
    nothing_to_do(&fleet.bootstrap(&[])?);
    Ok(())
}

/// As Ubuntu has it.
fn started_by_systemd() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    host.sh("systemctl disable --now ssh.service 2>&1 && systemctl enable --now ssh.socket 2>&1")?;
    let mut fleet = Fleet::new(&lease);
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    nothing_to_do(&fleet.bootstrap(&["--check"])?);
    assert!(gets_in(host, lease.operator_key(), "ops1")?);
    assert!(!gets_in(host, lease.operator_key(), "root")?);

    fleet.setup = "[setup.sshd]\nlines = [\"AllowUsers nobody\"]\n".to_owned();
    fleet.write()?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 1);
    assert!(
        answer.all().contains("it was taken back"),
        "{}",
        answer.all()
    );
    until("the socket of before", 60, || {
        Ok(gets_in(host, lease.operator_key(), "ops1")?)
    })?;
    Ok(())
}

fn rebuilt() -> Told {
    let lease = lease_bare(2, ROOT)?;
    let fleet = Fleet::new(&lease);
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    let key = lease.signing_key();
    let push = || {
        fleet
            .controller()
            .run(&["signers", "push", ENVIRONMENT, "--key", &key])
    };
    ended(&push()?, 0);
    let [one, other] = lease.hosts.as_slice() else {
        return Err("two hosts".into());
    };
    let old = one.sh("cat /var/lib/longshore/trust.json")?;
    // A second change, and then the host is lost.
    let list = lease.folder().join("allowed_signers");
    let text = fs_err::read_to_string(&list)?;
    fs_err::write(&list, format!("# changed\n{text}"))?;
    ended(&push()?, 0);
    lease.renew_bare(other, ROOT)?;
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 0);
    let new = other.sh("cat /var/lib/longshore/trust.json")?;
    assert_eq!(new, one.sh("cat /var/lib/longshore/trust.json")?);
    assert_ne!(new, old);
    nothing_to_do(&fleet.bootstrap(&[])?);
    Ok(())
}

fn upgraded_under_load() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    let fleet = Fleet::new(&lease);
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    let repository = lease.repository(TINY)?;
    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &release)?, 0);
    let old = host.sh("readlink /usr/local/bin/longshore-agent")?;

    // The same program in another file is another agent.
    let another = |name: &str| -> Result<String, Box<dyn std::error::Error>> {
        let path = lease.folder().join(name);
        let mut content = fs_err::read(lease.agent()?)?;
        content.extend(name.bytes());
        fs_err::write(&path, content)?;
        Ok(path.display().to_string())
    };
    let (newer, broken) = (another("newer")?, another("broken")?);
    // nginx drops kept connections for a moment after it has taken over a new site.
    thread::sleep(Duration::from_secs(1));
    let mut load = lease.load(TINY);
    load.connections = Connections::Kept;
    load.rate = Some(100.0);
    let load = load.start();
    thread::sleep(Duration::from_millis(500));
    let answer = fleet.bootstrap_with(&newer, &[])?;
    ended(&answer, 0);
    assert_eq!(changes(&answer), [1], "{}", answer.all());
    let new = host.sh("readlink /usr/local/bin/longshore-agent")?;
    assert_ne!(new, old);

    // One that does not come up makes way for the one before it.
    host.sh(&format!(
        "mkdir -p /etc/systemd/system/longshore-agent.service.d && \
         printf '[Service]\\nExecStartPre=/bin/sh -c \"test $(readlink /usr/local/bin/longshore-agent) = {}\"\\n' \
         > /etc/systemd/system/longshore-agent.service.d/only.conf && \
         sed -i 's/\\$(/$$(/' /etc/systemd/system/longshore-agent.service.d/only.conf && systemctl daemon-reload",
        new.trim()
    ))?;
    let answer = fleet.bootstrap_with(&broken, &[])?;
    ended(&answer, 1);
    assert!(
        answer.all().contains("was put back and answers"),
        "{}",
        answer.all()
    );
    assert_eq!(host.sh("readlink /usr/local/bin/longshore-agent")?, new);
    ended(&fleet.controller().run(&["status", ENVIRONMENT])?, 0);
    thread::sleep(Duration::from_millis(500));
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    assert!(outcome.sent > 50, "{outcome}");
    Ok(())
}
