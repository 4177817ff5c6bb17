//! A Django team's week, with PostgreSQL, Celery and Redis, and without a line of shell by the team.

use std::error::Error;
use std::thread;
use std::time::Duration;

use longshore_lab::controller::{Answer, answer};
use longshore_lab::host::Host;
use longshore_lab::load::{Connections, Load};
use longshore_lab::sample::{Behaviour, Repository, Sample};

use crate::answers::{ended, kinds};
use crate::branches::{git, migration, own_branch, undo_on_leave};
use crate::patience;
use crate::previews::{allow, nothing_left};
use crate::secrets;
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "week::of_a_django_team",
    tell: week,
}];

const CORTICO: Sample = Sample::Cortico;

/// What ops do once, on the host that keeps the data.
const SERVICES: &str = "
set -e
# PostgreSQL's programs want to know where they are.
cd /
echo \"listen_addresses = '*'\" >> /etc/postgresql/15/main/postgresql.conf
echo 'host all all all scram-sha-256' >> /etc/postgresql/15/main/pg_hba.conf
printf 'bind 0.0.0.0\\nprotected-mode no\\n' >> /etc/redis/redis.conf
systemctl start postgresql redis-server
until su postgres -c 'psql -qc \"select 1\"' >/dev/null 2>&1; do sleep 0.2; done
echo \"create role cortico login createdb password 'first-of-all-secrets'\" | su postgres -c 'psql -q'
su postgres -c 'createdb --owner cortico cortico'
su postgres -c 'createdb --owner cortico cortico_template'
echo 'create table of_template (n int); alter table of_template owner to cortico' | su postgres -c 'psql -q cortico_template'
";

/// What is asked is in no words of a program, where others would see it.
fn psql(host: &Host, query: &str) -> Result<String, Box<dyn Error>> {
    let said = host.sh(&format!(
        "cd / && su postgres -c 'psql -qAt cortico' <<'SQL'\n{query};\nSQL\n"
    ))?;
    Ok(said.trim().to_owned())
}

/// A secret comes by standard input, and is on nobody's screen.
fn set(lease: &Lease, name: &str, value: &str) -> Result<Answer, Box<dyn Error>> {
    use std::io::Write as _;
    let mut command = lease
        .controller(CORTICO)
        .command(&["settings", "set", "demo", name]);
    command.arg("--json");
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn()?;
    child
        .stdin
        .take()
        .ok_or("no input")?
        .write_all(value.as_bytes())?;
    Ok(answer(&child.wait_with_output()?))
}

fn visit(host: &Host, path: &str) -> Result<String, Box<dyn Error>> {
    Ok(host.sh(&format!(
        "curl -sSf --max-time 20 -H 'Host: {}' 'http://127.0.0.1{path}'",
        CORTICO.domain()
    ))?)
}

fn load(lease: &Lease) -> Load {
    let mut load = lease.load(CORTICO);
    load.path = "/reads".to_owned();
    load.rate = Some(20.0);
    load.workers = 2;
    load.connections = Connections::Fresh;
    load
}

fn deploy(lease: &Lease, repository: &Repository, version: &str) -> Result<Answer, Box<dyn Error>> {
    let release = lease.release(repository, version, &Behaviour::Good)?;
    lease.deploy(CORTICO, &release)
}

fn until(what: &str, is_so: impl FnMut() -> Result<bool, Box<dyn Error>>) -> Told {
    patience::until(what, 60, is_so).map(drop)
}

