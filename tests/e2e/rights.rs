//! Who may release what where, enforced by the hosts themselves, and changed only by those who may.

use std::process::Command;

use longshore_lab::controller::Answer;
use longshore_lab::process;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, kinds, live};
use crate::stage::{ENVIRONMENT, Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "rights::signers_are_changed_by_those_who_may_and_hold_at_once",
        tell: signers_are_pushed,
    },
    Story {
        name: "rights::forward_only_until_somebody_goes_back",
        tell: forward_only,
    },
    Story {
        name: "rights::a_revoked_key_is_gone_back_to_only_on_purpose",
        tell: revoked,
    },
    Story {
        name: "rights::expired_keys_sign_nothing_more_whatever_the_clock_says",
        tell: expired,
    },
    Story {
        name: "rights::a_host_that_lags_is_brought_up_to_the_others",
        tell: synced,
    },
];

const TINY: Sample = Sample::Tiny;

#[track_caller]
fn says(answer: &Answer, code: i32, words: &[&str]) {
    ended(answer, code);
    for word in words {
        assert!(
            answer.all().contains(word),
            "{word:?} is not said: {}",
            answer.all()
        );
    }
}

/// A new key; the public half as `allowed_signers` wants it.
fn new_key(lease: &Lease, name: &str) -> Result<(String, String), Box<dyn std::error::Error>> {
    let file = lease.folder().join(name).display().to_string();
    let words = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &file];
    process::run(Command::new("ssh-keygen").args(words))?;
    let public = fs_err::read_to_string(format!("{file}.pub"))?;
    Ok((file, public.trim().to_owned()))
}

/// Signs a release again, with another key.
fn sign_with(key: &str, tarball: &str) -> Told {
    let manifest = tarball.replace(".tar.gz", ".json");
    fs_err::remove_file(format!("{manifest}.sig"))?;
    let words = ["-q", "-Y", "sign", "-n", "longshore-release", "-f", key];
    process::run(Command::new("ssh-keygen").args(words).arg(&manifest))?;
    Ok(())
}

/// Changes the lines of the inventory's environment.
fn rule(lease: &Lease, rules: &str) -> Told {
    let text = fs_err::read_to_string(lease.inventory())?;
    let table = format!("[environments.{ENVIRONMENT}]\n");
    let start = text.find(&table).ok_or("no environment")? + table.len();
    let end = text[start..].find("\n[").ok_or("no host")? + start;
    fs_err::write(
        lease.inventory(),
        format!("{}{rules}{}", &text[..start], &text[end..]),
    )?;
    Ok(())
}

