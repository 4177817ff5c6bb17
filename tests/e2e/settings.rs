//! What an app finds in its environment: set, changed under load, put back where it does harm, and
//! seen by nobody else.

use std::io::Write as _;
use std::process::Stdio;

use longshore_lab::controller::{Answer, answer};
use longshore_lab::host::Host;
use longshore_lab::load::Connections;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, hosts, kinds};
use crate::broken_releases::green_starts_only_if;
use crate::secrets::{self, only_in};
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "settings::reach_every_process_to_the_byte_and_drop_no_request",
        tell: under_load,
    },
    Story {
        name: "settings::that_break_the_app_are_put_back_on_all_hosts",
        tell: that_break_the_app,
    },
    Story {
        name: "settings::a_secret_is_found_in_one_file_alone",
        tell: a_secret,
    },
    Story {
        name: "settings::what_is_none_is_refused_and_nothing_is_lost",
        tell: what_is_none,
    },
    Story {
        name: "settings::are_edited_as_one_text_that_nobody_else_reads",
        tell: in_an_editor,
    },
];

const TINY: Sample = Sample::Tiny;
const SECRET: &str = "correct-horse-battery-staple";

/// What the app's process was given.
fn environ(host: &Host, name: &str) -> Result<String, Box<dyn std::error::Error>> {
    Ok(host.sh(&format!(
        "slot=$(readlink /srv/longshore/tiny/slots/live); \
         id=$(systemctl show -P MainPID longshore-tiny@$slot); \
         python3 -c \"import sys; print(dict(v.split('=', 1) for v in open('/proc/$id/environ').read().split('\\0') if v).get('{name}'), end='')\""
    ))?)
}

fn live_slot(host: &Host) -> Result<String, Box<dyn std::error::Error>> {
    Ok(host.sh("readlink /srv/longshore/tiny/slots/live")?)
}

/// A command that is given something to read.
fn told(lease: &Lease, words: &[&str], input: &[u8]) -> Result<Answer, Box<dyn std::error::Error>> {
    let mut command = lease.controller(TINY).command(words);
    command.arg("--json");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    // A program that refuses what it was told in words reads nothing.
    let _refused = child.stdin.take().ok_or("no input")?.write_all(input);
    Ok(answer(&child.wait_with_output()?))
}

