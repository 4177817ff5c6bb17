//! Two apps on one host: what one of them breaks never touches the other.

use std::thread;
use std::time::Duration;

use longshore_lab::load::Connections;
use longshore_lab::sample::{Behaviour, Sample};

use crate::answers::{ended, kinds};
use crate::stage::lease;
use crate::told::{Story, Told};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "two_apps::a_broken_site_of_one_never_stops_the_other",
        tell: a_broken_site,
    },
    Story {
        name: "two_apps::a_file_of_somebody_else_is_named_and_left_alone",
        tell: a_foreign_file,
    },
];

const TINY: Sample = Sample::Tiny;
const OTHER: Sample = Sample::Cortico;

/// The other app, without its wheels: one file that serves.
const OTHER_APP_FILE: &str = r#"
[app]
name = "cortico"
[web]
command = "/usr/bin/python3 serve.py $LONGSHORE_SOCKET"
health = { path = "/healthz", version = "/version", timeout = "30s" }
[static]
"/static/" = "static/"
"#;

fn a_broken_site() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let tarball = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    ended(&lease.deploy(TINY, &tarball)?, 0);
    let before = host.sh("ls /etc/nginx/conf.d; nginx -T 2>/dev/null | grep -v '^#' | md5sum")?;

    let other = lease.repository(OTHER)?;
    for file in ["serve.py", "app.py"] {
        fs_err::copy(repository.folder().join(file), other.folder().join(file))?;
    }
    fs_err::create_dir_all(other.folder().join("static"))?;
    fs_err::write(other.folder().join("static/a.txt"), "asset\n")?;
    other.change_app_file(|_| OTHER_APP_FILE.to_owned())?;
    let release = lease.release(&other, "1.0.0", &Behaviour::Good)?;

    // Its domain is one that another app of the host has.
    let taken = TINY.domain();
    let own = OTHER.domain();
    let rename = |from: &str, to: &str| -> Told {
        let swap = format!("/apps.cortico/,$ s/domain = \"{from}\"/domain = \"{to}\"/");
        host.sh(&format!("sed -i '{swap}' /etc/longshore/host.toml"))?;
        let text = fs_err::read_to_string(lease.inventory())?;
        let (head, tail) = text.split_once("apps.cortico]").ok_or("no such app")?;
        let tail = tail.replacen(
            &format!("domain = \"{from}\""),
            &format!("domain = \"{to}\""),
            1,
        );
        Ok(fs_err::write(
            lease.inventory(),
            format!("{head}apps.cortico]{tail}"),
        )?)
    };
    fs_err::write(
        host.path("/etc/longshore/host.toml")?,
        host_toml(&host.name, &taken, &own),
    )?;
    rename(&own, &taken)?;
    let mut load = lease.load(TINY);
    load.rate = Some(100.0);
    // nginx itself may end a kept connection at a reload, just when its next request comes.
    load.connections = Connections::Fresh;
    let load = load.start();
    let answer = lease.deploy(OTHER, &release)?;
    ended(&answer, 1);
    assert!(
        answer.all().contains("conflicting server name"),
        "{}",
        answer.all()
    );
    let after = host.sh("ls /etc/nginx/conf.d; nginx -T 2>/dev/null | grep -v '^#' | md5sum")?;
    assert_eq!(after, before);
    host.sh("test ! -e /srv/longshore/cortico/current")?;
    thread::sleep(Duration::from_millis(300));

    rename(&taken, &own)?;
    ended(&lease.deploy(OTHER, &release)?, 0);
    let outcome = load.stop();
    assert_eq!(outcome.failed, 0, "{outcome}");
    assert_eq!(outcome.versions.len(), 1, "{outcome}");
    let asset = host.sh(&format!(
        "curl -sfH 'Host: {own}' http://127.0.0.1/static/a.txt"
    ))?;
    assert_eq!(asset, "asset\n");

    // An old worker of nginx answers as before until it is told to end: only then is it done.
    other.change_app_file(|text| text.replace("\"/static/\" =", "\"/files/\" ="))?;
    let moved = lease.release(&other, "1.1.0", &Behaviour::Good)?;
    host.sh(
        "old=$(pgrep -f '^nginx: worker process$'); kill -STOP $old\n\
         (sleep 5; touch /run/awake; kill -CONT $old) > /dev/null 2>&1 &",
    )?;
    ended(&lease.deploy(OTHER, &moved)?, 0);
    host.sh("test -e /run/awake")?;
    Ok(())
}

fn host_toml(name: &str, tiny: &str, other: &str) -> String {
    format!(
        "environment = \"demo\"\nhost = \"{name}\"\n[access]\ndeploy = [\"@longshore\"]\n\
         [apps.tiny]\ndomain = \"{tiny}\"\n[apps.cortico]\ndomain = \"{other}\"\n"
    )
}

fn a_foreign_file() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    host.sh("echo 'server { nonsense }' > /etc/nginx/conf.d/somebody.conf")?;
    let answer = lease.deploy(TINY, &first)?;
    ended(&answer, 4);
    assert!(answer.all().contains("somebody.conf"), "{}", answer.all());
    host.sh(
        "grep -q nonsense /etc/nginx/conf.d/somebody.conf && rm /etc/nginx/conf.d/somebody.conf",
    )?;
    ended(&lease.deploy(TINY, &first)?, 0);

    // A release whose site is as it was needs nothing of nginx but that it runs.
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    host.sh("echo 'server { nonsense }' > /etc/nginx/conf.d/somebody.conf")?;
    let answer = lease.deploy(TINY, &second)?;
    ended(&answer, 0);
    assert_eq!(kinds(&answer), ["switched"]);
    Ok(())
}
