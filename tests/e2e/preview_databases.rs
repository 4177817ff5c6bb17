//! The database of a preview: a copy of one file, or one from a template.

use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::ended;
use crate::branches::git;
use crate::patience::until;
use crate::previews::{branch, nothing_left, run, set_up, up};
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "preview_databases::one_that_is_written_to_is_copied_whole",
        tell: whole_database,
    },
    Story {
        name: "preview_databases::one_from_a_template_comes_and_goes_as_the_readme_says",
        tell: from_template,
    },
    Story {
        name: "preview_databases::the_apps_own_is_never_taken_for_it",
        tell: never_the_apps_own,
    },
];

const TINY: Sample = Sample::Tiny;

/// What ops do once.
const POSTGRESQL: &str = "
set -e
cd /
systemctl start postgresql
until su postgres -c 'psql -qc \"select 1\"' >/dev/null 2>&1; do sleep 0.2; done
echo \"create role tiny login createdb password 'known'\" | su postgres -c 'psql -q'
for name in tiny cortico_template; do su postgres -c \"createdb --owner tiny $name\"; done
echo 'create table of_template (n int); alter table of_template owner to tiny' | su postgres -c 'psql -q cortico_template'
";

fn from_template() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    host.sh(POSTGRESQL)?;
    let readme = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))?;
    let recipe = readme
        .split("  ```toml\n")
        .find(|text| text.trim_start().starts_with("[preview]"))
        .and_then(|text| text.split("  ```").next())
        .ok_or("the README has no recipe")?;
    let repository = set_up(&lease, &format!("\n{recipe}"))?;
    let controller = lease.controller(TINY);
    let mut set = vec!["settings", "set", "demo"];
    set.extend([
        "PGHOST=127.0.0.1",
        "PGUSER=tiny",
        "PGPASSWORD=known",
        "PGDATABASE=tiny",
    ]);
    ended(&controller.run(&set)?, 0);
    let databases = || {
        host.sh("cd / && su postgres -c 'psql -qAtc \"select datname from pg_database\"' | grep ^tiny | sort")
    };

    branch(&repository, "login", "1.1.0-login.1")?;
    ended(&up(&lease, &repository, &["--ref", "login"])?, 0);
    assert_eq!(databases()?, "tiny\ntiny__login\n");
    let query = "psql -qAtc \"select current_database(), count(*) from of_template\"";
    assert_eq!(run(host, "tiny--login", query)?, "tiny__login|0\n");
    let down = ["preview", "down", "demo", "login"];
    ended(&controller.run(&down)?, 0);
    assert_eq!(databases()?, "tiny\n");
    nothing_left(host, "tiny--login")?;

    // One that breaks off when the database is there and no setting names it.
    repository.change_app_file(|text| text.replace("\"echo PG", "\"exit 3\", \"echo PG"))?;
    branch(&repository, "two", "1.1.0-two.1")?;
    ended(&up(&lease, &repository, &["--ref", "two"])?, 1);
    assert_eq!(databases()?, "tiny\n");
    nothing_left(host, "tiny--two")
}

/// Two tables that are the same at any moment: with a log much of them is not in the database's own file,
/// and without one it comes and goes with a journal.
const WRITER: &str = r#"import sqlite3, sys, time
mode = sys.argv[1]
here = sqlite3.connect(f"/srv/longshore/tiny/shared/data/{mode}.sqlite3", isolation_level=None, timeout=60)
here.execute(f"pragma journal_mode = {mode}")
for table in "ab":
    here.execute(f"create table {table} (n, noise)")
while True:
    here.execute("begin")
    for table in "ab":
        here.execute(f"insert into {table} values (1, randomblob(20000))")
    here.execute("commit")
    time.sleep(0.005)
"#;
const MODES: [&str; 2] = ["wal", "delete"];

fn whole_database() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = set_up(&lease, "\n[preview]\ncopy = [\"data\"]\n")?;
    branch(&repository, "login", "1.1.0-login.1")?;
    host.sh(&format!(
        "cat > /usr/local/bin/writer.py <<'END'\n{WRITER}END\n\
         for mode in {}; do systemd-run --quiet --unit=writer-$mode --uid=$(stat -c %u /srv/longshore/tiny/shared/data) \
         python3 /usr/local/bin/writer.py $mode; done",
        MODES.join(" ")
    ))?;
    for mode in MODES {
        until("something is written", 60, || {
            let size = format!(
                "stat -c %s /srv/longshore/tiny/shared/data/{mode}.sqlite3 2>/dev/null || echo 0"
            );
            Ok(host.sh(&size)?.trim().parse::<u64>()? > 20 << 20)
        })?;
    }
    // What only begins like one is a file like others.
    host.sh("printf 'SQLite format 3\\0 no more' > /srv/longshore/tiny/shared/data/upload")?;
    ended(&up(&lease, &repository, &["--ref", "login"])?, 0);
    for mode in MODES {
        host.sh(&format!(
            "systemctl is-active -q writer-{mode} && systemctl stop writer-{mode}"
        ))?;
        let file = format!("/srv/longshore/tiny--login/shared/data/{mode}.sqlite3");
        let look = format!(
            "import sqlite3; here = sqlite3.connect('{file}'); \
             print(*here.execute('select count(*) from a').fetchone(), *here.execute('select count(*) from b').fetchone(), \
             *here.execute('pragma integrity_check').fetchone())"
        );
        let copy = host.sh(&format!("python3 -c \"{look}\""))?;
        let words: Vec<&str> = copy.split_whitespace().collect();
        let [a, b, "ok"] = words.as_slice() else {
            return Err(copy.into());
        };
        assert!(a == b && a.parse::<u32>()? > 400, "{mode}: {copy}");
        assert!(host.sh(&format!("stat -c %U {file}"))?.starts_with("pre-"));
    }
    assert_eq!(run(host, "tiny--login", "cat data/db")?, "original\n");
    run(host, "tiny--login", "grep -q no.more data/upload")?;
    host.sh("! ls -A /srv/longshore/tiny/shared | grep longshore-copy")?;
    Ok(())
}