fn under_load() -> Told {
    let lease = lease(2)?;
    let repository = lease.repository(TINY)?;
    let controller = lease.controller(TINY);
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    // Set before anything serves, they wait for what comes.
    let answer = controller.run(&["settings", "set", "demo", "GREETING=hello"])?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["staged"; 2], "{}", answer.all());
    ended(&lease.deploy(TINY, &first)?, 0);
    for host in &lease.hosts {
        assert_eq!(environ(host, "GREETING")?, "hello");
    }

    let mut load = lease.load(TINY);
    load.rate = Some(50.0);
    load.connections = Connections::Fresh;
    let load = load.start();
    let slots = [live_slot(&lease.hosts[0])?, live_slot(&lease.hosts[1])?];
    let odd = "two\nlines\t \"quoted\" 'too' $HOME `id` back\\slash %h ö #; = end ";
    let answer = told(
        &lease,
        &["settings", "set", "demo", "ODD"],
        format!("{odd}\n").as_bytes(),
    )?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["switched"; 2], "{}", answer.all());
    let set = controller.run(&["settings", "set", "demo", "A=1", "B=", "ODD="])?;
    ended(&set, 0);
    ended(&controller.run(&["settings", "unset", "demo", "A"])?, 0);
    ended(&controller.run(&["restart", "demo"])?, 0);
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    for (host, slot) in lease.hosts.iter().zip(slots) {
        // An even number of restarts.
        assert_eq!(live_slot(host)?, slot);
        assert_eq!(environ(host, "B")?, "");
        assert_eq!(environ(host, "A")?, "None");
        assert_eq!(environ(host, "GREETING")?, "hello");
    }

    ended(
        &controller.run(&["settings", "rollback", "demo", "2", "--later"])?,
        0,
    );
    for host in &lease.hosts {
        assert_eq!(environ(host, "ODD")?, "", "nothing was restarted");
    }
    ended(&controller.run(&["restart", "demo"])?, 0);
    for host in &lease.hosts {
        assert_eq!(environ(host, "ODD")?, odd);
    }
    // A second time there is nothing to do, and nothing is restarted.
    let slot = live_slot(&lease.hosts[0])?;
    let same = controller.run(&["settings", "set", "demo", "GREETING=hello"])?;
    ended(&same, 0);
    assert_eq!(kinds(&same), ["unchanged"; 2], "{}", same.all());
    assert_eq!(live_slot(&lease.hosts[0])?, slot);

    // A slot that is still warm was started with the settings of before: nobody goes back to it.
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &second)?, 0);
    ended(
        &controller.run(&["settings", "set", "demo", "GREETING=again", "--later"])?,
        0,
    );
    ended(&controller.run(&["rollback", "demo"])?, 0);
    assert_eq!(environ(&lease.hosts[0], "GREETING")?, "again");
    // What was written and is not in effect yet is no work that is done.
    ended(
        &controller.run(&["settings", "set", "demo", "GREETING=late", "--later"])?,
        0,
    );
    let list = controller.plain(&["settings", "list", "demo"])?;
    assert!(
        list.stdout.contains("was started before that"),
        "{}",
        list.all()
    );
    let set = controller.run(&["settings", "set", "demo", "GREETING=late"])?;
    assert_eq!(kinds(&set), ["switched"; 2], "{}", set.all());
    assert_eq!(environ(&lease.hosts[1], "GREETING")?, "late");
    // Hosts that were changed one by one are not gone back together by a number.
    let one = lease.hosts[1].name.as_str();
    ended(
        &controller.run(&["settings", "set", "demo", "GREETING=odd", "--on", one])?,
        0,
    );
    let back = controller.run(&["settings", "rollback", "demo"])?;
    ended(&back, 4);
    assert!(back.all().contains("different settings"), "{}", back.all());
    ended(
        &controller.run(&["settings", "rollback", "demo", "--on", one])?,
        0,
    );
    assert_eq!(environ(&lease.hosts[1], "GREETING")?, "late");

    // What is shown can be read again.
    let shown = controller.plain(&["settings", "list", "demo", "--show"])?;
    let file = lease.folder().join("shown.env");
    fs_err::write(&file, &shown.stdout)?;
    let file = file.display().to_string();
    let again = controller.run(&["settings", "set", "demo", "--env-file", &file])?;
    assert_eq!(kinds(&again), ["unchanged"; 2], "{}", again.all());
    let history = lease.hosts[0].sh("longshore-agent history")?;
    assert!(history.contains("settings 2: set ODD"), "{history}");
    Ok(())
}

fn that_break_the_app() -> Told {
    let lease = lease(2)?;
    let repository = lease.repository(TINY)?;
    let controller = lease.controller(TINY);
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(
        &controller.run(&["settings", "set", "demo", "COLOUR=blue"])?,
        0,
    );
    ended(&lease.deploy(TINY, &first)?, 0);
    // On the second host alone the app cannot come up: somebody else has what it wants there.
    green_starts_only_if(&lease.hosts[1], "test $COLOUR = blue")?;
    let mut load = lease.load(TINY);
    load.rate = Some(50.0);
    load.connections = Connections::Fresh;
    let load = load.start();
    let answer = controller.run(&["settings", "set", "demo", "COLOUR=red"])?;
    let outcome = load.stop();
    ended(&answer, 1);
    assert_eq!(kinds(&answer), ["reverted", "failed"], "{}", answer.all());
    assert_eq!(outcome.failed, 0, "{outcome}");
    for host in &lease.hosts {
        assert_eq!(environ(host, "COLOUR")?, "blue");
        host.sh("grep -q 'COLOUR=\"blue\"' /etc/longshore/apps/tiny.env")?;
        // Nothing of it comes back with a reboot.
        host.reboot()?;
        assert_eq!(environ(host, "COLOUR")?, "blue");
    }
    // What was put back is no change to go back from.
    let back = controller.run(&["settings", "rollback", "demo"])?;
    ended(&back, 4);
    assert!(
        back.all().contains("nothing is kept here of before"),
        "{}",
        back.all()
    );
    let list = controller.run(&["settings", "list", "demo"])?;
    for host in hosts(&list) {
        assert_eq!(host["now"]["number"], 3, "{}", list.all());
        assert_eq!(host["now"]["again"], 1, "{}", list.all());
        assert_eq!(host["in_effect"], true, "{}", list.all());
        assert_eq!(host["earlier"].as_array().map(Vec::len), Some(2));
        assert_eq!(host["by_hand"], false);
    }
    Ok(())
}

