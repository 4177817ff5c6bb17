//! What a power cut leaves: the ledger may be ahead of the links, and no slot runs. The lasting link
//! alone decides what serves.

use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, live};
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "power_cut::before_the_lasting_link_moved",
        tell: || cut(false),
    },
    Story {
        name: "power_cut::after_the_lasting_link_moved",
        tell: || cut(true),
    },
];

const TINY: Sample = Sample::Tiny;

/// A switch to 1.1.0 in green, with its step `links` written down, and the power gone.
fn cut(moved: bool) -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    for version in ["1.0.0", "1.1.0"] {
        let release = lease.release(&repository, version, &Behaviour::Good)?;
        ended(&lease.deploy(TINY, &release)?, 0);
    }
    // Back to 1.0.0 in blue; green holds 1.1.0, and stops.
    ended(&lease.controller(TINY).run(&["rollback", "demo"])?, 0);
    host.sh("systemctl stop longshore-agent longshore-tiny@green")?;
    let begin = "INSERT INTO operations (app, verb, version, previous, slot, why, who, begun, outcome) \
                 VALUES ('tiny', 'deploy', '1.1.0', '1.0.0', 'green', 'deploy', 'ops1', 1, 'running'); \
                 INSERT INTO steps VALUES (last_insert_rowid(), 'links', 1); DELETE FROM warm;";
    host.sh(&format!("sqlite3 /var/lib/longshore/ledger.db \"{begin}\""))?;
    if moved {
        host.sh("cd /srv/longshore/tiny/slots && ln -s green new && mv -T new live")?;
    }
    host.kill()?;
    host.boot()?;
    serves(&lease, if moved { "1.1.0" } else { "1.0.0" })?;
    let history = host.sh("longshore-agent history | head -1")?;
    let outcome = if moved { "Done" } else { "TakenBack" };
    assert!(history.contains(outcome), "{history}");

    let next = lease.release(&repository, "1.2.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &next)?, 0);
    serves(&lease, "1.2.0")
}

/// The site answers with this version, and all links agree.
fn serves(lease: &Lease, version: &str) -> Told {
    crate::ambush::agent(&lease.hosts[0])?;
    let status = lease.controller(TINY).run(&["status", "demo"])?;
    ended(&status, 0);
    assert_eq!(live(&status, "tiny"), [version], "{}", status.all());
    let mut load = lease.load(TINY);
    load.most_requests = Some(100);
    let outcome = load.run();
    assert_eq!(
        (outcome.failed, outcome.versions.get(version)),
        (0, Some(&100)),
        "{outcome}"
    );
    let current = lease.hosts[0].sh("basename $(readlink /srv/longshore/tiny/current)")?;
    assert_eq!(current.trim(), version);
    Ok(())
}
