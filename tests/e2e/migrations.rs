//! Migrations that stop half-way, are left behind, or were undone for a release that does not serve.

use std::error::Error;

use longshore_lab::host::Host;
use longshore_lab::sample::{Behaviour, Repository, Sample};

use crate::answers::{ended, live};
use crate::stage::{Lease, lease};
use crate::terminal::Terminal;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "migrations::one_that_fails_half_way_tells_what_is_in_the_database",
        tell: half_way,
    },
    Story {
        name: "migrations::undo_that_is_missing_breaks_or_is_damaged_is_told",
        tell: undo_in_trouble,
    },
    Story {
        name: "migrations::what_was_undone_is_done_again_where_the_switch_fails",
        tell: done_again,
    },
    Story {
        name: "migrations::of_a_branch_are_told_to_whoever_comes_after_it",
        tell: after_a_branch,
    },
    Story {
        name: "migrations::of_what_does_not_serve_none_stay_and_of_what_serves_none_lack",
        tell: as_what_serves_has_them,
    },
];

const TINY: Sample = Sample::Tiny;

/// Migrations that are lines of a file, each named by a file of the release.
const LINES: &str = r#"
[migrate]
run = ["for m in $(ls migrations); do grep -qsx $m data/applied || echo $m >> data/applied; done"]
check = "for m in $(ls migrations); do grep -sx $m data/applied || true; done"
"#;
const UNDO: &str = "on_leave = \"undo\"";
const NEVER: &str = "on_leave = \"never\"";

struct Scene {
    lease: Lease,
    repository: Repository,
}

impl Scene {
    fn set(on_leave: &str) -> Result<Self, Box<dyn Error>> {
        let lease = lease(1)?;
        lease.hosts[0].sh(&format!(
            "sed -i '/apps.tiny/a {on_leave}' /etc/longshore/host.toml"
        ))?;
        let repository = lease.repository(TINY)?;
        fs_err::create_dir_all(repository.folder().join("migrations"))?;
        repository.change_app_file(|text| format!("{text}{LINES}"))?;
        Ok(Self { lease, repository })
    }

    fn host(&self) -> &Host {
        &self.lease.hosts[0]
    }

    fn add(&self, name: &str) -> std::io::Result<()> {
        fs_err::write(self.repository.folder().join("migrations").join(name), "")
    }

    fn applied(&self) -> Result<String, Box<dyn Error>> {
        Ok(self
            .host()
            .sh("cat /srv/longshore/tiny/shared/data/applied")?)
    }

    fn release(&self, version: &str) -> Result<String, Box<dyn Error>> {
        self.lease
            .release(&self.repository, version, &Behaviour::Good)
    }

    /// Deploys a release with these migrations more.
    fn serves(&self, version: &str, more: &[&str]) -> Told {
        for name in more {
            self.add(name)?;
        }
        ended(&self.lease.deploy(TINY, &self.release(version)?)?, 0);
        self.is_live(version)
    }

    fn is_live(&self, version: &str) -> Told {
        let status = self.lease.controller(TINY).run(&["status", "demo"])?;
        assert_eq!(live(&status, "tiny"), [version], "{}", status.all());
        Ok(())
    }

    /// Deploys what does not come to serve, and is told these words.
    fn fails(&self, release: &str, code: i32, words: &[&str]) -> Told {
        let words_of = ["deploy", "demo", "--release", release];
        let answer = self.lease.controller(TINY).plain(&words_of)?;
        assert_eq!(answer.code, Some(code), "{}", answer.all());
        for words in words {
            assert!(answer.all().contains(words), "{words}: {}", answer.all());
        }
        Ok(())
    }
}

fn half_way() -> Told {
    let scene = Scene::set(NEVER)?;
    scene.serves("1.0.0", &["0001"])?;
    // The second of two fails, then the first of those that are left.
    let sound = "|| echo $m >>";
    let broken =
        "|| { [ $m != 0003 ] || { echo no such table; exit 1; }; echo $m >> data/applied; }; : >>";
    scene
        .repository
        .change_app_file(|text| text.replace(sound, broken))?;
    scene.add("0002")?;
    scene.add("0003")?;
    let release = scene.release("1.1.0")?;
    let told = ["no such table", "in the database by now: 0002", "1.0.0"];
    scene.fails(&release, 1, &told)?;
    assert_eq!(scene.applied()?, "0001\n0002\n");
    scene.is_live("1.0.0")?;
    let told = ["no such table", "nothing of it is in the database"];
    scene.fails(&release, 1, &told)?;
    scene.is_live("1.0.0")?;
    // It alone knows what it left, so it is kept while others go.
    let name = "name = \"tiny\"\n";
    let few = format!("{name}keep_releases = 2\n");
    scene
        .repository
        .change_app_file(|text| text.replace(broken, sound).replace(name, &few))?;
    let folder = scene.repository.folder().join("migrations");
    for name in ["0002", "0003"] {
        fs_err::remove_file(folder.join(name))?;
    }
    for version in ["1.1.1", "1.1.2", "1.1.3"] {
        scene.serves(version, &[])?;
    }
    let releases = scene.host().sh("ls /srv/longshore/tiny/releases")?;
    assert_eq!(releases, "1.1.0\n1.1.2\n1.1.3\n");
    // What was mended goes on from there.
    scene.serves("1.2.0", &["0002", "0003"])?;
    assert_eq!(scene.applied()?, "0001\n0002\n0003\n");
    Ok(())
}

