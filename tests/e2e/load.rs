//! That the load generator can fail: a check that never fails shows nothing.

use std::thread;
use std::time::Duration;

use longshore_lab::load::Connections;
use longshore_lab::plain;
use longshore_lab::sample::Sample;

use crate::patience::until;
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[Story {
    name: "load::sees_a_plain_restart",
    tell: sees_a_plain_restart,
}];

fn sees_a_plain_restart() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    plain::install(host, &lease.cache())?;
    for connections in [Connections::Kept, Connections::Fresh] {
        let domain = plain::DOMAIN;
        let site = format!("curl -fs -o /dev/null -H 'Host: {domain}' http://127.0.0.1/version");
        until("the site", 60, || Ok(host.sh(&site).is_ok()))?;
        let mut load = lease.load(Sample::Cortico);
        load.rate = Some(100.0);
        load.domain = domain.to_owned();
        load.connections = connections;
        let load = load.start();
        until("an answer", 30, || Ok(!load.so_far().versions.is_empty()))?;
        let before = load.so_far();
        assert_eq!(before.failed, 0, "before the restart: {before}");
        plain::restart(host)?;
        thread::sleep(Duration::from_secs(2));
        let outcome = load.stop();
        assert!(outcome.failed > 0, "a restart went unseen: {outcome}");
        assert!(
            outcome
                .versions
                .get("plain")
                .is_some_and(|count| *count > 0),
            "{outcome}"
        );
    }
    Ok(())
}
