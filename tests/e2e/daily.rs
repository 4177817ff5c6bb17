//! What people do every day: look at a host.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use longshore_lab::controller::{Answer, answer};
use longshore_lab::process;
use longshore_lab::sample::{Behaviour, Sample};
use serde_json::Value;

use crate::answers::ended;
use crate::patience::until;
use crate::stage::{Lease, lease};
use crate::terminal::Terminal;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "daily::the_real_ssh_goes_to_the_pinned_host_and_to_no_other",
        tell: the_real_ssh,
    },
    Story {
        name: "daily::a_command_runs_on_all_hosts_and_ends_as_the_worst",
        tell: on_all_hosts,
    },
    Story {
        name: "daily::logs_of_all_hosts_come_by_time_and_go_on",
        tell: logs,
    },
    Story {
        name: "daily::a_command_runs_where_the_release_runs_and_with_a_terminal",
        tell: a_command,
    },
];

fn a_command() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let early = ssh(&lease, &["run", "demo", "--", "true"])?;
    assert!(
        early.code == Some(4) && early.all().contains("does not serve here"),
        "{}",
        early.all()
    );
    let controller = lease.controller(tiny);
    ended(
        &controller.run(&["settings", "set", "demo", "GREETING=hello"])?,
        0,
    );
    ended(&lease.deploy(tiny, &release)?, 0);

    let line = "id -un; pwd; echo $GREETING $LONGSHORE_VERSION; ls app.py; touch app.py; echo to-errors >&2; exit 7";
    let answer = ssh(&lease, &["run", "demo", "--", line])?;
    assert_eq!(answer.code, Some(7), "{}", answer.all());
    let said = "app-tiny\n/srv/longshore/tiny/app\nhello 1.0.0\napp.py\n";
    assert_eq!(answer.stdout, said, "{}", answer.all());
    assert!(
        answer.stderr.contains("to-errors") && answer.stderr.contains("cannot touch"),
        "{}",
        answer.all()
    );
    let words = ssh(
        &lease,
        &["run", "demo", "--", "printf", "%s|", "a b", "$HOME", "it's"],
    )?;
    assert_eq!(words.stdout, "a b|$HOME|it's|", "{}", words.all());
    // A signal is no good end, as a shell tells it.
    for (signal, code) in [("TERM", 143), ("INT", 130), ("KILL", 137)] {
        let line = format!(
            "exec python3 -c 'import os, signal; os.kill(os.getpid(), signal.SIG{signal})'"
        );
        let answer = ssh(&lease, &["run", "demo", "--", &line])?;
        assert_eq!(answer.code, Some(code), "{signal}: {}", answer.all());
    }
    let history = host.sh("longshore-agent history")?;
    assert!(history.contains("tiny 1.0.0: printf %s|"), "{history}");

    // With a terminal, where there is one.
    let mut command = with_ssh(&lease)?;
    command.args([
        "run",
        "demo",
        "--",
        "test -t 0 && echo is a terminal; read x; echo got $x; stty size > /dev/null && exit 3",
    ]);
    let mut terminal = Terminal::start(&command)?;
    terminal.answer("is a terminal", "something")?;
    let (code, shown) = terminal.end()?;
    assert!(
        code == Some(3) && shown.contains("got something"),
        "{code:?}: {shown}"
    );

    // Whoever leaves takes it along, and whoever only deploys may not.
    let mut left = with_ssh(&lease)?;
    left.args(["run", "demo", "--", "sleep 600"]);
    let mut left = left.stdin(Stdio::piped()).spawn()?;
    let units = "systemctl list-units --plain --no-legend 'longshore-tiny-run-*' | wc -l";
    until("it runs", 60, || Ok(host.sh(units)?.trim() == "1"))?;
    host.sh("pkill -f '[l]ongshore-agent run tiny'")?;
    until("it has ended", 60, || Ok(host.sh(units)?.trim() == "0"))?;
    left.wait()?;
    // So does a line that is lost.
    let mut lost = with_ssh(&lease)?;
    lost.args(["run", "demo", "--", "sleep 601"]);
    let mut lost = lost.stdin(Stdio::piped()).spawn()?;
    until("it runs", 60, || Ok(host.sh(units)?.trim() == "1"))?;
    host.sh("pkill -f '^sshd: ops1@'")?;
    until("it has ended", 60, || Ok(host.sh(units)?.trim() == "0"))?;
    lost.wait()?;
    host.sh("sed -i 's/^settings = .*/settings = [\"@sudo\"]/' /etc/longshore/host.toml")?;
    let refused = ssh(&lease, &["run", "demo", "--", "true"])?;
    assert_ne!(refused.code, Some(0), "{}", refused.all());
    Ok(())
}

