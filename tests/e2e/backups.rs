//! What happens around a migration: a backup before it, and an end to it.

use std::error::Error;

use longshore_lab::controller::Answer;
use longshore_lab::host::Host;
use longshore_lab::sample::{Behaviour, Repository, Sample};

use crate::answers::{ended, live};
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "backups::come_before_a_migration_and_stop_it_when_they_fail",
    tell: before_a_migration,
}];

const TINY: Sample = Sample::Tiny;
const STEPS: &str = "
[backup]
run = [\"cp data/db data/db.before-$LONGSHORE_VERSION\"]
[migrate]
run = [\"echo $LONGSHORE_VERSION >> data/db\"]
timeout = \"10s\"
";

fn deploy(lease: &Lease, repository: &Repository, version: &str) -> Result<Answer, Box<dyn Error>> {
    let release = lease.release(repository, version, &Behaviour::Good)?;
    lease.deploy(TINY, &release)
}

fn database(host: &Host, name: &str) -> Result<String, Box<dyn Error>> {
    Ok(host.sh(&format!("cat /srv/longshore/tiny/shared/data/{name}"))?)
}

fn before_a_migration() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    ended(&deploy(&lease, &repository, "1.0.0")?, 0);
    host.sh("echo empty > /srv/longshore/tiny/shared/data/db; chown app-tiny: /srv/longshore/tiny/shared/data/db")?;
    repository.change_app_file(|text| format!("{text}{STEPS}"))?;
    ended(&deploy(&lease, &repository, "1.1.0")?, 0);
    assert_eq!(database(host, "db")?, "empty\n1.1.0\n");
    assert_eq!(database(host, "db.before-1.1.0")?, "empty\n");

    // Without a backup nothing is migrated.
    repository.change_app_file(|text| {
        text.replace("cp data/db", "echo no room left; false; cp data/db")
            .replace("run = [\"echo no", "run = [\"set -e; echo no")
    })?;
    let answer = deploy(&lease, &repository, "1.2.0")?;
    ended(&answer, 1);
    for words in ["nothing was migrated", "no room left"] {
        assert!(answer.all().contains(words), "{}", answer.all());
    }
    assert_eq!(database(host, "db")?, "empty\n1.1.0\n");

    // One that hangs is ended, and what served serves.
    repository.change_app_file(|text| {
        text.replace("set -e; echo no room left; false; ", "")
            .replace("run = [\"echo $LONG", "run = [\"sleep 600; echo $LONG")
    })?;
    let answer = deploy(&lease, &repository, "1.3.0")?;
    ended(&answer, 1);
    assert!(
        answer
            .all()
            .contains("did not end within 10s, and was ended"),
        "{}",
        answer.all()
    );
    assert_eq!(database(host, "db")?, "empty\n1.1.0\n");
    assert_eq!(database(host, "db.before-1.3.0")?, "empty\n1.1.0\n");
    let status = lease.controller(TINY).run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.1.0"], "{}", status.all());
    host.sh("! pgrep -fx 'sleep 600'")?;
    Ok(())
}