fn a_secret() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| {
        format!("{text}\n[[prepare]]\nrun = [\"test -n \\\"$PASSWORD\\\"\"]\n[migrate]\nrun = [\"test -n \\\"$PASSWORD\\\"\"]\n")
    })?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let file = lease.folder().join("password");
    fs_err::write(&file, format!("{SECRET}\n"))?;
    let given = format!("PASSWORD={}", file.display());
    let controller = lease.controller(TINY);
    let answer = controller.run(&["settings", "set", "demo", "--file", &given, "-vv"])?;
    ended(&answer, 0);
    assert!(!answer.all().contains(SECRET), "{}", answer.all());
    fs_err::remove_file(&file)?;
    ended(&lease.deploy(TINY, &first)?, 0);
    ended(&controller.run(&["restart", "demo", "-vv"])?, 0);
    assert_eq!(environ(host, "PASSWORD")?, SECRET);
    let list = controller.run(&["settings", "list", "demo"])?;
    assert!(list.all().contains("PASSWORD") && !list.all().contains(SECRET));

    let kept = "/etc/longshore/apps/tiny.env";
    only_in(&lease, SECRET, &[kept])?;
    assert_eq!(secrets::on(host, SECRET)?, [kept]);
    let mode = host.sh("stat -c '%a %U' /etc/longshore/apps/tiny.env")?;
    assert_eq!(mode, "600 root\n");
    secrets::are_found(&lease, "tiny")
}

fn what_is_none() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let controller = lease.controller(TINY);
    ended(&controller.run(&["settings", "set", "demo", "KEPT=1"])?, 0);
    let refused: &[(&[&str], &[u8], i32, &str)] = &[
        (
            &["set", "demo", "1A=secret"],
            b"",
            2,
            "no name of a setting",
        ),
        (
            &["set", "demo", "LONGSHORE_SLOT=x"],
            b"",
            2,
            "Longshore's own",
        ),
        (
            &["set", "demo", "BIG"],
            &[b'a'; 1 << 20],
            2,
            "all settings of an app together",
        ),
        (&["set", "demo", "A"], b"a\r\nb", 2, "control character"),
        (&["set", "demo", "A"], b"a\xff", 2, "UTF-8"),
        (
            &["set", "demo", "A"],
            "a\u{fdd0}".as_bytes(),
            2,
            "no character",
        ),
        (&["set", "demo", "A", "B"], b"a", 2, "one value only"),
        (&["set", "demo"], b"", 2, "nothing is given"),
        (&["set", "demo", "A"], b"", 2, "no value of A was given"),
        (
            &["set", "demo", "NOTIFY_SOCKET=/x"],
            b"",
            2,
            "systemd's own",
        ),
        (&["set", "demo", "A=1", "A=2"], b"", 2, "given twice"),
        (
            &["unset", "demo", "NOT_THERE"],
            b"",
            4,
            "no setting NOT_THERE",
        ),
        (&["rollback", "demo", "77"], b"", 4, "not kept"),
    ];
    for (words, input, code, says) in refused {
        let words = [&["settings"], *words].concat();
        let answer = told(&lease, &words, input)?;
        ended(&answer, *code);
        assert!(answer.all().contains(says), "{words:?}: {}", answer.all());
        assert!(!answer.all().contains("secret"), "{}", answer.all());
    }
    // Whoever only deploys sees and changes nothing of it.
    host.sh("sed -i 's/^settings = .*/settings = [\"@sudo\"]/' /etc/longshore/host.toml")?;
    for words in [
        &["settings", "list", "demo"][..],
        &["settings", "set", "demo", "A=1"],
    ] {
        let answer = controller.run(words)?;
        assert!(
            answer.code.is_some_and(|code| code != 0),
            "{}",
            answer.all()
        );
        assert!(
            answer.all().contains("may not see or change the settings"),
            "{}",
            answer.all()
        );
    }
    host.sh("sed -i 's/^settings = .*/settings = [\"@longshore\"]/' /etc/longshore/host.toml")?;
    // Together too much for a process, though each alone is not.
    let large = "x".repeat(60_000);
    ended(
        &told(&lease, &["settings", "set", "demo", "A"], large.as_bytes())?,
        0,
    );
    let answer = told(&lease, &["settings", "set", "demo", "B"], large.as_bytes())?;
    ended(&answer, 4);
    assert!(
        answer.all().contains("98304 is what can be given"),
        "{}",
        answer.all()
    );

    // A file that somebody wrote is read as it is, said to be so, and kept.
    host.sh("printf '# mine\\nKEPT=2\\nOWN=three words\\n' > /etc/longshore/apps/tiny.env")?;
    let list = controller.plain(&["settings", "list", "demo"])?;
    assert!(
        list.stdout.contains("by hand") && list.stdout.contains("OWN"),
        "{}",
        list.all()
    );
    ended(&controller.run(&["settings", "set", "demo", "NEW=1"])?, 0);
    let all = controller.plain(&["settings", "list", "demo", "--show"])?;
    for line in ["KEPT=\"2\"", "OWN=\"three words\"", "NEW=\"1\""] {
        assert!(all.stdout.contains(line), "{}", all.all());
    }
    host.sh("grep -q '^# mine' /etc/longshore/apps/tiny.earlier/*.env")?;
    // One that cannot be read is not written over.
    host.sh("printf 'A=1\\nsecret\\n' > /etc/longshore/apps/tiny.env")?;
    let answer = controller.run(&["settings", "set", "demo", "A=2"])?;
    ended(&answer, 4);
    assert!(answer.all().contains("line 2") && !answer.all().contains("secret"));
    host.sh("grep -q secret /etc/longshore/apps/tiny.env")?;
    Ok(())
}