fn done_again() -> Told {
    let scene = Scene::set(UNDO)?;
    scene.serves("1.0.0", &["0001"])?;
    let undo = "undo = [\"sed -i /$LONGSHORE_MIGRATION/d data/applied\"]\n";
    scene
        .repository
        .change_app_file(|text| format!("{text}{undo}"))?;
    scene.serves("1.1.0", &["0002"])?;
    fs_err::remove_file(scene.repository.folder().join("migrations/0002"))?;
    let broken = &Behaviour::ExitsAtImport;
    let broken = scene.lease.release(&scene.repository, "1.2.0", broken)?;
    let told = [
        "undone in the database: 0002",
        "1.1.0 has migrated again: 0002",
    ];
    scene.fails(&broken, 1, &told)?;
    assert_eq!(scene.applied()?, "0001\n0002\n");
    scene.is_live("1.1.0")
}

fn after_a_branch() -> Told {
    let scene = Scene::set(NEVER)?;
    scene.serves("1.0.0", &["0001"])?;
    scene.serves("1.1.0-branch.1", &["0002"])?;
    fs_err::remove_file(scene.repository.folder().join("migrations/0002"))?;
    // Its number is higher, and it does not have them all the same.
    let next = scene.release("1.2.0")?;
    let told = "not in 1.2.0: 0002";
    scene.fails(&next, 4, &[told, "--yes"])?;
    scene.is_live("1.1.0-branch.1")?;
    let controller = scene.lease.controller(TINY);
    for (answer, code, serves) in [("n", 4, "1.1.0-branch.1"), ("y", 0, "1.2.0")] {
        let command = controller.command(&["deploy", "demo", "--release", &next]);
        let mut terminal = Terminal::start(&command)?;
        terminal.answer("Go on nevertheless?", answer)?;
        let (ended, shown) = terminal.end()?;
        assert_eq!(ended, Some(code), "{shown}");
        scene.is_live(serves)?;
    }
    assert_eq!(scene.applied()?, "0001\n0002\n");

    // Nobody else could undo what is there, so its release is kept while others go.
    for version in ["1.3.0", "1.4.0", "1.5.0", "1.6.0"] {
        scene.serves(version, &[])?;
    }
    let releases = scene.host().sh("ls /srv/longshore/tiny/releases")?;
    assert_eq!(
        releases,
        "1.1.0-branch.1\n1.2.0\n1.3.0\n1.4.0\n1.5.0\n1.6.0\n"
    );

    // One that cannot tell what it has says so.
    scene
        .repository
        .change_app_file(|text| text.replace(LINES, ""))?;
    let last = scene.release("1.0.1")?;
    let answer = controller.plain(&["deploy", "demo", "--release", &last])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    let told = "1.0.1 has no `check` in [migrate]";
    assert!(answer.all().contains(told), "{}", answer.all());
    Ok(())
}