fn signers_are_pushed() -> Told {
    let lease = lease(2)?;
    let repository = lease.repository(TINY)?;
    let controller = lease.controller(TINY);
    let main = lease.signing_key();
    let main_public = fs_err::read_to_string(format!("{main}.pub"))?;
    let (dev, dev_public) = new_key(&lease, "dev1")?;
    let both = "namespaces=\"longshore-release,longshore-signers\"";
    let own = format!("release@example.com {both} {}\n", main_public.trim());
    let list = lease.folder().join("allowed_signers");
    fs_err::write(&list, format!("{own}dev1@example.com {dev_public}\n"))?;
    rule(&lease, "release_by = [\"release@example.com\"]\n")?;
    let push = |key: &str| controller.run(&["signers", "push", ENVIRONMENT, "--key", key]);

    // What the hosts trust the key for so far are releases.
    let answer = push(&main)?;
    says(&answer, 4, &["may not sign for longshore-signers"]);
    assert_eq!(kinds(&answer), ["refused"; 2]);
    for host in &lease.hosts {
        host.sh(&format!(
            "printf '%s' '{own}' > /etc/longshore/allowed_signers"
        ))?;
    }
    let plan = controller.run(&["signers", "push", ENVIRONMENT, "--plan"])?;
    says(&plan, 0, &["the first trust file"]);
    lease.hosts[0].sh("test ! -e /var/lib/longshore/trust.json")?;
    says(&push(&dev)?, 4, &["not among the signers"]);
    let answer = push(&main)?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["changed"; 2]);
    // dev1 signs releases, and says so nowhere else.
    rule(&lease, "release_by = [\"dev1@example.com\"]\n")?;
    says(&push(&dev)?, 4, &["may not sign for longshore-signers"]);
    rule(&lease, "release_by = [\"release@example.com\"]\n")?;
    let answer = push(&main)?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["unchanged"; 2]);

    // A stop in the middle of an installation: the next start finishes it.
    lease.hosts[0].sh("cd /var/lib/longshore && mv trust.json trust.next.json && \
         echo half > /etc/longshore/allowed_signers && rm /etc/longshore/release_policy.toml && \
         systemctl restart longshore-agent")?;
    let answer = push(&main)?;
    assert_eq!(kinds(&answer), ["unchanged"; 2], "{}", answer.all());

    // A person whom all trust, but not for this environment.
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &first)?, 0);
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    sign_with(&dev, &second)?;
    let told =
        "signed by dev1@example.com, who may not release to demo; allowed: release@example.com";
    says(&lease.deploy(TINY, &second)?, 4, &[told]);
    for host in &lease.hosts {
        let history = host.sh("longshore-agent history")?;
        assert!(history.contains(told), "{history}");
        host.sh("test ! -e /srv/longshore/tiny/releases/1.1.0")?;
    }
    says(
        &controller.run(&["verify", &second, "--for", ENVIRONMENT])?,
        4,
        &[told],
    );
    let verdict = controller.run(&["verify", &second])?;
    says(&verdict, 0, &["dev1@example.com"]);

    // Rights come and go without a restart of anything.
    rule(&lease, "release_by = [\"*@example.com\"]\n")?;
    says(&push(&main)?, 0, &["released by"]);
    ended(&lease.deploy(TINY, &second)?, 0);
    fs_err::write(&list, &own)?;
    says(&push(&main)?, 0, &["- signer dev1@example.com"]);
    let third = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    sign_with(&dev, &third)?;
    says(&lease.deploy(TINY, &third)?, 4, &["not among the signers"]);
    // Departed, but the release was found good.
    ended(&controller.run(&["rollback", ENVIRONMENT])?, 0);
    ended(&controller.run(&["rollback", ENVIRONMENT, "1.1.0"])?, 0);

    // Nobody may be left who could change it again.
    fs_err::write(&list, own.replace(",longshore-signers", ""))?;
    says(&push(&main)?, 4, &["nobody could change them again"]);
    // What was installed must be there in full, and as it was installed.
    sign_with(&main, &third)?;
    let refuses = |spoil: &str, word: &str| -> Told {
        lease.hosts[0].sh(&format!("cp -a /etc/longshore /root/kept && {spoil}"))?;
        says(&lease.deploy(TINY, &third)?, 4, &[word]);
        lease.hosts[0].sh("rm -r /etc/longshore && mv /root/kept /etc/longshore")?;
        Ok(())
    };
    refuses("rm /etc/longshore/revoked_signers", "revoked_signers")?;
    refuses(
        "echo >> /etc/longshore/revoked_signers",
        "as the signed trust file",
    )?;
    refuses(
        "rm /etc/longshore/release_policy.toml",
        "release_policy.toml",
    )?;
    refuses("chmod 775 /etc/longshore", "only root can write")?;
    refuses("sed -i s/demo/other/ /etc/longshore/host.toml", "other")?;
    ended(&lease.deploy(TINY, &third)?, 0);
    Ok(())
}