/// With an editor that is a line of shell; `$1` is the file.
fn edit(lease: &Lease, editor: &str) -> Result<Answer, Box<dyn std::error::Error>> {
    let script = lease.folder().join("editor");
    fs_err::write(&script, format!("#!/bin/sh\n{editor}\n"))?;
    fs_err::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut command = lease
        .controller(TINY)
        .command(&["settings", "edit", "demo"]);
    command.env_remove("VISUAL").env("EDITOR", &script);
    command.stdin(Stdio::null());
    Ok(answer(&command.output()?))
}

fn in_an_editor() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &release)?, 0);
    let controller = lease.controller(TINY);
    ended(
        &controller.run(&["settings", "set", "demo", "KEPT=1", "GONE=2"])?,
        0,
    );
    let mut command = controller.command(&["settings", "edit", "demo"]);
    command.env_remove("VISUAL").env_remove("EDITOR");
    let nobody = answer(&command.stdin(Stdio::null()).output()?);
    assert_eq!(nobody.code, Some(2), "{}", nobody.all());
    assert!(
        nobody.all().contains("nobody is there to edit"),
        "{}",
        nobody.all()
    );
    let about = lease.folder().join("about");
    let look = format!(
        "stat -c '%a' \"$1\" $(dirname \"$1\") > {0}; cat \"$1\" >> {0}; dirname \"$1\" >> {0}",
        about.display()
    );
    let answer = edit(
        &lease,
        &format!("{look}; sed -i -e /GONE/d -e 's/KEPT=.*/KEPT=3/' \"$1\"; echo NEW=4 >> \"$1\""),
    )?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    for (name, value) in [("KEPT", "3"), ("NEW", "4"), ("GONE", "None")] {
        assert_eq!(environ(host, name)?, value, "{name}");
    }
    let seen = fs_err::read_to_string(&about)?;
    assert!(seen.contains("KEPT=") && seen.contains("GONE="), "{seen}");
    assert!(seen.lines().nth(1) == Some("700"), "{seen}");
    let folder = seen.lines().last().ok_or("no folder")?;
    assert!(!std::path::Path::new(folder).exists(), "{folder}");

    // What cannot be used changes nothing, and an editor that only looked does not either.
    let slot = live_slot(host)?;
    for (editor, code, words) in [
        ("exit 3", 1, "nothing was changed"),
        ("echo 'no setting' >> \"$1\"", 2, "holds no settings"),
        ("true", 0, "Nothing was changed"),
    ] {
        let answer = edit(&lease, editor)?;
        assert_eq!(answer.code, Some(code), "{}", answer.all());
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }
    assert_eq!(
        (environ(host, "NEW")?.as_str(), live_slot(host)?),
        ("4", slot)
    );
    Ok(())
}