/// The lines that were told.
fn told(answer: &Answer) -> Vec<Value> {
    ended(answer, 0);
    let lines = answer.events.iter();
    lines
        .filter(|event| event["event"] == "log")
        .cloned()
        .collect()
}

fn logs() -> Told {
    let lease = lease(2)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    repository.change_app_file(|text| {
        let steps = [
            "echo of-a-step; printf '\\\\033[2J\\\\n'",
            "head -c 1048576 /dev/zero | tr '\\\\0' x; echo; echo last",
        ];
        format!(
            "{text}\n[migrate]\nrun = [\"{}\", \"{}\"]\n",
            steps[0], steps[1]
        )
    })?;
    let release = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &release)?, 0);
    let controller = lease.controller(tiny);
    let names: Vec<&str> = lease.hosts.iter().map(|host| host.name.as_str()).collect();

    let app = controller.plain(&["logs", "demo", "app", "--grep", "tiny serves"])?;
    assert_eq!(app.code, Some(0), "{}", app.all());
    for name in &names {
        assert_eq!(
            app.stdout.matches(&format!("{name} |")).count(),
            1,
            "{}",
            app.all()
        );
    }
    let steps = controller.plain(&["logs", "demo", "steps", "-n", "2000"])?;
    assert!(steps.stdout.contains("step   of-a-step"), "{}", steps.all());
    assert!(steps.stdout.contains("[2J") && !steps.stdout.contains('\u{1b}'));
    assert!(steps.stdout.contains("step   last"), "{}", steps.all());
    assert!(steps.stdout.lines().all(|line| line.len() < 9000));
    // Words are words, and no pattern.
    let pattern = controller.plain(&["logs", "demo", "steps", "--grep", "of.a.step"])?;
    assert_eq!(pattern.stdout, "", "{}", pattern.all());
    let future = controller.plain(&["logs", "demo", "--since", "2099-01-01T00:00:00Z"])?;
    assert_eq!(future.stdout, "", "{}", future.all());
    // All hosts by time, and from a moment on.
    let all = told(&controller.run(&["logs", "demo", "app", "--since", "10m"])?);
    let hosts: BTreeSet<&str> = all
        .iter()
        .filter_map(|line| line["host"].as_str())
        .collect();
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), names);
    let at = |line: &Value| line["at"].as_str().unwrap_or_default().to_owned();
    assert!(all.is_sorted_by_key(at), "{all:?}");
    let middle = at(&all[all.len() / 2]);
    let late = told(&controller.run(&["logs", "demo", "app", "--since", &middle])?);
    assert!(!late.is_empty() && late.len() < all.len(), "{late:?}");
    assert!(late.iter().all(|line| at(line) >= middle), "{late:?}");
    let agent = controller.run(&["logs", "demo", "agent", "-n", "5", "--on", names[0]])?;
    ended(&agent, 0);
    assert!(agent.stdout.contains("\"of\":\"agent\""), "{}", agent.all());

    // nginx cannot reach a slot that is not there.
    lease.hosts[0].sh(&format!(
        "systemctl stop longshore-tiny@blue; for n in 1 2 3 4; do curl -s -H 'Host: {}' http://127.0.0.1/$n; done; \
         systemctl start longshore-tiny@blue",
        tiny.domain()
    ))?;
    let nginx = controller.plain(&["logs", "demo", "nginx", "-n", "2"])?;
    assert!(nginx.stdout.contains("nginx  [error]"), "{}", nginx.all());
    assert_eq!(nginx.stdout.lines().count(), 2, "{}", nginx.all());
    let words = [
        "logs", "demo", "app", "--grep", "erves", "-n", "1", "--on", names[0],
    ];
    let last = controller.plain(&words)?;
    assert_eq!(last.stdout.lines().count(), 1, "{}", last.all());

    // It goes on while it is followed, and ends when asked to.
    let heard = lease.folder().join("heard");
    let mut command = controller.command(&["logs", "demo", "app", "-f", "-n", "0", "--json"]);
    command.stdout(fs_err::File::create(&heard)?.into_file());
    let mut following = command.stderr(Stdio::null()).spawn()?;
    let again = lease.folder().join("again");
    let mut command = controller.command(&["logs", "demo", "app", "-f", "-n", "3", "--json"]);
    command.stdout(fs_err::File::create(&again)?.into_file());
    let mut from_before = command.stderr(Stdio::null()).spawn()?;
    for host in &lease.hosts {
        let readers = "pgrep -fc '[j]ournalctl.*--follow' || true";
        let read = || Ok(host.sh(readers)?.trim() == "2");
        until("both read", 60, read)?;
    }
    // journald's reader has to have found the end of what there is.
    thread::sleep(Duration::from_secs(2));
    ended(&controller.run(&["restart", "demo"])?, 0);
    for name in &names {
        let line = format!("\"host\":\"{name}\",\"of\":\"green\",\"text\":\"tiny serves\"");
        let shown = || Ok(fs_err::read_to_string(&heard)?.contains(&line));
        until(&line, 60, shown)?;
    }
    let serves = "\"of\":\"green\",\"text\":\"tiny serves\"";
    until("the other, too", 60, || {
        Ok(fs_err::read_to_string(&again)?.matches(serves).count() == names.len())
    })?;
    for reader in [&mut following, &mut from_before] {
        process::run(Command::new("kill").args(["-INT", &reader.id().to_string()]))?;
        assert_eq!(reader.wait()?.code(), Some(130));
    }
    // Three lines of each host, by time; then what came, each once.
    let shown = fs_err::read_to_string(&again)?;
    let shown: Vec<Value> = shown
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let shown: Vec<Value> = shown
        .into_iter()
        .filter(|line| line["event"] == "log")
        .collect();
    let before = &shown[..3 * names.len()];
    assert!(before.is_sorted_by_key(at), "{before:?}");
    for name in &names {
        assert_eq!(
            before.iter().filter(|line| line["host"] == *name).count(),
            3
        );
    }
    for (number, line) in shown.iter().enumerate() {
        assert!(!shown[..number].contains(line), "twice: {line}");
    }
    // Whoever reads a line and goes leaves nobody behind, here either.
    let mut command = controller.command(&["logs", "demo", "app", "-f", "-n", "1"]);
    let mut left = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(left.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    assert!(line.contains(" | "), "{line}");
    ended(&controller.run(&["restart", "demo"])?, 0);
    until("it ends", 60, || Ok(left.try_wait()?.is_some()))?;
    assert_eq!(left.wait()?.code(), Some(0));
    // Nobody reads on at the hosts.
    for host in &lease.hosts {
        until("the reader ends", 60, || {
            Ok(host.sh("pgrep journalctl || true")?.is_empty())
        })?;
    }
    Ok(())
}