fn week() -> Told {
    let lease = lease(2)?;
    let [first, second] = [&lease.hosts[0], &lease.hosts[1]];
    first.sh(SERVICES)?;
    first.sh("sed -i '/apps.cortico/a single = true' /etc/longshore/host.toml")?;
    let controller = lease.controller(CORTICO);
    let repository = lease.repository(CORTICO)?;
    repository.grow("week")?;

    // Monday: settings, and the first release.
    let address = first.address;
    let url =
        |user: &str, password: &str| format!("postgresql://{user}:{password}@{address}/cortico");
    ended(
        &set(
            &lease,
            "DATABASE_URL",
            &url("cortico", "first-of-all-secrets"),
        )?,
        0,
    );
    ended(
        &set(&lease, "DJANGO_SECRET_KEY", "second-of-all-secrets")?,
        0,
    );
    ended(
        &controller.run(&[
            "settings",
            "set",
            "demo",
            &format!("BROKER_URL=redis://{address}/0"),
        ])?,
        0,
    );
    ended(&deploy(&lease, &repository, "1.0.0")?, 0);
    own_branch(&lease, &repository)?;
    for host in &lease.hosts {
        assert!(visit(host, "/")?.contains("The board is open."));
    }
    until("the one beat ticks", || {
        Ok(psql(
            first,
            "select count(*) from board_note where text = 'pulse of 1.0.0'",
        )? == "1")
    })?;
    second.sh("! systemctl list-units --plain 'longshore-*' | grep -q beat")?;
    let too_large = second.sh(&format!(
        "head -c 22000000 /dev/zero | curl -s -o /dev/null -w '%{{http_code}}' -H 'Host: {}' --data-binary @- http://127.0.0.1/upload",
        CORTICO.domain()
    ))?;
    assert_eq!(too_large, "413", "max_upload is 20m");
    first.sh("test -s /srv/longshore/cortico/shared/backups/before-1.0.0.sql")?;
    let page = visit(second, "/")?;
    let style = page
        .split('"')
        .find(|word| word.starts_with("/static/board/site.") && word.ends_with(".css"));
    let style = style
        .ok_or("no stylesheet with a digest in its name")?
        .to_owned();

    // Tuesday: a column is added under load.
    migration(&repository, 2, "0001_initial", "author", "")?;
    fs_err::write(
        repository.folder().join("board/static/board/site.css"),
        "body { color: teal }\n",
    )?;
    let busy = load(&lease).start();
    ended(&deploy(&lease, &repository, "1.1.0")?, 0);
    let outcome = busy.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    let columns =
        "select column_name from information_schema.columns where table_name = 'board_note'";
    assert!(psql(first, columns)?.contains("author"));
    // A page from before the switch finds its stylesheet.
    assert!(
        !visit(second, "/")?.contains(&style),
        "the stylesheet has another name by now"
    );
    assert!(visit(second, &style)?.contains("max-width"));

    // Wednesday: the database's password is another one, and nobody notices.
    psql(
        first,
        "create role cortico_b login password 'third-of-all-secrets' in role cortico; alter role cortico_b set role cortico",
    )?;
    let busy = load(&lease).start();
    let changed = set(
        &lease,
        "DATABASE_URL",
        &url("cortico_b", "third-of-all-secrets"),
    )?;
    ended(&changed, 0);
    assert_eq!(kinds(&changed), ["switched"; 2]);
    psql(first, "alter role cortico nologin")?;
    thread::sleep(Duration::from_secs(1));
    let outcome = busy.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");

    // Thursday: a long job is at work when a release comes, and still when it serves.
    let picture = "head -c 5000000 /dev/urandom > /tmp/picture.png; \
                   curl -sSf -F file=@/tmp/picture.png -H 'Host: HOST' http://127.0.0.1/upload";
    second.sh(&picture.replace("HOST", &CORTICO.domain()))?;
    let release = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    visit(first, "/enqueue?name=report&seconds=70")?;
    until("the job is begun", || {
        Ok(psql(
            first,
            "select count(*) from board_note where text = 'report begun by 1.1.0'",
        )? == "1")
    })?;
    ended(&lease.deploy(CORTICO, &release)?, 0);
    assert_eq!(visit(first, "/version")?.trim(), "1.2.0");
    let early = "select count(*) from board_note where text like 'report done%'";
    assert_eq!(
        psql(first, early)?,
        "0",
        "it was not at work over the switch"
    );
    let same =
        "curl -sSf -H 'Host: HOST' http://127.0.0.1/media/picture.png | cmp - /tmp/picture.png";
    second.sh(&same.replace("HOST", &CORTICO.domain()))?;
    patience::until("the job is done by the release that began it", 180, || {
        Ok(psql(
            first,
            "select count(*) from board_note where text = 'report done by 1.1.0'",
        )? == "1")
    })?;
    let jobs = psql(
        first,
        "select count(*) from board_note where text like 'report%'",
    )?;
    assert_eq!(jobs, "2", "nobody did it again");
    visit(second, "/enqueue?name=letter&seconds=0.1")?;
    until("the next job is the new release's", || {
        Ok(psql(
            first,
            "select count(*) from board_note where text = 'letter done by 1.2.0'",
        )? == "1")
    })?;

    // Friday: a developer without sudo puts a branch with two migrations there, and takes it off.
    undo_on_leave(&lease)?;
    first.sh("! id -nG ops1 | grep -qw sudo")?;
    let before = psql(
        first,
        "select app || name from django_migrations order by id",
    )?;
    git(&repository, &["checkout", "--quiet", "-b", "colours"])?;
    migration(&repository, 3, "0002_author", "colour", "")?;
    migration(&repository, 4, "0003_colour", "shade", "")?;
    ended(&deploy(&lease, &repository, "1.3.0-colours.1")?, 0);
    assert!(psql(first, columns)?.contains("shade"));
    let status = controller.plain(&["status", "demo"])?;
    assert!(
        status.stdout.contains("v1.3.0-colours.1") && status.stdout.contains("worker"),
        "{}",
        status.all()
    );
    git(&repository, &["checkout", "--quiet", "main"])?;
    second_branch(&lease, &repository)?;
    git(
        &repository,
        &["push", "--quiet", "origin", "main", "--tags"],
    )?;
    let home = lease.controller(CORTICO).in_folder(repository.folder());
    ended(
        &home.run(&["return", "demo", "--key", &lease.signing_key()])?,
        0,
    );
    assert_eq!(
        psql(
            first,
            "select app || name from django_migrations order by id"
        )?,
        before
    );
    assert!(!psql(first, columns)?.contains("shade"));
    the_preview_ends(&lease)?;
    let told = controller.run(&["logs", "demo", "tidy", "-n", "50"])?;
    assert!(told.all().contains(" notes"), "{}", told.all());

    secrets_are_where_they_belong(&lease, &[])?;
    first.sh("grep -q third-of-all-secrets /etc/longshore/apps/cortico.env")?;
    secrets::are_found(&lease, "cortico")
}