fn forward_only() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let controller = lease.controller(TINY);
    host.sh("echo 'forward_only = true' > /etc/longshore/release_policy.toml")?;
    let old = lease.release(&repository, "1.4.0", &Behaviour::Good)?;
    let new = lease.release(&repository, "1.5.0", &Behaviour::Good)?;
    let fix = lease.release(&repository, "1.4.1", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &old)?, 0);
    ended(&lease.deploy(TINY, &new)?, 0);
    // The very same again is nothing to do.
    assert_eq!(kinds(&lease.deploy(TINY, &new)?), ["unchanged"]);
    let back = format!("longshore rollback {ENVIRONMENT} 1.4.0 --app tiny");
    says(&lease.deploy(TINY, &old)?, 4, &["forward only", &back]);
    let kept = controller.run(&["deploy", ENVIRONMENT, "--version", "1.4.0"])?;
    says(&kept, 4, &["forward only"]);
    says(&lease.deploy(TINY, &fix)?, 4, &["forward only", "1.5.0"]);
    let history = host.sh("longshore-agent history")?;
    assert!(history.contains("forward only"), "{history}");
    host.sh("test ! -e /srv/longshore/tiny/releases/1.4.1")?;

    // By commit too; then the hotfix goes out.
    let commit = git_commit(repository.folder(), "v1.4.0")?;
    let words = ["rollback", ENVIRONMENT, "--commit", &commit[..8]];
    ended(&controller.run(&words)?, 0);
    let status = controller.run(&["status", ENVIRONMENT])?;
    assert_eq!(live(&status, "tiny"), ["1.4.0"], "{}", status.all());
    ended(&lease.deploy(TINY, &fix)?, 0);
    let nowhere = ["rollback", ENVIRONMENT, "--commit", "0123abcd"];
    says(&controller.run(&nowhere)?, 4, &["no host keeps a release"]);
    Ok(())
}

fn git_commit(folder: &std::path::Path, name: &str) -> Result<String, Box<dyn std::error::Error>> {
    let words = ["rev-parse", &format!("{name}^{{commit}}")];
    let said = process::run(Command::new("git").current_dir(folder).args(words))?;
    Ok(said.trim().to_owned())
}

