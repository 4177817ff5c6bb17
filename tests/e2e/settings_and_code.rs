//! Settings are not rolled back with code; whoever goes back is told which differ, and may take them back.

use std::error::Error;

use longshore_lab::host::Host;
use longshore_lab::load::Connections;
use longshore_lab::sample::{Behaviour, Repository, Sample};

use crate::answers::{ended, kinds, live};
use crate::broken_releases::green_starts_only_if;
use crate::daily::ssh;
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "settings_and_code::a_rollback_tells_what_differs_and_takes_it_back_on_wish",
        tell: told_and_taken_back,
    },
    Story {
        name: "settings_and_code::where_one_host_cannot_go_back_all_have_what_they_had",
        tell: one_cannot,
    },
    Story {
        name: "settings_and_code::sealed_settings_of_a_commit_come_with_its_deployment",
        tell: sealed,
    },
    Story {
        name: "settings_and_code::a_host_that_came_later_is_told_what_it_lacks",
        tell: came_later,
    },
    Story {
        name: "settings_and_code::what_is_taken_as_a_file_is_in_no_environment",
        tell: as_a_file,
    },
];

const TINY: Sample = Sample::Tiny;

pub(crate) fn greeting(host: &Host) -> Result<String, Box<dyn Error>> {
    environ(host, "GREETING")
}

pub(crate) fn environ(host: &Host, name: &str) -> Result<String, Box<dyn Error>> {
    let said = host.sh(&format!(
        "slot=$(readlink /srv/longshore/tiny/slots/live); \
         id=$(systemctl show -P MainPID longshore-tiny@$slot); \
         tr '\\0' '\\n' < /proc/$id/environ | sed -n 's/^{name}=//p'"
    ))?;
    Ok(said.trim().to_owned())
}

/// 1.0.0 served with one greeting, and 1.1.0 serves with another.
fn two_of_each(lease: &Lease) -> Told {
    let controller = lease.controller(TINY);
    let repository = lease.repository(TINY)?;
    let one = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let two = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(
        &controller.run(&["settings", "set", "demo", "GREETING=one"])?,
        0,
    );
    ended(&lease.deploy(TINY, &one)?, 0);
    ended(&lease.deploy(TINY, &two)?, 0);
    let set = ["settings", "set", "demo", "GREETING=two", "COLOUR=red"];
    ended(&controller.run(&set)?, 0);
    Ok(())
}

fn told_and_taken_back() -> Told {
    let lease = lease(2)?;
    let controller = lease.controller(TINY);
    two_of_each(&lease)?;
    let mut load = lease.load(TINY);
    load.rate = Some(50.0);
    load.connections = Connections::Fresh;
    let load = load.start();
    let answer = controller.run(&["rollback", "demo", "--with-settings"])?;
    let outcome = load.stop();
    ended(&answer, 0);
    assert_eq!(outcome.failed, 0, "{outcome}");
    assert_eq!(kinds(&answer), ["switched"; 2], "{}", answer.all());
    assert!(!answer.all().contains("Since then"), "{}", answer.all());
    for host in &lease.hosts {
        assert_eq!(greeting(host)?, "one");
        host.sh("! grep -q COLOUR /etc/longshore/apps/tiny.env")?;
    }
    // They stay where nobody asks for them, and that is told, by name.
    let repository = lease.repository(TINY)?;
    let three = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &three)?, 0);
    ended(
        &controller.run(&["settings", "set", "demo", "GREETING=three"])?,
        0,
    );
    let answer = controller.run(&["rollback", "demo"])?;
    ended(&answer, 0);
    assert!(
        answer.all().contains("Since then: set GREETING"),
        "{}",
        answer.all()
    );
    assert!(!answer.all().contains("three"), "{}", answer.all());
    assert_eq!(
        live(&controller.run(&["status", "demo"])?, "tiny"),
        ["1.0.0"; 2]
    );
    for host in &lease.hosts {
        assert_eq!(greeting(host)?, "three");
    }
    Ok(())
}

fn one_cannot() -> Told {
    let lease = lease(2)?;
    let controller = lease.controller(TINY);
    two_of_each(&lease)?;
    let idle = lease.hosts[1].sh("readlink /srv/longshore/tiny/slots/live")?;
    if idle.trim() == "green" {
        ended(&controller.run(&["restart", "demo"])?, 0);
    }
    green_starts_only_if(&lease.hosts[1], "test $GREETING = two")?;
    let answer = controller.run(&["rollback", "demo", "--with-settings"])?;
    ended(&answer, 1);
    assert_eq!(kinds(&answer), ["reverted", "failed"], "{}", answer.all());
    assert_eq!(
        live(&controller.run(&["status", "demo"])?, "tiny"),
        ["1.1.0"; 2]
    );
    for host in &lease.hosts {
        assert_eq!(greeting(host)?, "two");
        host.sh("grep -q 'GREETING=\"two\"' /etc/longshore/apps/tiny.env && grep -q COLOUR /etc/longshore/apps/tiny.env")?;
    }
    // What is not kept any more cannot be gone back to, and nothing is changed for it.
    for host in &lease.hosts {
        host.sh("rm /etc/longshore/apps/tiny.earlier/*")?;
    }
    let answer = controller.run(&["rollback", "demo", "--with-settings"])?;
    ended(&answer, 4);
    assert!(
        answer.all().contains("are not kept here"),
        "{}",
        answer.all()
    );
    Ok(())
}

