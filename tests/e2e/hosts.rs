//! The hosts themselves: what every other story builds on.

use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "hosts::are_real_debian_machines",
        tell: are_real_debian_machines,
    },
    Story {
        name: "hosts::reboot_keeps_files",
        tell: reboot_keeps_files,
    },
    Story {
        name: "hosts::are_new_for_each_story",
        tell: are_new_for_each_story,
    },
    Story {
        name: "hosts::a_killed_host_boots_again",
        tell: a_killed_host_boots_again,
    },
];

fn are_real_debian_machines() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    assert_eq!(host.sh("ps -p 1 -o comm=")?.trim(), "systemd");
    assert_eq!(host.sh("hostname")?.trim(), host.name);
    assert_eq!(
        host.sh("systemctl is-active nginx ssh")?,
        "active\nactive\n"
    );
    assert_eq!(host.sh("stat -f -c %T /sys/fs/cgroup")?.trim(), "cgroup2fs");
    assert_eq!(host.sh("id -nG ops1")?.trim(), "ops1 longshore");
    Ok(())
}

fn reboot_keeps_files() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    host.sh("echo kept > /srv/kept; touch /run/lost")?;
    host.reboot()?;
    assert_eq!(
        host.sh("cat /srv/kept; ls /run/lost 2>/dev/null || true")?,
        "kept\n"
    );
    Ok(())
}

fn are_new_for_each_story() -> Told {
    // One of them comes twice, whichever others have meanwhile.
    for _ in 0..=crate::stage::HOSTS {
        let lease = lease(1)?;
        lease.hosts[0].sh("test ! -e /srv/trace && touch /srv/trace")?;
    }
    Ok(())
}

fn a_killed_host_boots_again() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    host.sh("echo kept > /srv/kept")?;
    host.kill()?;
    assert!(!host.is_running());
    host.boot()?;
    assert_eq!(host.sh("cat /srv/kept")?, "kept\n");
    host.power_off()?;
    assert!(!host.is_running());
    Ok(())
}