/// Whatever goes wrong while it is made: `destroy` finds the preview's own, or nothing.
fn never_the_apps_own() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = set_up(&lease, "")?;
    let controller = lease.controller(TINY);
    let set = ["settings", "set", "demo", "DATABASE=the-apps-own"];
    ended(&controller.run(&set)?, 0);
    let hooks = |name: &str, create: &str| -> Told {
        git(&repository, &["checkout", "--quiet", "-b", name, "main"])?;
        let hooks = format!(
            "\n[preview]\ncreate = [{create}]\ndestroy = [\"echo $LONGSHORE_PREVIEW drops: [$DATABASE]\"]\n"
        );
        repository.change_app_file(|text| format!("{text}{hooks}"))?;
        Ok(repository.commit(&format!("1.1.0-{name}.1"), &Behaviour::Good)?)
    };
    let dropped = |name: &str, what: &str| {
        host.sh(&format!(
            "journalctl --sync; test \"$(journalctl -o cat | grep -o '^{name} drops: .*' | sort -u)\" = '{name} drops: [{what}]'"
        ))
    };

    // What it says of its work is no part of what it prints.
    hooks("talks", "\"printf 'copying ... ' >&2; echo DATABASE=copy\"")?;
    let alike = ["--ref", "talks", "--name", "feature-login-x92646"];
    ended(&up(&lease, &repository, &alike)?, 0);
    let app = "tiny--feature-login-x92646";
    assert_eq!(run(host, app, "echo $DATABASE")?, "copy\n");
    // Its Unix name is short, and whoever looks for another with the same one finds it.
    let alike = ["--ref", "talks", "--name", "feature-login-x137125"];
    let answer = up(&lease, &repository, &alike)?;
    ended(&answer, 4);
    assert!(
        answer.all().contains("would have one Unix user"),
        "{}",
        answer.all()
    );
    let down = ["preview", "down", "demo", "feature-login-x92646"];
    ended(&controller.run(&down)?, 0);
    dropped("feature-login-x92646", "copy")?;

    let long = "x".repeat(1100);
    let faulty = [
        (
            "midline",
            "\"echo copying ... DATABASE=copy\"".to_owned(),
            "The app has a setting DATABASE",
            "",
        ),
        (
            "many",
            "\"for i in $(seq 60); do echo A$i=1; done; echo DATABASE=many\"".to_owned(),
            "more than 50 settings",
            "",
        ),
        (
            "long",
            format!("\"echo DATABASE={long}\""),
            "cannot be a setting",
            "",
        ),
    ];
    for (name, create, told, drops) in faulty {
        hooks(name, &create)?;
        let answer = up(&lease, &repository, &["--ref", name])?;
        ended(&answer, 1);
        assert!(answer.all().contains(told), "{told}: {}", answer.all());
        assert!(
            answer.all().contains("nothing of it is left"),
            "{}",
            answer.all()
        );
        dropped(name, drops)?;
        nothing_left(host, &format!("tiny--{name}"))?;
    }

    // An agent that is killed has kept what was printed.
    hooks("killed", "\"echo DATABASE=killed; sleep 15\"")?;
    std::thread::scope(|scope| -> Told {
        let first = scope.spawn(|| {
            up(&lease, &repository, &["--ref", "killed"]).map_err(|error| error.to_string())
        });
        host.sh("until grep -q killed /etc/longshore/apps/tiny--killed.made.env; do sleep 0.05; done; systemctl kill -s KILL longshore-agent")?;
        ended(&first.join().map_err(|_| "the first try panicked")??, 1);
        Ok(())
    })?;
    crate::ambush::agent(host)?;
    let down = ["preview", "down", "demo", "killed"];
    ended(&controller.run(&down)?, 0);
    dropped("killed", "killed")?;
    nothing_left(host, "tiny--killed")
}
