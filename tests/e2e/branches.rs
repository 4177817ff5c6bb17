//! A feature branch takes the dev server and leaves it again, with its migrations.

use std::process::Command;

use longshore_lab::controller::Answer;
use longshore_lab::host::Host;
use longshore_lab::load::Connections;
use longshore_lab::process;
use longshore_lab::sample::{Behaviour, Repository, Sample};

use crate::answers::{ended, kinds, live};
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "branches::two_migrations_come_with_a_branch_and_go_with_it",
        tell: come_and_go,
    },
    Story {
        name: "branches::where_nothing_is_undone_whoever_goes_past_migrations_is_told",
        tell: past_migrations,
    },
    Story {
        name: "branches::of_two_at_once_the_second_is_told_who_has_it",
        tell: two_at_once,
    },
    Story {
        name: "branches::a_migration_that_cannot_be_undone_leaves_its_release_serving",
        tell: cannot_be_undone,
    },
];

const CORTICO: Sample = Sample::Cortico;
const ADDED: [&str; 2] = ["board.0002_author", "board.0003_colour"];

/// A migration of the board that adds a column, with which the release before can still write.
pub(crate) fn migration(
    repository: &Repository,
    number: u32,
    after: &str,
    column: &str,
    also: &str,
) -> Told {
    let text = format!(
        "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    \
         dependencies = [(\"board\", \"{after}\")]\n    operations = [\n        \
         migrations.AddField(\"note\", \"{column}\", models.CharField(max_length=20, null=True)),\n        {also}\n    ]\n"
    );
    let file = format!("board/migrations/{number:04}_{column}.py");
    Ok(fs_err::write(repository.folder().join(file), text)?)
}

pub(crate) fn git(repository: &Repository, words: &[&str]) -> Told {
    let mut git = Command::new("git");
    process::run(git.current_dir(repository.folder()).args(words))?;
    Ok(())
}

/// A branch of the repository with two migrations, and its release.
fn feature(lease: &Lease, repository: &Repository) -> Result<String, Box<dyn std::error::Error>> {
    git(repository, &["checkout", "--quiet", "-b", "my-branch"])?;
    migration(repository, 2, "0001_initial", "author", "")?;
    migration(repository, 3, "0002_author", "colour", "")?;
    let release = lease.release(repository, "1.1.0-my-branch.1", &Behaviour::Good)?;
    git(repository, &["checkout", "--quiet", "main"])?;
    Ok(release)
}

/// What Django itself wrote down, and whether the columns are there.
fn in_database(host: &Host) -> Result<(Vec<String>, Vec<String>), Box<dyn std::error::Error>> {
    let ask = |query: &str| {
        host.sh(&format!(
            "python3 -c \"import sqlite3; print('\\n'.join(r[0] for r in sqlite3.connect('/srv/longshore/cortico/shared/data/db.sqlite3').execute('{query}')))\""
        ))
    };
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let names = ask("select app || char(46) || name from django_migrations order by id")?;
    let columns = ask("select name from pragma_table_info(\\\"board_note\\\")")?;
    Ok((lines(names), lines(columns)))
}

/// What the inventory and the host say of migrations that a release leaves behind.
pub(crate) fn undo_on_leave(lease: &Lease) -> Told {
    let line = "on_leave = \\\"undo\\\"";
    for host in &lease.hosts {
        host.sh(&format!(
            "sed -i \"/apps.cortico/a {line}\" /etc/longshore/host.toml"
        ))?;
    }
    Ok(())
}

pub(crate) fn own_branch(lease: &Lease, repository: &Repository) -> Told {
    let origin = lease.folder().join("origin.git").display().to_string();
    git(repository, &["clone", "--quiet", "--bare", ".", &origin])?;
    git(repository, &["remote", "add", "origin", &origin])?;
    let text = fs_err::read_to_string(lease.inventory())?;
    let app = "apps.cortico]\n";
    Ok(fs_err::write(
        lease.inventory(),
        text.replace(app, &format!("{app}branch = \"main\"\n")),
    )?)
}

fn go_back(lease: &Lease, repository: &Repository) -> Result<Answer, Box<dyn std::error::Error>> {
    let controller = lease.controller(CORTICO).in_folder(repository.folder());
    Ok(controller.run(&["return", "demo", "--key", &lease.signing_key()])?)
}