/// Seals what is given, and commits it as a version.
pub(crate) fn seal(
    lease: &Lease,
    repository: &Repository,
    version: &str,
    settings: &str,
    how: &Behaviour,
) -> Result<String, Box<dyn Error>> {
    let plain = lease.folder().join("plain.env");
    fs_err::write(&plain, settings)?;
    let key = lease.operator_key().file.with_extension("pub");
    let (plain, key) = (plain.display().to_string(), key.display().to_string());
    let controller = lease.controller(TINY).in_folder(repository.folder());
    let words = [
        "settings",
        "seal",
        "demo",
        "--env-file",
        &plain,
        "--to",
        &key,
    ];
    ended(&controller.run(&words)?, 0);
    fs_err::remove_file(&plain)?;
    lease.release(repository, version, how)
}

fn sealed() -> Told {
    let lease = lease(2)?;
    let repository = lease.repository(TINY)?;
    // All of the release has them: its steps, and what it takes as a file.
    repository.change_app_file(|text| {
        let steps = "\n[[prepare]]\nrun = [\"test -n \\\"$PASSWORD\\\"\"]\n\
            [migrate]\nrun = [\"test -n \\\"$PASSWORD\\\"\"]\n[settings]\nfiles = [\"SERVICE_KEY\"]\n";
        format!("{text}{steps}").replace("cooldown = \"3s\"", "cooldown = \"60s\"")
    })?;
    let settings = |word: &str| {
        format!("PASSWORD={word}-horse-battery\nGREETING=\"good day\"\nSERVICE_KEY=key\n")
    };
    let make = |version, word, how| seal(&lease, &repository, version, &settings(word), &how);
    let one = make("1.0.0", "correct", Behaviour::Good)?;
    let text = fs_err::read_to_string(repository.folder().join("settings.demo.age"))?;
    assert!(
        text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"),
        "{text}"
    );
    // Whoever cannot open it deploys nothing by accident.
    let other = lease.signing_key();
    let controller = lease.controller(TINY);
    let answer = controller.run(&["deploy", "demo", "--release", &one, "--identity", &other])?;
    ended(&answer, 2);
    for words in ["none of your keys opens it", "--keep-settings"] {
        assert!(answer.all().contains(words), "{}", answer.all());
    }

    let identity = lease.operator_key().file.display().to_string();
    let deploy = |release: &str| {
        controller.run(&[
            "deploy",
            "demo",
            "--release",
            release,
            "--identity",
            &identity,
        ])
    };
    ended(&deploy(&one)?, 0);
    for host in &lease.hosts {
        assert_eq!(environ(host, "PASSWORD")?, "correct-horse-battery");
        assert_eq!(greeting(host)?, "good day");
    }
    // A password is changed by a commit, without a request that fails.
    let two = make("1.1.0", "wrong", Behaviour::Good)?;
    let mut load = lease.load(TINY);
    load.rate = Some(50.0);
    load.connections = Connections::Fresh;
    let load = load.start();
    ended(&deploy(&two)?, 0);
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    assert_eq!(environ(&lease.hosts[1], "PASSWORD")?, "wrong-horse-battery");
    // Back to what is still warm, and was started with the password of before: it is not used so.
    let back = controller.run(&["rollback", "demo"])?;
    ended(&back, 0);
    assert!(
        back.all().contains("Since then: set PASSWORD"),
        "{}",
        back.all()
    );
    assert_eq!(environ(&lease.hosts[0], "PASSWORD")?, "wrong-horse-battery");
    ended(&deploy(&two)?, 0);
    // Once more there is nothing to do.
    let again = deploy(&two)?;
    assert_eq!(kinds(&again), ["unchanged"; 2], "{}", again.all());
    // What somebody set meanwhile is what the commit says again, and in effect.
    let set = ["settings", "set", "demo", "GREETING=bye"];
    ended(&controller.run(&set)?, 0);
    let again = deploy(&two)?;
    assert_eq!(kinds(&again), ["switched"; 2], "{}", again.all());
    for host in &lease.hosts {
        assert_eq!(greeting(host)?, "good day");
    }
    // A release that fails leaves none of its settings, and nothing of them lies anywhere else.
    let three = make("1.2.0", "other", Behaviour::ExitsAtImport)?;
    ended(&deploy(&three)?, 1);
    for host in &lease.hosts {
        assert_eq!(environ(host, "PASSWORD")?, "wrong-horse-battery");
        host.sh("grep -q wrong-horse /etc/longshore/apps/tiny.env")?;
        let found = host.sh(
            "grep -rlsF horse-battery /srv /var/lib/longshore /run 2>/dev/null; \
             journalctl -o cat --no-pager | grep -F horse-battery; true",
        )?;
        assert_eq!(found, "");
    }
    let four = make("1.3.0", "fourth", Behaviour::Good)?;
    let answer = controller.run(&["deploy", "demo", "--release", &four, "--keep-settings"])?;
    ended(&answer, 0);
    assert_eq!(environ(&lease.hosts[0], "PASSWORD")?, "wrong-horse-battery");
    Ok(())
}

