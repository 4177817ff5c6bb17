//! A branch beside the others: a place of its own, for a while, of which nothing is left.

use std::error::Error;

use longshore_lab::controller::Answer;
use longshore_lab::host::Host;
use longshore_lab::load::Connections;
use longshore_lab::sample::{Behaviour, Repository, Sample};
use serde_json::Value;

use crate::answers::{ended, hosts, live};
use crate::branches::git;
use crate::patience::until;
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "previews::a_branch_has_a_place_of_its_own_until_its_time_has_come",
        tell: own_place,
    },
    Story {
        name: "previews::what_is_in_the_way_is_told_before_anything_is_made",
        tell: in_the_way,
    },
];

const TINY: Sample = Sample::Tiny;
const LOGIN: &str = "tiny--feature-login";

/// What a branch needs: a copy of the app's data, and a setting that only its preview has; and all that
/// could be left of it.
const HOOKS: &str = r#"
[preview]
copy = ["data/db"]
create = [
    "grep original $LONGSHORE_SHARED/data/db; cat /proc/self/cgroup; touch /dev/shm/tiny--$LONGSHORE_PREVIEW",
    "echo made for $LONGSHORE_PREVIEW; echo DATABASE=copy-of-$LONGSHORE_PREVIEW_ID",
]
destroy = ["echo taken away: $DATABASE"]

[process.worker]
command = "sleep 1000"

[timer.nightly]
command = "true"
at = "*-*-* *:*:0/2"
"#;

/// Allows previews on the host and in the inventory.
pub(crate) fn allow(lease: &Lease, app: &str, rules: &str) -> Told {
    let line = format!("preview = {{ {rules} }}");
    for host in &lease.hosts {
        host.sh(&format!(
            "sed -i '/apps.{app}]/a {line}' /etc/longshore/host.toml"
        ))?;
    }
    let text = fs_err::read_to_string(lease.inventory())?;
    let app = format!("apps.{app}]\n");
    Ok(fs_err::write(
        lease.inventory(),
        text.replace(&app, &format!("{app}{line}\n")),
    )?)
}

pub(crate) fn up(
    lease: &Lease,
    repository: &Repository,
    words: &[&str],
) -> Result<Answer, Box<dyn Error>> {
    let key = lease.signing_key();
    let mut all = vec!["preview", "up", "demo", "--key", &key];
    all.extend(words);
    let controller = lease.controller(repository.sample());
    Ok(controller.in_folder(repository.folder()).run(&all)?)
}

/// A branch with a commit of its own.
pub(crate) fn branch(repository: &Repository, name: &str, version: &str) -> Told {
    git(repository, &["checkout", "--quiet", "-b", name])?;
    repository.commit(version, &Behaviour::Good)?;
    git(repository, &["checkout", "--quiet", "main"])
}

/// The app itself, with something to copy, and a branch whose preview needs a copy of it.
pub(crate) fn set_up(lease: &Lease, hooks: &str) -> Result<Repository, Box<dyn Error>> {
    allow(lease, "tiny", "max = 2, memory = \"96m\", processes = 40")?;
    lease.hosts[0].sh("sed -i '/apps.tiny]/a single = true' /etc/longshore/host.toml")?;
    let repository = lease.repository(TINY)?;
    repository.change_app_file(|text| format!("{text}{hooks}"))?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &first)?, 0);
    lease.hosts[0].sh("echo original > /srv/longshore/tiny/shared/data/db")?;
    Ok(repository)
}

fn visit(host: &Host, domain: &str) -> Result<String, Box<dyn Error>> {
    Ok(host
        .sh(&format!(
            "curl -sSf --max-time 10 -H 'Host: {domain}' http://127.0.0.1/version"
        ))?
        .trim()
        .to_owned())
}

/// A line for the shell where an instance serves.
pub(crate) fn run(host: &Host, app: &str, line: &str) -> Result<String, Box<dyn Error>> {
    Ok(host.sh(&format!("longshore-agent run {app} -- '{line}'"))?)
}

