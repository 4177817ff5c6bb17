//! People's accounts on hosts, and CI's: who gets in, and what they cannot do.

use std::process::{Command, Stdio};

use longshore_lab::base::Suite;
use longshore_lab::keys::Key;
use longshore_lab::process;
use longshore_lab::provision::{Bare, Login};
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::ended;
use crate::bare::{Fleet, nothing_to_do, run};
use crate::logins::{gets_in, ssh};
use crate::patience::until;
use crate::stage::{ENVIRONMENT, lease_bare};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "people::nobody_is_shut_out_by_what_the_inventory_says",
        tell: inventory_that_shuts_out,
    },
    Story {
        name: "people::a_home_full_of_traps_leads_nowhere_and_holds_nothing_up",
        tell: home_full_of_traps,
    },
    Story {
        name: "people::the_key_of_ci_deploys_and_does_nothing_else",
        tell: ci_deploys,
    },
    Story {
        name: "people::dotfiles_come_with_the_account_or_later",
        tell: dotfiles,
    },
];

const TINY: Sample = Sample::Tiny;
const ROOT: Bare = Bare {
    suite: Suite::Bookworm,
    login: Login::Root,
};

fn inventory_that_shuts_out() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    let fleet = Fleet::new(&lease);
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    let other = Key::generate(&lease.folder().join("other"), "other")?;
    let own = lease.operator_key().public.trim();
    for (from, to, told) in [
        (
            "\"sudo\", \"dev\"",
            "\"dev\"",
            "takes ops1 out of group sudo",
        ),
        (
            own,
            other.public.trim(),
            "with a key that the inventory does not have",
        ),
        (
            "[setup]\n",
            "[setup]\nsudo_password = true\n",
            "sudo would ask ops1 for a password",
        ),
    ] {
        fleet.write()?;
        let text = fs_err::read_to_string(lease.inventory())?;
        assert!(text.contains(from), "{text}");
        fs_err::write(lease.inventory(), text.replacen(from, to, 1))?;
        let answer = fleet.bootstrap(&[])?;
        ended(&answer, 4);
        assert!(answer.all().contains(told), "{told}: {}", answer.all());
        assert!(gets_in(host, lease.operator_key(), "ops1")?);
        host.sh("sudo -u ops1 sudo -n true")?;
    }
    fleet.write()?;
    nothing_to_do(&fleet.bootstrap(&[])?);
    Ok(())
}

fn home_full_of_traps() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    let [dev, evil] = ["dev2", "evil"].map(|name| Key::generate(&lease.folder().join(name), name));
    let (dev, evil) = (dev?, evil?);
    let mut fleet = Fleet::new(&lease);
    let people = format!("[people.dev2]\nkeys = [\"{}\"]\n", dev.public.trim());
    fleet.people.clone_from(&people);
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    let as_dev = |script: &str| {
        host.sh(&format!(
            "runuser -u dev2 -- sh -c \"cd ~dev2 && {script}\""
        ))
    };

    // A second list of keys, which sshd reads as well.
    as_dev(&format!(
        "echo '{}' > .ssh/authorized_keys2",
        evil.public.trim()
    ))?;
    assert!(gets_in(host, &evil, "dev2")?);
    ended(&fleet.bootstrap(&["--check"])?, 1);
    ended(&fleet.bootstrap(&[])?, 0);
    assert!(!gets_in(host, &evil, "dev2")? && gets_in(host, &dev, "dev2")?);

    // Root is led to write elsewhere, and there is other work to do on the host.
    for trap in [
        "rm -r .ssh && ln -s /etc .ssh",
        "rm -r .ssh && mkdir -p .ssh/authorized_keys/x",
        "rm -r .ssh && touch .ssh",
    ] {
        as_dev(trap)?;
        host.sh("systemctl stop nginx")?;
        ended(&fleet.bootstrap(&[])?, 0);
        assert!(gets_in(host, &dev, "dev2")?, "{trap}");
        host.sh("test ! -e /etc/authorized_keys && test $(stat -c %U /etc) = root")?;
        run(host, &["nginx"])?;
        nothing_to_do(&fleet.bootstrap(&["--check"])?);
    }

    // Leaving like that ends the session too.
    let mut open = ssh(host, &dev, "dev2")
        .arg("touch here; sleep 600")
        .spawn()?;
    until("the session", 60, || {
        Ok(host
            .exec(&["test", "-e", "/home/dev2/here"])?
            .status
            .success())
    })?;
    as_dev("mv .ssh old && ln -s /etc .ssh")?;
    fleet.people.clear();
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    assert!(!open.wait()?.success());
    host.sh("test -z \"$(pgrep -u dev2)\"")?;
    nothing_to_do(&fleet.bootstrap(&[])?);
    fleet.people = people;
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    assert!(gets_in(host, &dev, "dev2")? && !gets_in(host, &evil, "dev2")?);
    Ok(())
}

