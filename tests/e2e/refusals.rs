//! What a host must not take: said per host, with exit 4 or 1, and nothing is changed.

use std::error::Error;

use longshore_lab::controller::Answer;
use longshore_lab::host::Host;
use longshore_lab::process;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, kinds, live, outcomes};
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "refusals::a_release_that_nobody_trusted_signed",
        tell: signed_by_a_stranger,
    },
    Story {
        name: "refusals::trust_files_that_others_could_write",
        tell: loose_trust_files,
    },
    Story {
        name: "refusals::a_version_that_is_there_with_other_bytes",
        tell: other_bytes,
    },
    Story {
        name: "refusals::no_room",
        tell: no_room,
    },
    Story {
        name: "refusals::wheels_that_the_hosts_python_cannot_install",
        tell: wheels_for_elsewhere,
    },
    Story {
        name: "refusals::hosts_that_cannot_or_must_not_answer",
        tell: hosts_that_do_not_answer,
    },
];

const TINY: Sample = Sample::Tiny;

/// Refused with a reason that holds `told`, and the host is as it was.
#[track_caller]
fn refused(answer: &Answer, told: &str) {
    ended(answer, 4);
    assert!(
        kinds(answer).contains(&String::from("refused")),
        "{}",
        answer.all()
    );
    assert!(
        answer.all().contains(told),
        "{told:?} is not said: {}",
        answer.all()
    );
}

/// All that staging could have left on a host.
fn traces(host: &Host) -> Result<String, Box<dyn Error>> {
    Ok(host.sh(
        "cd /srv/longshore && find . -path './*/staging/*' -o -path './*/releases/*' -prune | sort",
    )?)
}

fn signed_by_a_stranger() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let good = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &good)?, 0);
    let before = traces(host)?;

    let tarball = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let manifest = tarball.replace(".tar.gz", ".json");
    let key = lease.folder().join("stranger");
    let keygen = |words: &[&str]| {
        let mut command = std::process::Command::new("ssh-keygen");
        command.args(words);
        process::run(&mut command)
    };
    let key = key.display().to_string();
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &key])?;
    let signature = format!("{manifest}.sig");
    let own = fs_err::read_to_string(&signature)?;
    fs_err::remove_file(&signature)?;
    keygen(&[
        "-q",
        "-Y",
        "sign",
        "-n",
        "longshore-release",
        "-f",
        &key,
        &manifest,
    ])?;
    refused(&lease.deploy(TINY, &tarball)?, "not among the signers");

    // The right key, but for another purpose: stopped before or on the host.
    fs_err::remove_file(&signature)?;
    let signing = lease.signing_key();
    keygen(&["-q", "-Y", "sign", "-n", "git", "-f", &signing, &manifest])?;
    assert_eq!(lease.deploy(TINY, &tarball)?.code, Some(4));
    assert_eq!(traces(host)?, before);

    fs_err::write(&signature, own)?;
    ended(&lease.deploy(TINY, &tarball)?, 0);
    // What the host kept can be checked with stock tools.
    let checked = host.sh(
        "cd /srv/longshore/tiny/current/.longshore && ssh-keygen -Y verify -f /etc/longshore/allowed_signers \
         -I release@example.com -n longshore-release -s manifest.json.sig < manifest.json",
    )?;
    assert!(
        checked.contains("Good \"longshore-release\" signature"),
        "{checked}"
    );
    Ok(())
}

fn loose_trust_files() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let tarball = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    for (spoil, mend) in [
        ("chmod g+w", "chmod g-w"),
        ("chown ops1", "chown root"),
        ("truncate -s0", "cp -p /root/signers"),
        ("rm", "cp -p /root/signers"),
    ] {
        host.sh("cp -p /etc/longshore/allowed_signers /root/signers")?;
        host.sh(&format!("{spoil} /etc/longshore/allowed_signers"))?;
        refused(&lease.deploy(TINY, &tarball)?, "allowed_signers");
        host.sh(&format!("{mend} /etc/longshore/allowed_signers"))?;
    }
    host.sh("test ! -e /srv/longshore/tiny/current")?;
    ended(&lease.deploy(TINY, &tarball)?, 0);
    Ok(())
}

fn other_bytes() -> Told {
    let lease = lease(1)?;
    let first = lease.repository(TINY)?;
    let tarball = lease.release(&first, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &tarball)?, 0);
    ended(&lease.deploy(TINY, &tarball)?, 0);
    fs_err::remove_dir_all(first.folder())?;
    let second = lease.repository(TINY)?;
    let other = lease.release(&second, "1.0.0", &Behaviour::Answers500)?;
    refused(&lease.deploy(TINY, &other)?, "other content");
    Ok(())
}