/// The previews that the controller lists.
pub(crate) fn listed(lease: &Lease, sample: Sample) -> Result<Vec<Value>, Box<dyn Error>> {
    let answer = lease.controller(sample).run(&["preview", "list", "demo"])?;
    ended(&answer, 0);
    let apps = hosts(&answer).into_iter();
    Ok(apps
        .filter_map(|host| host["apps"].as_array().cloned())
        .flatten()
        .collect())
}

/// Whatever on the host is called so, or was a preview's.
pub(crate) fn left(host: &Host, name: &str) -> Result<String, Box<dyn Error>> {
    Ok(host.sh(&format!(
        "set -u; cd /; \
         find /etc /srv /run /var /dev/shm /tmp -name '*{name}*' -not -path '/run/systemd/journal/*' 2>/dev/null; \
         find / -xdev '(' -nouser -o -nogroup ')' 2>/dev/null; \
         grep -H '^pre-' /etc/passwd /etc/group; \
         systemctl list-units --all --plain --no-legend 'longshore-*' | grep -e '{name}' -e pre_; \
         grep -r '{name}' /etc/nginx /etc/systemd/system; \
         for table in releases servings migrations previews; do \
         sqlite3 /var/lib/longshore/ledger.db \"SELECT '$table' FROM $table WHERE app = '{name}' LIMIT 1\" || echo cannot ask; \
         done; true"
    ))?)
}

/// Nothing on the host is called so any more, but in its history.
pub(crate) fn nothing_left(host: &Host, name: &str) -> Told {
    assert_eq!(left(host, name)?, "", "left of {name}");
    Ok(())
}