fn on_all_hosts() -> Told {
    let lease = lease(2)?;
    let controller = lease.controller(Sample::Tiny);
    let names: Vec<&str> = lease.hosts.iter().map(|host| host.name.as_str()).collect();
    let line = format!(
        "hostname; id -un >&2; test $(hostname) = {} && exit 5; exit 3",
        names[1]
    );
    let answer = controller.plain(&["exec", "demo", "--", &line])?;
    assert_eq!(answer.code, Some(5), "{}", answer.all());
    for (name, status) in [(names[0], 3), (names[1], 5)] {
        let told = format!("{name}: exit {status}");
        assert!(answer.stderr.contains(&told), "{told}: {}", answer.all());
    }
    let mut lines: Vec<&str> = answer.stdout.lines().collect();
    lines.sort_unstable();
    let said = |name: &str| [format!("{name} | ops1"), format!("{name} | {name}")];
    let mut wanted: Vec<String> = names.iter().flat_map(|name| said(name)).collect();
    wanted.sort();
    assert_eq!(lines, wanted, "{}", answer.all());
    let one = controller.run(&[
        "exec", "demo", "--on", names[0], "--", "printf", "%s", "$HOME a",
    ])?;
    ended(&one, 0);
    assert!(one.stdout.contains("$HOME a"), "{}", one.all());

    // What is printed harms no terminal, and a line of any length is shown.
    let odd = "printf '\\033[2Jgone\\n'; head -c 1048576 /dev/zero | tr '\\0' x; echo; echo end";
    let answer = controller.plain(&["exec", "demo", "--on", names[0], "--", odd])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(answer.stdout.contains("\\u{1b}[2Jgone") && answer.stdout.contains("| end"));
    assert!(!answer.stdout.contains('\u{1b}'));
    assert!(answer.stdout.len() < 20_000, "{}", answer.stdout.len());

    lease.plug(&lease.hosts[1], false)?;
    let answer = controller.run(&["exec", "demo", "--", "true"])?;
    assert_eq!(answer.code, Some(1), "{}", answer.all());
    assert!(answer.all().contains(names[1]), "{}", answer.all());
    let without = controller.run(&["exec", "demo", "--skip-offline", "--", "true"])?;
    ended(&without, 0);
    lease.plug(&lease.hosts[1], true)?;
    Ok(())
}