fn wheels_for_elsewhere() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    repository
        .change_app_file(|text| format!("{text}\n[[prepare]]\nrun = [\"python3 --version\"]\n"))?;
    let wheels = repository.folder().join("wheels");
    fs_err::create_dir_all(&wheels)?;
    let put = |tags: &str| fs_err::write(wheels.join(format!("psycopg2-2.9.9-{tags}.whl")), "");
    put("cp312-cp312-macosx_14_0_arm64")?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let told = format!(
        "psycopg2 cp312-macosx_14_0_arm64 for {}: cp311 linux x86_64",
        host.name
    );
    let answer = lease.deploy(TINY, &first)?;
    refused(&answer, &told);
    refused(&answer, "--python-version 3.11");
    host.sh("test ! -e /srv/longshore/tiny")?;
    put("cp311-cp311-manylinux_2_17_x86_64")?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &second)?, 0);
    Ok(())
}

fn no_room() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let tarball = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    host.sh("mount -t tmpfs -o size=32m tmpfs /srv/longshore")?;
    refused(&lease.deploy(TINY, &tarball)?, "MiB free");
    host.sh(
        "umount /srv/longshore && mount -t tmpfs -o size=1g,nr_inodes=900 tmpfs /srv/longshore",
    )?;
    refused(&lease.deploy(TINY, &tarball)?, "inodes");
    host.sh("test -z \"$(ls -A /srv/longshore)\" && umount /srv/longshore")?;
    ended(&lease.deploy(TINY, &tarball)?, 0);

    // What a release asks of the kernel is the host's to give; what it asks for itself it gets.
    let ask =
        |limits: &str| repository.change_app_file(|text| format!("{text}\n[limits]\n{limits}"));
    let own = fs_err::read_to_string(repository.folder().join("longshore.toml"))?;
    ask("sysctl = { \"net.core.somaxconn\" = 99999999 }\n")?;
    let greedy = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    refused(
        &lease.deploy(TINY, &greedy)?,
        "needs net.core.somaxconn of at least 99999999",
    );
    fs_err::write(repository.folder().join("longshore.toml"), own)?;
    ask("open_files = 12345\nprocesses = 77\n")?;
    let modest = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &modest)?, 0);
    let said = host.sh("systemctl show --property=LimitNOFILE,TasksMax 'longshore-tiny@*'")?;
    assert!(
        said.contains("LimitNOFILE=12345") && said.contains("TasksMax=77"),
        "{said}"
    );
    ended(&lease.deploy(TINY, &tarball)?, 0);
    Ok(())
}

/// One host of each kind beside a good one: each is said, and the good one is asked all the same.
fn hosts_that_do_not_answer() -> Told {
    let lease = lease(4)?;
    let repository = lease.repository(TINY)?;
    let tarball = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let [good, stopped, removed, foreign] = lease.hosts.as_slice() else {
        return Err("four hosts were leased".into());
    };
    stopped.sh("systemctl stop longshore-agent")?;
    removed.sh("mv /usr/local/bin/longshore-agent /root/")?;
    foreign
        .sh("sed -i 's/^environment.*/environment = \"elsewhere\"/' /etc/longshore/host.toml")?;

    let status = lease.controller(TINY).run(&["status", "demo"])?;
    assert_ne!(status.code, Some(0), "{}", status.all());
    for word in [
        "systemctl start longshore-agent",
        "no longshore-agent",
        "elsewhere",
    ] {
        assert!(
            status.all().contains(word),
            "{word:?} is not said: {}",
            status.all()
        );
    }
    let answer = lease.deploy(TINY, &tarball)?;
    assert!(matches!(answer.code, Some(1 | 4)), "{}", answer.all());
    assert_eq!(outcomes(&answer).len(), 4, "{}", answer.all());
    for host in [good, stopped, removed, foreign] {
        host.sh("test ! -e /srv/longshore/tiny/current")?;
    }

    // Somebody who may log in, and is not in the group.
    lease.inventory_as("stranger")?;
    let only = ["status", "demo", "--on", good.name.as_str()];
    let status = lease.controller(TINY).run(&only)?;
    assert_ne!(status.code, Some(0), "{}", status.all());
    assert!(
        status.all().contains("usermod -aG longshore"),
        "{}",
        status.all()
    );

    lease.inventory_as("ops1")?;
    let only = [
        "deploy",
        "demo",
        "--release",
        &tarball,
        "--on",
        good.name.as_str(),
    ];
    ended(&lease.controller(TINY).run(&only)?, 0);
    let status = lease
        .controller(TINY)
        .run(&["status", "demo", "--on", good.name.as_str()])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"], "{}", status.all());
    Ok(())
}

impl Lease {
    /// The same hosts, entered as another user.
    fn inventory_as(&self, user: &str) -> Told {
        let text = fs_err::read_to_string(self.inventory())?;
        let lines = text.lines().map(|line| match line.starts_with("user = ") {
            true => format!("user = \"{user}\"\n"),
            false => format!("{line}\n"),
        });
        Ok(fs_err::write(self.inventory(), lines.collect::<String>())?)
    }
}