fn own_place() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = set_up(&lease, HOOKS)?;
    let controller = lease.controller(TINY);
    let set = ["settings", "set", "demo", "COLOUR=blue", "MODE=base"];
    ended(&controller.run(&set)?, 0);
    branch(&repository, "feature/Login", "1.1.0-login.1")?;

    let mut load = lease.load(TINY);
    load.rate = Some(50.0);
    load.connections = Connections::Fresh;
    let load = load.start();
    let words = ["--ref", "feature/Login", "--for", "1h"];
    let answer = up(&lease, &repository, &words)?;
    ended(&answer, 0);
    let domain = format!("feature-login.{}", TINY.domain());
    let told = answer
        .events
        .iter()
        .find(|event| event["event"] == "preview");
    let told = told.ok_or("nobody told of the preview")?;
    assert_eq!(told["url"], format!("http://{domain}/"), "{told}");
    assert_eq!(told["git_ref"], "feature/Login");
    assert!(
        answer.all().contains("made for feature-login"),
        "{}",
        answer.all()
    );
    assert!(!answer.all().contains("copy-of-"), "{}", answer.all());
    let outcome = load.stop();
    assert_eq!(
        (outcome.failed, outcome.versions.len()),
        (0, 1),
        "{outcome}"
    );

    // Each has its own code, data, settings and bounds.
    assert_eq!(visit(host, &domain)?, "1.1.0-login.1");
    assert_eq!(visit(host, &TINY.domain())?, "1.0.0");
    let own = controller.clone().for_app(LOGIN);
    let environment = run(host, LOGIN, "env; id -un; cat data/db")?;
    for line in [
        "COLOUR=blue",
        "MODE=base",
        "DATABASE=copy-of-tiny__feature_login",
        "LONGSHORE_PREVIEW=feature-login",
        "original",
    ] {
        assert!(
            environment.lines().any(|said| said == line),
            "{line}: {environment}"
        );
    }
    let user = environment.lines().find(|line| line.starts_with("pre-"));
    let user = user.ok_or("not as its own user")?.to_owned();
    run(host, LOGIN, "echo changed > data/db")?;
    assert_eq!(
        host.sh("cat /srv/longshore/tiny/shared/data/db")?,
        "original\n"
    );
    let seen = answer.all();
    assert!(
        seen.contains("tiny--feature-login") && !seen.contains("cortico"),
        "{seen}"
    );
    let place = run(host, LOGIN, "cat /proc/self/cgroup")?;
    assert!(place.contains("/longshore.slice/longshore-pre_"), "{place}");
    let bounds = host.sh(&format!(
        "cd / && for unit in longshore-{LOGIN}@blue $(basename /etc/systemd/system/longshore-pre_*.slice); do \
         systemctl show -p Slice,MemoryMax,TasksMax --value $unit; done"
    ))?;
    assert!(
        bounds.contains("longshore-pre_") && bounds.contains("100663296\n40\n"),
        "{bounds}"
    );
    let stranger = host.sh(&format!(
        "su -s /bin/sh {user} -c 'cat /srv/longshore/tiny/shared/data/db' 2>&1 || true"
    ))?;
    assert!(stranger.contains("denied"), "{stranger}");

    // What is looked for at its end is there now.
    until("the timer has run", 60, || {
        Ok(left(host, LOGIN)?.contains("/var/lib/systemd/timers/"))
    })?;
    let there = left(host, LOGIN)?;
    for what in [
        "/srv/longshore/tiny--feature-login",
        "/etc/longshore/apps/tiny--feature-login.made.env",
        "/etc/nginx/conf.d/longshore-tiny--feature-login.conf",
        "/run/longshore/tiny--feature-login",
        "/dev/shm/tiny--feature-login",
        "/etc/passwd:pre-",
        "/etc/group:pre-",
        "longshore-tiny--feature-login@blue.worker.service",
        "releases",
        "servings",
        "previews",
    ] {
        assert!(there.contains(what), "{what}: {there}");
    }

    // Settings of its own stay its own, and other verbs take it by its name.
    ended(&own.run(&["settings", "set", "demo", "MODE=own"])?, 0);
    assert!(
        run(host, LOGIN, "env")?
            .lines()
            .any(|line| line == "MODE=own")
    );
    assert!(
        run(host, "tiny", "env")?
            .lines()
            .any(|line| line == "MODE=base")
    );
    ended(
        &controller.run(&["settings", "set", "demo", "COLOUR=red"])?,
        0,
    );
    ended(&own.run(&["restart", "demo"])?, 0);
    assert!(
        run(host, LOGIN, "env")?
            .lines()
            .any(|line| line == "COLOUR=red")
    );
    let logs = own.plain(&["logs", "demo", "-n", "50"])?;
    assert!(logs.stdout.contains("tiny serves"), "{}", logs.all());
    let status = controller.plain(&["status", "demo"])?;
    assert!(
        status.stdout.contains("tiny--feature-login"),
        "{}",
        status.all()
    );
    let open = own.plain(&["open", "demo"])?;
    assert_eq!(open.stdout.trim(), format!("http://{domain}/"));
    ended(&own.run(&["maintenance", "on", "demo"])?, 0);
    assert!(visit(host, &domain).is_err());
    assert_eq!(visit(host, &TINY.domain())?, "1.0.0");
    ended(&own.run(&["maintenance", "off", "demo"])?, 0);
    assert_eq!(visit(host, &domain)?, "1.1.0-login.1");

    // What comes next goes into the same place, and renews its time.
    let before = listed(&lease, TINY)?;
    git(&repository, &["checkout", "--quiet", "feature/Login"])?;
    repository.commit("1.1.0-login.2", &Behaviour::Good)?;
    let answer = up(&lease, &repository, &[])?;
    ended(&answer, 0);
    assert!(!answer.all().contains("made for"), "{}", answer.all());
    assert_eq!(visit(host, &domain)?, "1.1.0-login.2");
    assert_eq!(run(host, LOGIN, "cat data/db")?.trim(), "changed");
    let after = listed(&lease, TINY)?;
    assert_eq!((before.len(), after.len()), (1, 1));
    let end = |all: &[Value]| all[0]["preview"]["until"].as_str().map(str::to_owned);
    assert!(end(&after) > end(&before), "{after:?}");
    let longer = controller.run(&["preview", "renew", "demo", LOGIN, "--for", "30d"])?;
    ended(&longer, 0);
    let longest = listed(&lease, TINY)?;
    ended(&up(&lease, &repository, &[])?, 0);
    assert_eq!(
        end(&listed(&lease, TINY)?),
        end(&longest),
        "nobody shortened it"
    );
    ended(&own.run(&["rollback", "demo"])?, 0);
    assert_eq!(visit(host, &domain)?, "1.1.0-login.1");

    // It comes back after a reboot, and goes when its time has come.
    host.reboot()?;
    until("the preview is there again", 60, || {
        Ok(visit(host, &domain).is_ok())
    })?;
    crate::ambush::agent(host)?;
    let renewed = controller.run(&["preview", "renew", "demo", "feature/Login", "--for", "2s"])?;
    ended(&renewed, 0);
    until("the preview is gone", 60, || {
        Ok(listed(&lease, TINY)?.is_empty())
    })?;
    nothing_left(host, LOGIN)?;
    host.sh(&format!("! getent passwd {user} && ! getent group {user}"))?;
    host.sh("test $(journalctl -o cat | grep -c 'taken away: copy-of-tiny__feature_login') = 1")?;
    let history = host.sh("longshore-agent history")?;
    assert!(history.contains("expire"), "{history}");
    assert_eq!(visit(host, &TINY.domain())?, "1.0.0");
    let status = controller.run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"], "{}", status.all());
    Ok(())
}