fn revoked() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let controller = lease.controller(TINY);
    repository.change_app_file(|text| {
        format!(
            "{text}\n[[prepare]]\nrun = [\"mkdir made && echo $LONGSHORE_VERSION > made/by\"]\n\
             layer = {{ keep = [\"made\"], key = [\"serve.py\"] }}\n"
        )
    })?;
    let (stolen, public) = new_key(&lease, "stolen")?;
    host.sh(&format!(
        "echo 'ci@example.com {public}' >> /etc/longshore/allowed_signers"
    ))?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    sign_with(&stolen, &first)?;
    ended(&lease.deploy(TINY, &first)?, 0);
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &second)?, 0);
    // One that never served: it was not even healthy.
    let third = lease.release(&repository, "1.2.0", &Behaviour::Answers500)?;
    sign_with(&stolen, &third)?;
    ended(&lease.deploy(TINY, &third)?, 1);
    host.sh(&format!("echo '{public}' > /etc/longshore/revoked_signers"))?;
    // Whoever deploys is not whoever may pass over that.
    let words = ["rollback", ENVIRONMENT, "--even-revoked"];
    says(
        &controller.run(&words)?,
        4,
        &["may not let revoked keys run"],
    );
    host.sh("sed -i 's/^deploy = .*/&\\noverrule = [\"@longshore\"]/' /etc/longshore/host.toml")?;
    let words = ["rollback", ENVIRONMENT, "1.2.0", "--even-revoked"];
    says(&controller.run(&words)?, 4, &["was revoked"]);

    says(
        &controller.run(&["rollback", ENVIRONMENT])?,
        4,
        &["was revoked", "--even-revoked"],
    );
    let status = controller.run(&["status", ENVIRONMENT])?;
    assert_eq!(live(&status, "tiny"), ["1.1.0"], "{}", status.all());
    says(&lease.deploy(TINY, &first)?, 4, &["was revoked"]);
    let on_host = host.sh("longshore-agent rollback tiny 2>&1 || echo exit $?")?;
    assert!(on_host.contains("exit 4"), "{on_host}");
    let words = ["rollback", ENVIRONMENT, "--even-revoked"];
    ended(&controller.run(&words)?, 0);
    let status = controller.run(&["status", ENVIRONMENT])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"], "{}", status.all());

    // Signed again by somebody who may, the very same release is theirs from now on.
    ended(&lease.deploy(TINY, &second)?, 0);
    assert_eq!(
        signer_of(&controller.run(&["releases", ENVIRONMENT])?, "1.0.0"),
        "ci@example.com"
    );
    sign_with(&lease.signing_key(), &first)?;
    ended(&lease.deploy(TINY, &first)?, 0);
    let releases = controller.run(&["releases", ENVIRONMENT])?;
    assert_eq!(signer_of(&releases, "1.0.0"), "release@example.com");
    let plain = controller.plain(&["releases", ENVIRONMENT])?;
    for line in [
        format!("1.1.0 .* release@example.com .*{} .(warm|good).", host.name),
        format!("1.0.0 .* release@example.com .*{} .live.", host.name),
        format!("1.2.0 .* ci@example.com .*{} .bad.", host.name),
    ] {
        let found = process::feed(Command::new("grep").args(["-E", &line]), &plain.all());
        assert!(found.is_ok(), "{line}: {}", plain.all());
    }

    // What its steps left behind serves nobody else: 1.1.0 had made use of it.
    let made = |version: &str| {
        host.sh(&format!(
            "cat /srv/longshore/tiny/releases/{version}/made/by"
        ))
    };
    assert_eq!([made("1.0.0")?, made("1.1.0")?], ["1.0.0\n"; 2]);
    let last = lease.release(&repository, "1.3.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &last)?, 0);
    assert_eq!(made("1.3.0")?, "1.3.0\n");
    let last = lease.release(&repository, "1.4.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &last)?, 0);
    assert_eq!(made("1.4.0")?, "1.3.0\n");
    Ok(())
}

/// Who stands for a release, as the only host tells it.
fn signer_of(releases: &Answer, version: &str) -> String {
    let hosts = crate::answers::hosts(releases);
    let all = hosts.iter().flat_map(|host| host["apps"].as_array());
    let all = all.flatten().flat_map(|app| app["releases"].as_array());
    let of = all.flatten().find(|release| release["version"] == version);
    let signer = of.and_then(|release| release["signer"].as_str());
    signer.unwrap_or("nobody").to_owned()
}

fn expired() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let controller = lease.controller(TINY);
    let public = fs_err::read_to_string(format!("{}.pub", lease.signing_key()))?;
    let until = |day: &str| {
        let line = format!(
            "release@example.com valid-before=\"{day}\" {}",
            public.trim()
        );
        host.sh(&format!("echo '{line}' > /etc/longshore/allowed_signers"))
    };
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let third = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    until("20990101")?;
    ended(&lease.deploy(TINY, &first)?, 0);
    ended(&lease.deploy(TINY, &second)?, 0);
    until("20200101")?;
    says(&lease.deploy(TINY, &third)?, 4, &["was to sign until 20"]);
    host.sh("test ! -e /srv/longshore/tiny/releases/1.2.0")?;
    // What was found good may still be gone back to.
    ended(&controller.run(&["rollback", ENVIRONMENT])?, 0);

    // A clock that fell back to before the end of a key: something later was signed already.
    until("20990101")?;
    host.sh("sqlite3 /var/lib/longshore/ledger.db \
         \"UPDATE releases SET signed = 4102444800000 WHERE version = '1.1.0'\"")?;
    says(&lease.deploy(TINY, &third)?, 4, &["was to sign until 2099"]);
    Ok(())
}

fn synced() -> Told {
    let lease = lease(2)?;
    let repository = lease.repository(TINY)?;
    let controller = lease.controller(TINY).in_folder(repository.folder());
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let (here, there) = (&lease.hosts[0].name, &lease.hosts[1].name);
    let sync = |on: &str| controller.run(&["sync", ENVIRONMENT, "--on", on]);
    says(&sync(there)?, 4, &["nothing to take over"]);
    let words = ["deploy", ENVIRONMENT, "--release", &first, "--on", here];
    ended(&controller.run(&words)?, 0);
    let answer = sync(there)?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["switched"], "{}", answer.all());
    let status = controller.run(&["status", ENVIRONMENT])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"; 2], "{}", status.all());
    Ok(())
}