fn come_and_go() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(CORTICO)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    own_branch(&lease, &repository)?;
    undo_on_leave(&lease)?;
    ended(&lease.deploy(CORTICO, &first)?, 0);
    let before = in_database(host)?;
    let release = feature(&lease, &repository)?;

    let mut load = lease.load(CORTICO);
    load.rate = Some(20.0);
    load.connections = Connections::Fresh;
    let load = load.start();
    let answer = lease.deploy(CORTICO, &release)?;
    ended(&answer, 0);
    let applied = format!("applied: {}", ADDED.join(", "));
    assert!(answer.all().contains(&applied), "{}", answer.all());
    let status = lease.controller(CORTICO).plain(&["status", "demo"])?;
    let today = host.sh("date -u +%Y-%m-%d")?;
    for words in ["v1.1.0-my-branch.1", "ops1", today.trim()] {
        assert!(status.stdout.contains(words), "{words}: {}", status.all());
    }
    let (names, columns) = in_database(host)?;
    assert!(
        ADDED.iter().all(|name| names.contains(&(*name).to_owned())),
        "{names:?}"
    );
    assert!(columns.contains(&"colour".to_owned()), "{columns:?}");

    let answer = go_back(&lease, &repository)?;
    let outcome = load.stop();
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["switched"], "{}", answer.all());
    assert_eq!(outcome.failed, 0, "{outcome}");
    assert_eq!(in_database(host)?, before);
    let status = lease.controller(CORTICO).run(&["status", "demo"])?;
    assert_eq!(live(&status, "cortico"), ["1.0.0"], "{}", status.all());
    let history = host.sh("longshore-agent history")?;
    for words in [applied, format!("undone: {}", ADDED.join(", "))] {
        assert!(history.contains(&words), "{history}");
    }
    // And once more, as it is by now; what was undone is done again.
    git(&repository, &["checkout", "--quiet", "my-branch"])?;
    fs_err::write(
        repository.folder().join("motto.txt"),
        "The branch goes on.\n",
    )?;
    git(
        &repository,
        &["commit", "--quiet", "--all", "--message", "Go on"],
    )?;
    git(&repository, &["checkout", "--quiet", "main"])?;
    let home = lease.controller(CORTICO).in_folder(repository.folder());
    let key = lease.signing_key();
    let words = ["deploy", "demo", "--ref", "my-branch", "--key", &key];
    ended(&home.run(&words)?, 0);
    assert_eq!(in_database(host)?.0, names);
    let domain = CORTICO.domain();
    host.sh(&format!(
        "curl -sf -H 'Host: {domain}' http://127.0.0.1/ | grep -q 'The branch goes on.'"
    ))?;
    let status = lease.controller(CORTICO).plain(&["status", "demo"])?;
    for words in ["my-branch", "ops1", today.trim()] {
        assert!(status.stdout.contains(words), "{words}: {}", status.all());
    }
    ended(&lease.controller(CORTICO).run(&["rollback", "demo"])?, 0);
    assert_eq!(in_database(host)?, before);
    Ok(())
}

fn past_migrations() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(CORTICO)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(CORTICO, &first)?, 0);
    let release = feature(&lease, &repository)?;
    ended(&lease.deploy(CORTICO, &release)?, 0);
    let there = in_database(host)?;
    let controller = lease.controller(CORTICO);
    let asked = controller.plain(&["rollback", "demo"])?;
    assert_eq!(asked.code, Some(4), "{}", asked.all());
    let told = format!("not in 1.0.0: {}", ADDED.join(", "));
    assert!(asked.all().contains(&told), "{}", asked.all());
    let status = controller.run(&["status", "demo"])?;
    assert_eq!(live(&status, "cortico"), ["1.1.0-my-branch.1"]);
    let answer = controller.plain(&["rollback", "demo", "--yes"])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(answer.all().contains(&told), "{}", answer.all());
    assert_eq!(in_database(host)?, there, "nothing is undone there");
    Ok(())
}

fn cannot_be_undone() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(CORTICO)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    own_branch(&lease, &repository)?;
    undo_on_leave(&lease)?;
    ended(&lease.deploy(CORTICO, &first)?, 0);
    git(&repository, &["checkout", "--quiet", "-b", "one-way"])?;
    migration(
        &repository,
        2,
        "0001_initial",
        "author",
        "migrations.RunPython(print),",
    )?;
    let release = lease.release(&repository, "1.1.0-one-way.1", &Behaviour::Good)?;
    git(&repository, &["checkout", "--quiet", "main"])?;
    ended(&lease.deploy(CORTICO, &release)?, 0);
    let there = in_database(host)?;
    let answer = go_back(&lease, &repository)?;
    ended(&answer, 1);
    let said = answer.all();
    assert!(
        said.contains("still in the database: board.0002_author"),
        "{said}"
    );
    assert!(said.contains("is not reversible"), "{said}");
    let status = lease.controller(CORTICO).run(&["status", "demo"])?;
    assert_eq!(
        live(&status, "cortico"),
        ["1.1.0-one-way.1"],
        "{}",
        status.all()
    );
    assert_eq!(in_database(host)?, there);
    host.sh(&format!(
        "curl -sf -H 'Host: {}' http://127.0.0.1/version | grep -q one-way",
        CORTICO.domain()
    ))?;
    Ok(())
}

fn two_at_once() -> Told {
    let lease = lease(1)?;
    let tiny = Sample::Tiny;
    let repository = lease.repository(tiny)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &first)?, 0);
    repository.change_app_file(|text| format!("{text}\n[[prepare]]\nrun = [\"sleep 20\"]\n"))?;
    let mine = lease.release(&repository, "1.1.0-mine.1", &Behaviour::Good)?;
    let theirs = lease.release(&repository, "1.1.0-theirs.1", &Behaviour::Good)?;
    lease.hosts[0].sh(
        "useradd --create-home --groups longshore --shell /bin/sh dev2 && \
         cp -r ~ops1/.ssh ~dev2/ && chown -R dev2:dev2 ~dev2/.ssh",
    )?;
    std::thread::scope(|scope| -> Told {
        let deploy = scope.spawn(|| lease.deploy(tiny, &mine).map_err(|error| error.to_string()));
        lease.hosts[0]
            .sh("until systemctl is-active -q longshore-tiny-step; do sleep 0.1; done")?;
        let other = lease.controller(tiny).as_user("dev2");
        let second = other.run(&["deploy", "demo", "--release", &theirs])?;
        ended(&second, 4);
        assert!(
            second.all().contains("\"user\":\"dev2\""),
            "{}",
            second.all()
        );
        for words in ["tiny is locked here", "by ops1", "deploy"] {
            assert!(second.all().contains(words), "{}", second.all());
        }
        let status = lease.controller(tiny).plain(&["status", "demo"])?;
        assert!(
            status.stdout.contains("is locked by") && status.stdout.contains("ops1"),
            "{}",
            status.all()
        );
        let deployed = deploy.join().map_err(|_| "the deployment panicked")??;
        ended(&deployed, 0);
        Ok(())
    })?;
    let status = lease.controller(tiny).run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.1.0-mine.1"], "{}", status.all());
    Ok(())
}