fn in_the_way() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = set_up(&lease, HOOKS)?;
    let text = fs_err::read_to_string(lease.inventory())?;
    let app = "apps.tiny]\n";
    let text = text.replace(app, &format!("{app}branch = \"main\"\n"));
    fs_err::write(lease.inventory(), text)?;
    let long = "x".repeat(200);
    for (name, version) in [
        ("feature/login", "1.1.0-a.1"),
        ("feature-login", "1.1.0-b.1"),
        (long.as_str(), "1.1.0-c.1"),
        ("other", "1.1.0-d.1"),
        ("x;y`id`%n", "1.1.0-e.1"),
    ] {
        branch(&repository, name, version)?;
    }
    let refused = |words: &[&str], code: i32, told: &[&str]| -> Told {
        let answer = up(&lease, &repository, words)?;
        ended(&answer, code);
        for told in told {
            assert!(answer.all().contains(told), "{told}: {}", answer.all());
        }
        Ok(())
    };
    refused(&["--ref", "main"], 2, &["longshore return demo"])?;
    refused(&["--ref", "../x"], 2, &["../x is no branch"])?;
    // Others mean another one by it.
    let origin = ["update-ref", "refs/remotes/origin/HEAD", "main"];
    git(&repository, &origin)?;
    for name in ["HEAD", "origin/HEAD", "other~0", "v1.1.0-d.1"] {
        refused(&["--ref", name], 2, &[&format!("{name} is no branch")])?;
    }
    // A tag of its name is not it.
    git(&repository, &["tag", "feature/login", "main"])?;
    refused(
        &["--ref", "other", "--name", "../x"],
        2,
        &["no name of a preview"],
    )?;
    refused(&["--ref", "other", "--for", "soon"], 2, &["7d"])?;
    let answer = up(&lease, &repository, &["--ref", &long])?;
    ended(&answer, 0);
    let names: Vec<Value> = listed(&lease, TINY)?;
    let name = names[0]["app"].as_str().unwrap_or_default().to_owned();
    assert!(name.len() <= 36 && name.starts_with("tiny--xxxx"), "{name}");
    let answer = up(&lease, &repository, &["--ref", "feature/login"])?;
    ended(&answer, 0);
    assert!(answer.all().contains("1.1.0-a.1"), "{}", answer.all());
    let taken = [
        "there is a preview feature-login already",
        "feature/login, by ops1",
        "--name",
    ];
    refused(&["--ref", "feature-login"], 4, &taken)?;
    let full = [
        "this host has 2 previews, and 2 is the most",
        "feature-login",
        "preview down demo",
    ];
    refused(&["--ref", "other"], 4, &full)?;
    let there = host.sh("ls /srv/longshore; ls /etc/nginx/conf.d; grep -c ^pre- /etc/passwd")?;
    assert!(
        !there.contains("other") && there.ends_with("2\n"),
        "{there}"
    );

    // A name may mean two: then nobody's is taken.
    ended(
        &lease
            .controller(TINY)
            .run(&["preview", "down", "demo", &long])?,
        0,
    );
    let odd = up(&lease, &repository, &["--ref", "x;y`id`%n"])?;
    ended(&odd, 0);
    assert!(odd.all().contains("tiny--x-y-id-n"), "{}", odd.all());
    ended(
        &lease
            .controller(TINY)
            .run(&["preview", "down", "demo", "x-y-id-n"])?,
        0,
    );
    ended(
        &up(
            &lease,
            &repository,
            &["--ref", "feature-login", "--name", "login2"],
        )?,
        0,
    );
    let answer = lease
        .controller(TINY)
        .plain(&["preview", "down", "demo", "feature-login"])?;
    assert_eq!(answer.code, Some(4), "{}", answer.all());
    for words in [
        "tiny--feature-login (of feature/login",
        "tiny--login2 (of feature-login",
    ] {
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }
    assert_eq!(listed(&lease, TINY)?.len(), 2);
    ended(
        &lease
            .controller(TINY)
            .run(&["preview", "down", "demo", "feature/login"])?,
        0,
    );
    assert_eq!(listed(&lease, TINY)?[0]["app"], "tiny--login2");

    // One whose settings are not for whoever deploys; and who deploys brings previews up.
    host.sh("sed -i '/^settings/d' /etc/longshore/host.toml")?;
    ended(&up(&lease, &repository, &["--ref", "other"])?, 0);
    let other = lease.controller(TINY).for_app("tiny--other");
    let answer = other.plain(&["settings", "set", "demo", "A=b"])?;
    assert_eq!(answer.code, Some(4), "{}", answer.all());
    host.sh("sed -i '/^deploy/a settings = [\"@longshore\"]' /etc/longshore/host.toml")?;

    // Verbs that bring an app a release are not for previews, and nobody deploys into one that is not
    // there.
    let answer = other.plain(&["deploy", "demo", "--version", "1.0.0"])?;
    assert_eq!(answer.code, Some(2), "{}", answer.all());
    assert!(answer.all().contains("preview up demo"), "{}", answer.all());
    let nobody = lease.controller(TINY).for_app("tiny--nobody");
    for (words, told) in [
        (&["restart", "demo"][..], "tiny--nobody does not serve"),
        (
            &["settings", "set", "demo", "A=b"],
            "no preview tiny--nobody",
        ),
    ] {
        let answer = nobody.plain(words)?;
        assert_eq!(answer.code, Some(4), "{}", answer.all());
        assert!(answer.all().contains(told), "{told}: {}", answer.all());
    }
    host.sh("test ! -e /srv/longshore/tiny--nobody -a ! -e /etc/longshore/apps/tiny--nobody.env")?;
    let answer = lease
        .controller(TINY)
        .plain(&["preview", "renew", "demo", "nobody"])?;
    assert_eq!(answer.code, Some(4), "{}", answer.all());
    let words = "tiny has no preview nobody";
    assert!(answer.all().contains(words), "{}", answer.all());

    // What the host does not allow, no inventory does.
    host.sh("sed -i '/^preview/d' /etc/longshore/host.toml")?;
    refused(
        &["--ref", "other"],
        4,
        &["get no previews on this host", "bootstrap"],
    )?;
    for name in ["other", "login2"] {
        let down = ["preview", "down", "demo", name];
        ended(&lease.controller(TINY).run(&down)?, 0);
    }
    nothing_left(host, "tiny--other")
}