/// Where what leaves is undone, the database is that of what serves, whatever happened before.
fn as_what_serves_has_them() -> Told {
    let scene = Scene::set(UNDO)?;
    let undo = "undo = [\"sed -i /$LONGSHORE_MIGRATION/d data/applied\"]";
    scene
        .repository
        .change_app_file(|text| format!("{text}{undo}\n"))?;
    let remove =
        |name: &str| fs_err::remove_file(scene.repository.folder().join("migrations").join(name));
    scene.serves("1.0.0", &["0001"])?;

    // A release that migrated and did not come up says what it left, and the next one takes that away.
    scene.add("0002")?;
    let sick = scene
        .lease
        .release(&scene.repository, "1.1.0-sick.1", &Behaviour::ExitsAtImport)?;
    let told = [
        "1.1.0-sick.1 does not serve, and these migrations of it are in the database: 0002",
        "on_leave",
    ];
    scene.fails(&sick, 1, &told)?;
    assert_eq!(scene.applied()?, "0001\n0002\n");
    remove("0002")?;
    let controller = scene.lease.controller(TINY);
    let back = scene.release("1.0.1")?;
    let answer = controller.plain(&["deploy", "demo", "--release", &back])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    let told = "undone in the database, where 1.1.0-sick.1 had left it: 0002";
    assert!(answer.all().contains(told), "{}", answer.all());
    assert_eq!(scene.applied()?, "0001\n");

    // What a later release has, too, is that one's: it is done again where nobody else comes to serve.
    scene.add("0002")?;
    let sick = scene
        .lease
        .release(&scene.repository, "1.1.1-sick.2", &Behaviour::ExitsAtImport)?;
    scene.fails(&sick, 1, &["in the database: 0002"])?;
    scene.serves("1.1.2", &[])?;
    remove("0002")?;
    let bad = scene
        .lease
        .release(&scene.repository, "1.1.3-bad.1", &Behaviour::ExitsAtImport)?;
    scene.fails(&bad, 1, &["1.1.2 has migrated again: 0002"])?;
    assert_eq!(scene.applied()?, "0001\n0002\n");
    scene.is_live("1.1.2")?;

    // What was undone for another is migrated again by a rollback.
    scene.serves("1.2.0", &["0003"])?;
    remove("0003")?;
    scene.serves("1.1.5", &[])?;
    assert_eq!(scene.applied()?, "0001\n");
    let answer = controller.plain(&["rollback", "demo"])?;
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    scene.is_live("1.2.0")?;
    assert_eq!(scene.applied()?, "0001\n0003\n");

    // What never served is nothing to go back to.
    let sick = scene
        .lease
        .release(&scene.repository, "1.3.0-sick.3", &Behaviour::ExitsAtImport)?;
    scene.fails(&sick, 1, &["1.2.0"])?;
    let answer = controller.plain(&["rollback", "demo", "1.3.0-sick.3"])?;
    assert_eq!(answer.code, Some(4), "{}", answer.all());
    for words in [
        "has never served",
        "longshore deploy demo --version 1.3.0-sick.3",
    ] {
        assert!(answer.all().contains(words), "{words}: {}", answer.all());
    }
    scene.is_live("1.2.0")
}

fn undo_in_trouble() -> Told {
    let scene = Scene::set(UNDO)?;
    let (lease, host, repository) = (&scene.lease, scene.host(), &scene.repository);
    let add = |name: &str| scene.add(name);
    let applied = || scene.applied();
    let tiny = TINY;
    let told = |code: i32, words: &[&str], serves: &str| -> Told {
        let answer = lease.controller(tiny).plain(&["rollback", "demo"])?;
        assert_eq!(answer.code, Some(code), "{}", answer.all());
        for words in words {
            assert!(answer.all().contains(words), "{words}: {}", answer.all());
        }
        let status = lease.controller(tiny).run(&["status", "demo"])?;
        assert_eq!(live(&status, "tiny"), [serves], "{}", status.all());
        Ok(())
    };
    scene.serves("1.0.0", &["0001"])?;

    // No steps to undo with.
    add("0002")?;
    let second = lease.release(repository, "1.1.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &second)?, 0);
    told(4, &["1.1.0 has no `undo`", "0002"], "1.1.0")?;
    assert_eq!(applied()?, "0001\n0002\n");

    // The first of two is undone, the second cannot be, and so the first is done again.
    add("0003")?;
    let undo = "undo = [\"test $LONGSHORE_MIGRATION != 0002 && sed -i /$LONGSHORE_MIGRATION/d data/applied\"]";
    repository.change_app_file(|text| format!("{text}{undo}\n"))?;
    let third = lease.release(repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(tiny, &third)?, 0);
    let back = |words: &[&str], code| -> Told {
        let answer = lease
            .controller(tiny)
            .plain(&["rollback", "demo", "1.0.0"])?;
        assert_eq!(answer.code, Some(code), "{}", answer.all());
        for words in words {
            assert!(answer.all().contains(words), "{words}: {}", answer.all());
        }
        Ok(())
    };
    let told = [
        "still in the database: 0002",
        "web-",
        "1.2.0 has migrated again",
    ];
    back(&told, 1)?;
    assert_eq!(applied()?, "0001\n0002\n0003\n");

    // The release that has them is damaged: nobody guesses, and it goes on serving.
    host.sh("mv /srv/longshore/tiny/releases/1.2.0/.longshore/manifest.json /root/")?;
    back(&["1.2.0 is damaged on this host"], 4)?;
    assert_eq!(applied()?, "0001\n0002\n0003\n");
    host.sh(&format!(
        "curl -sf -H 'Host: {}' http://127.0.0.1/version | grep -qx 1.2.0",
        tiny.domain()
    ))?;
    host.sh("mv /root/manifest.json /srv/longshore/tiny/releases/1.2.0/.longshore/")?;
    Ok(())
}