const TAKES_A_FILE: &str = "
[settings]
files = [\"SERVICE_KEY\"]
[migrate]
run = [\"test -z \\\"$SERVICE_KEY\\\" && cat $CREDENTIALS_DIRECTORY/SERVICE_KEY > data/seen\"]
";

fn as_a_file() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let controller = lease.controller(TINY);
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| format!("{text}{TAKES_A_FILE}"))?;
    let one = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let answer = lease.deploy(TINY, &one)?;
    ended(&answer, 4);
    assert!(
        answer.all().contains("SERVICE_KEY, which is not set here"),
        "{}",
        answer.all()
    );
    let set =
        |value: &str| controller.run(&["settings", "set", "demo", &format!("SERVICE_KEY={value}")]);
    ended(&set("first-key")?, 0);
    ended(&lease.deploy(TINY, &one)?, 0);
    let given = || {
        host.sh("slot=$(readlink /srv/longshore/tiny/slots/live); \
             cat /run/credentials/longshore-tiny@$slot.service/SERVICE_KEY")
    };
    assert_eq!(given()?, "first-key");
    assert_eq!(environ(host, "SERVICE_KEY")?, "");
    assert_eq!(
        host.sh("cat /srv/longshore/tiny/shared/data/seen")?,
        "first-key"
    );
    ended(&set("second-key")?, 0);
    assert_eq!(given()?, "second-key");
    let run = ssh(
        &lease,
        &[
            "run",
            "demo",
            "--",
            "cat $CREDENTIALS_DIRECTORY/SERVICE_KEY",
        ],
    )?;
    assert_eq!(run.stdout.trim(), "second-key", "{}", run.all());
    // It is there again after a boot, and nobody but root and the app can read it.
    host.reboot()?;
    host.wait_until_up()?;
    assert_eq!(given()?, "second-key");
    host.sh("! setpriv --reuid nobody --clear-groups cat /run/longshore/tiny/settings/SERVICE_KEY 2>/dev/null")?;
    let found = host.sh("grep -rlsF second-key /etc /srv /var/lib/longshore 2>/dev/null; journalctl -o cat --no-pager | grep -F second-key; true")?;
    assert_eq!(found, "/etc/longshore/apps/tiny.env\n");
    Ok(())
}

fn came_later() -> Told {
    let lease = lease(2)?;
    let controller = lease.controller(TINY);
    let repository = lease.repository(TINY)?;
    let one = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let [first, second] = [lease.hosts[0].name.as_str(), lease.hosts[1].name.as_str()];
    let set = ["settings", "set", "demo", "GREETING=hello", "--on", first];
    ended(&controller.run(&set)?, 0);
    let early = controller.run(&["deploy", "demo", "--release", &one, "--on", first])?;
    ended(&early, 0);
    // It would serve as nobody has ever seen it.
    let home = lease.controller(TINY).in_folder(repository.folder());
    let answer = home.run(&["sync", "demo", "--on", second])?;
    ended(&answer, 4);
    let told = format!("{second} has no setting GREETING, which {first} has");
    assert!(answer.all().contains(&told), "{}", answer.all());
    let shown = controller.plain(&["settings", "list", "demo", "--show", "--on", first])?;
    let file = lease.folder().join("copied.env");
    fs_err::write(&file, &shown.stdout)?;
    let file = file.display().to_string();
    let copy = [
        "settings",
        "set",
        "demo",
        "--env-file",
        &file,
        "--on",
        second,
        "--later",
    ];
    ended(&controller.run(&copy)?, 0);
    ended(&home.run(&["sync", "demo", "--on", second])?, 0);
    assert_eq!(greeting(&lease.hosts[1])?, "hello");
    // A deployment says it, too, and goes on: hosts may differ on purpose.
    let set = ["settings", "set", "demo", "COLOUR=red", "--on", second];
    ended(&controller.run(&set)?, 0);
    let two = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let answer = lease.deploy(TINY, &two)?;
    ended(&answer, 0);
    assert!(
        answer
            .all()
            .contains("it has no setting COLOUR, which other hosts have"),
        "{}",
        answer.all()
    );
    Ok(())
}