/// OpenSSH reads the configuration of the account, whatever HOME says: here it is told.
pub(crate) fn ssh(lease: &Lease, words: &[&str]) -> Result<Answer, Box<dyn std::error::Error>> {
    Ok(answer(&with_ssh(lease)?.args(words).output()?))
}

pub(crate) fn with_ssh(lease: &Lease) -> Result<Command, Box<dyn std::error::Error>> {
    let bin = lease.folder().join("bin");
    fs_err::create_dir_all(&bin)?;
    let wrapper = bin.join("ssh");
    let script = "#!/bin/sh\nexec /usr/bin/ssh -F \"$HOME/.ssh/config\" \"$@\"\n";
    fs_err::write(&wrapper, script)?;
    fs_err::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
    let mut command = lease.controller(Sample::Tiny).command(&[]);
    let path = std::env::var("PATH")?;
    command.env("PATH", format!("{}:{path}", bin.display()));
    Ok(command)
}

fn the_real_ssh() -> Told {
    let lease = lease(2)?;
    let names: Vec<String> = lease
        .hosts
        .iter()
        .map(|host| host.name.to_string())
        .collect();
    let who = ssh(
        &lease,
        &["ssh", "demo", &names[1], "--", "hostname; id -un; exit 7"],
    )?;
    assert_eq!(who.code, Some(7), "{}", who.all());
    assert_eq!(
        who.stdout.lines().next(),
        Some(names[1].as_str()),
        "{}",
        who.all()
    );

    let unknown = ssh(&lease, &["ssh", "demo", "web-99"])?;
    assert_eq!(unknown.code, Some(2), "{}", unknown.all());
    let several = ssh(&lease, &["ssh", "demo", "web-*"])?;
    assert_eq!(several.code, Some(2), "{}", several.all());

    // The first host's keys at the second one's address: somebody else answers.
    let text = fs_err::read_to_string(lease.inventory())?;
    let addresses: Vec<String> = lease
        .hosts
        .iter()
        .map(|host| host.address.to_string())
        .collect();
    let swapped = text
        .replace(&format!("\"{}\"", addresses[0]), "\"first\"")
        .replace(
            &format!("\"{}\"", addresses[1]),
            &format!("\"{}\"", addresses[0]),
        )
        .replace("\"first\"", &format!("\"{}\"", addresses[1]));
    assert_ne!(text, swapped);
    fs_err::write(lease.inventory(), swapped)?;
    let other = ssh(&lease, &["ssh", "demo", &names[0], "--", "hostname"])?;
    assert_eq!(other.code, Some(255), "{}", other.all());
    assert!(
        other.all().contains("HOST IDENTIFICATION HAS CHANGED"),
        "{}",
        other.all()
    );
    Ok(())
}