fn ci_deploys() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    let ci = Key::generate(&lease.folder().join("ci"), "ci")?;
    let mut fleet = Fleet::new(&lease);
    fleet.environment = format!("deploy_keys = [\"{}\"]\n", ci.public.trim());
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    nothing_to_do(&fleet.bootstrap(&[])?);

    let home = lease.folder().join("ci-home");
    longshore_lab::inventory::write_home(&home, &ci.file)?;
    let repository = lease.repository(TINY)?;
    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let words = ["deploy", ENVIRONMENT, "--release", &release];
    let controller = fleet.controller().with_home(&home).as_user("deploy");
    ended(&controller.run(&words)?, 0);
    let history = host.sh("longshore-agent history")?;
    let by = |line: &str| line.split_whitespace().nth(4) == Some("deploy");
    assert!(history.lines().any(by), "{history}");

    // No shell, no file, no port, no other's account.
    let said = process::output(ssh(host, &ci, "deploy").arg("id; cat /etc/passwd"))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(!said.contains("uid=") && !said.contains("root:"), "{said}");
    // What the operator's key can, so that it would be seen.
    let forwards = |key: &Key, user: &str| -> Result<bool, process::Error> {
        let mut forward = ssh(host, key, user);
        forward.args(["-W", "127.0.0.1:22"]);
        let said = process::output(forward.stdin(Stdio::null()))?;
        Ok(String::from_utf8_lossy(&said.stdout).contains("SSH-"))
    };
    let listens = |key: &Key, user: &str| -> Result<bool, process::Error> {
        let mut listen = ssh(host, key, user);
        listen.args([
            "-o",
            "ExitOnForwardFailure=yes",
            "-N",
            "-f",
            "-R",
            "2200:127.0.0.1:22",
        ]);
        listen.stdin(Stdio::null()).stdout(Stdio::null());
        let said = process::output(listen.stderr(Stdio::null()))?;
        Ok(said.status.success())
    };
    assert!(forwards(lease.operator_key(), "ops1")? && !forwards(&ci, "deploy")?);
    assert!(!listens(&ci, "deploy")? && listens(lease.operator_key(), "ops1")?);
    host.sh("pkill -u ops1 sshd")?;
    let target = format!("deploy@{}:/etc/passwd", host.address);
    let mut sftp = Command::new("sftp");
    sftp.args([
        "-F",
        "/dev/null",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
    ]);
    sftp.args([
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "IdentitiesOnly=yes",
        "-i",
    ]);
    sftp.arg(&ci.file)
        .arg(target)
        .arg(lease.folder().join("stolen"));
    assert!(!process::output(&mut sftp)?.status.success());
    assert!(!lease.folder().join("stolen").exists());
    assert!(!gets_in(host, &ci, "root")? && !gets_in(host, &ci, "ops1")?);
    // Nor can it give itself more: its keys are root's.
    host.sh("! runuser -u deploy -- sh -c 'echo x >> /home/deploy/.ssh/authorized_keys || mv /home/deploy/.ssh /home/deploy/old' 2>/dev/null")?;
    host.sh("! runuser -u deploy -- sudo -n true 2>/dev/null")?;
    Ok(())
}

fn dotfiles() -> Told {
    let lease = lease_bare(1, ROOT)?;
    let host = &lease.hosts[0];
    let dev = Key::generate(&lease.folder().join("dev2"), "dev2")?;
    let mut fleet = Fleet::new(&lease);
    fleet.people = format!(
        "[people.dev2]\nkeys = [\"{}\"]\ndotfiles = \"/opt/dots\"\n",
        dev.public.trim()
    );
    fleet.write()?;
    // The repository is not there: that is dev2's own trouble, told, and tried again.
    for _ in 0..2 {
        let answer = fleet.bootstrap(&[])?;
        ended(&answer, 1);
        assert!(
            answer.all().contains("dotfiles of dev2"),
            "{}",
            answer.all()
        );
        assert!(gets_in(host, &dev, "dev2")?);
        run(host, &["longshore-agent", "nginx"])?;
    }
    host.sh(
        "git init -q /opt/dots && cd /opt/dots && printf '#!/bin/sh\\ncp vimrc ~/.vimrc\\nsetsid sleep 300 &\\n' > install.sh && \
         chmod +x install.sh && echo mine > vimrc && git add . && git -c user.name=d -c user.email=d@x commit -qm dots && \
         chown -R dev2: /opt/dots",
    )?;
    ended(&fleet.bootstrap(&[])?, 0);
    let theirs = host.sh("stat -c %U /home/dev2/.vimrc && cat /home/dev2/.vimrc")?;
    assert_eq!(theirs, "dev2\nmine\n");
    nothing_to_do(&fleet.bootstrap(&["--check"])?);
    Ok(())
}