/// The settings of the app and those of before, and what else has them for now.
fn secrets_are_where_they_belong(lease: &Lease, for_now: &[&str]) -> Told {
    let files = ["cortico.env", "cortico.earlier/"];
    let files = files.iter().chain(for_now);
    let kept: Vec<String> = files
        .map(|file| format!("/etc/longshore/apps/{file}"))
        .collect();
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    for secret in [
        "first-of-all-secrets",
        "second-of-all-secrets",
        "third-of-all-secrets",
    ] {
        secrets::only_in(lease, secret, &kept)?;
    }
    Ok(())
}

const MOODS: &str = "moods";

fn databases(host: &Host) -> Result<String, Box<dyn Error>> {
    psql(host, "select datname from pg_database order by 1")
}

/// A second branch has a preview beside the first, with a database, a worker and a queue of its own.
fn second_branch(lease: &Lease, repository: &Repository) -> Told {
    let host = &lease.hosts[0];
    allow(lease, "cortico", "max = 2")?;
    git(repository, &["checkout", "--quiet", "-b", MOODS])?;
    migration(repository, 3, "0002_author", "mood", "")?;
    repository.commit("1.3.0-moods.1", &Behaviour::Good)?;
    git(repository, &["checkout", "--quiet", "main"])?;
    let home = lease.controller(CORTICO).in_folder(repository.folder());
    let key = lease.signing_key();
    let words = [
        "preview", "up", "demo", "--ref", MOODS, "--for", "10m", "--key", &key,
    ];
    ended(&home.run(&words)?, 0);
    let domain = format!("{MOODS}.{}", CORTICO.domain());
    let version = host.sh(&format!(
        "curl -sSf -H 'Host: {domain}' http://127.0.0.1/version"
    ))?;
    assert_eq!(version.trim(), "1.3.0-moods.1");
    assert!(visit(host, "/version")?.contains("1.3.0-colours.1"));
    assert!(databases(host)?.contains("cortico__moods"));
    let own = |query: &str| {
        host.sh(&format!(
            "cd / && su postgres -c 'psql -qAt cortico__moods' <<'SQL'\n{query};\nSQL\n"
        ))
    };
    let columns =
        "select column_name from information_schema.columns where table_name = 'board_note'";
    let there = own(columns)?;
    assert!(
        there.contains("mood") && !there.contains("shade"),
        "{there}"
    );
    assert_eq!(own("select count(*) from of_template")?.trim(), "0");
    assert!(!psql(host, columns)?.contains("mood"));
    host.sh(&format!(
        "curl -sSf -H 'Host: {domain}' 'http://127.0.0.1/enqueue?name=draft&seconds=0.1'"
    ))?;
    until("the preview's own worker does the job", || {
        let done =
            own("select count(*) from board_note where text = 'draft done by 1.3.0-moods.1'")?;
        Ok(done.trim() == "1")
    })?;
    let other = psql(
        host,
        "select count(*) from board_note where text like 'draft%'",
    )?;
    assert_eq!(other, "0");
    // Its own settings are made of the app's.
    secrets_are_where_they_belong(lease, &["cortico--moods.made.env"])
}

fn the_preview_ends(lease: &Lease) -> Told {
    let host = &lease.hosts[0];
    let controller = lease.controller(CORTICO);
    ended(
        &controller.run(&["preview", "renew", "demo", MOODS, "--for", "2s"])?,
        0,
    );
    until("the preview is gone", || {
        Ok(!controller
            .plain(&["preview", "list", "demo"])?
            .all()
            .contains(MOODS))
    })?;
    assert!(!databases(host)?.contains("cortico__moods"));
    nothing_left(host, &format!("cortico--{MOODS}"))
}
