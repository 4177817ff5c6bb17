//! The firewall: it closes nothing that is in use unless it is told to, and stays as it was told.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use longshore_lab::base::Suite;
use longshore_lab::host::Host;
use longshore_lab::provision::{Bare, Login};

use crate::answers::{ended, kinds};
use crate::bare::{Fleet, nothing_to_do, planned};
use crate::patience::until;
use crate::stage::lease_bare;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "firewall::asks_before_it_closes_and_is_mended_without_asking",
    tell: asks_first,
}];

/// From outside: whether anything answers there.
fn reached(host: &Host, port: u16) -> bool {
    let address = SocketAddr::from((host.address, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

fn asks_first() -> Told {
    let lease = lease_bare(
        1,
        Bare {
            suite: Suite::Bookworm,
            login: Login::Root,
        },
    )?;
    let host = &lease.hosts[0];
    let mut fleet = Fleet::new(&lease);
    fleet.write()?;
    // A server in use: sshd stands in for what else may listen there.
    host.sh("mkdir -p /run/sshd && /usr/sbin/sshd -p 8080 -o PidFile=/run/other.pid")?;
    until("what listens", 60, || Ok(reached(host, 8080)))?;
    let left_off = "the firewall is left off: it would close 8080/tcp";
    let answer = fleet.bootstrap(&[])?;
    ended(&answer, 0);
    assert!(answer.all().contains(left_off), "{}", answer.all());
    assert!(answer.all().contains("--close-ports"), "{}", answer.all());
    assert!(reached(host, 8080));
    // The nightly look does not take that for done.
    let check = fleet.bootstrap(&["--check"])?;
    ended(&check, 1);
    assert_eq!(kinds(&check), ["differs"], "{}", check.all());

    ended(&fleet.bootstrap(&["--close-ports"])?, 0);
    assert!(!reached(host, 8080) && reached(host, 22) && reached(host, 80));
    nothing_to_do(&fleet.bootstrap(&["--check"])?);

    // Opened by hand, in four ways; it was decided already what is closed.
    for way in [
        "nft flush ruleset",
        "nft insert rule inet longshore input accept",
        "systemctl stop longshore-firewall",
        "systemctl start nftables",
    ] {
        host.sh(way)?;
        assert!(reached(host, 8080), "{way}");
        let check = fleet.bootstrap(&["--check"])?;
        ended(&check, 1);
        assert!(
            planned(&check).contains("~ firewall"),
            "{way}: {}",
            check.all()
        );
        ended(&fleet.bootstrap(&[])?, 0);
        assert!(!reached(host, 8080) && reached(host, 22), "{way}");
    }
    // Whoever reloads other tables, which begins with none at all, reloads ours.
    for way in ["restart", "reload"] {
        host.sh(&format!("systemctl {way} nftables"))?;
        until(way, 60, || Ok(!reached(host, 8080)))?;
        assert!(reached(host, 22), "{way}");
    }

    // Named, it is open; turned off, all is.
    fleet.setup = "[setup.firewall]\nopen = [\"80/tcp\", \"8080/tcp\"]\n".to_owned();
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    assert!(reached(host, 8080) && reached(host, 80));
    fleet.setup = "[setup.firewall]\nmanage = false\n".to_owned();
    fleet.write()?;
    ended(&fleet.bootstrap(&[])?, 0);
    host.sh("! nft list table inet longshore 2>/dev/null")?;
    nothing_to_do(&fleet.bootstrap(&["--check"])?);
    Ok(())
}
