//! Sealed settings where a host does not come up with them: none keeps what was taken back elsewhere.

use std::error::Error;

use longshore_lab::controller::Answer;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, kinds, live};
use crate::branches::own_branch;
use crate::broken_releases::starts_only_if;
use crate::settings_and_code::{environ, greeting, seal};
use crate::stage::{Lease, lease};
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "sealed_faults::one_host_that_fails_with_them_leaves_no_other_with_them_alone",
    tell: on_one_host,
}];

const TINY: Sample = Sample::Tiny;

fn deploy(lease: &Lease, release: &str) -> Result<Answer, Box<dyn Error>> {
    let identity = lease.operator_key().file.display().to_string();
    let words = [
        "deploy",
        "demo",
        "--release",
        release,
        "--identity",
        &identity,
    ];
    Ok(lease.controller(TINY).run(&words)?)
}

fn on_one_host() -> Told {
    let lease = lease(2)?;
    let [first, second] = [&lease.hosts[0], &lease.hosts[1]];
    let controller = lease.controller(TINY);
    let repository = lease.repository(TINY)?;
    let one = seal(
        &lease,
        &repository,
        "1.0.0",
        "GREETING=sealed\n",
        &Behaviour::Good,
    )?;

    // The very first deployment: what came up has nothing to go back to, and keeps what it came with.
    starts_only_if(second, "blue", "false")?;
    let answer = deploy(&lease, &one)?;
    ended(&answer, 3);
    assert_eq!(kinds(&answer), ["switched", "failed"], "{}", answer.all());
    let kept = "it keeps the settings that came with it";
    assert!(answer.all().contains(kept), "{}", answer.all());
    assert_eq!(greeting(first)?, "sealed");
    second.sh("! grep -q GREETING /etc/longshore/apps/tiny.env")?;
    starts_only_if(second, "blue", "true")?;
    ended(&deploy(&lease, &one)?, 0);
    assert_eq!(greeting(second)?, "sealed");

    // The same release with other settings, which one host does not come up with.
    let set = ["settings", "set", "demo", "GREETING=ours"];
    ended(&controller.run(&set)?, 0);
    let idle = second.sh("readlink /srv/longshore/tiny/slots/live")?;
    let idle = if idle.trim() == "blue" {
        "green"
    } else {
        "blue"
    };
    starts_only_if(second, idle, "test $GREETING = ours")?;
    let answer = deploy(&lease, &one)?;
    ended(&answer, 1);
    assert_eq!(kinds(&answer), ["reverted", "failed"], "{}", answer.all());
    for host in [first, second] {
        assert_eq!(greeting(host)?, "ours", "{}", host.name);
        host.sh("grep -q 'GREETING=\"ours\"' /etc/longshore/apps/tiny.env")?;
    }
    let status = controller.run(&["status", "demo"])?;
    assert_eq!(live(&status, "tiny"), ["1.0.0"; 2], "{}", status.all());

    // `return` opens them, too.
    starts_only_if(second, idle, "true")?;
    own_branch(&lease, &repository)?;
    let text = fs_err::read_to_string(lease.inventory())?;
    let app = "apps.tiny]\n";
    let text = text.replace(app, &format!("{app}branch = \"main\"\n"));
    fs_err::write(lease.inventory(), text)?;
    let (key, identity) = (
        lease.signing_key(),
        lease.operator_key().file.display().to_string(),
    );
    let words = ["return", "demo", "--key", &key, "--identity", &identity];
    let answer = lease
        .controller(TINY)
        .in_folder(repository.folder())
        .run(&words)?;
    ended(&answer, 0);
    for host in [first, second] {
        assert_eq!(environ(host, "GREETING")?, "sealed", "{}", host.name);
    }
    Ok(())
}
