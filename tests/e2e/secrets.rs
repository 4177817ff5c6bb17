//! The search for a secret on hosts and at the controller, which finds one wherever it looks.

use std::error::Error;
use std::process::Command;

use longshore_lab::host::Host;

use crate::stage::Lease;
use crate::told::Told;

const PLACES: [&str; 10] = [
    "/etc",
    "/var",
    "/srv",
    "/run",
    "/tmp",
    "/root",
    "/home",
    "/usr/local",
    "/opt",
    "/dev/shm",
];
/// Where else one could be, as the search calls it.
const ELSEWHERE: [&str; 4] = ["journal", "history", "processes", "units"];

const PLANTED: &str = "planted-for-the-search";

/// Nobody has it but files of the hosts whose paths begin so.
pub(crate) fn only_in(lease: &Lease, secret: &str, kept: &[&str]) -> Told {
    for host in &lease.hosts {
        let mut found = on(host, secret)?;
        found.retain(|place| !kept.iter().any(|kept| place.starts_with(kept)));
        assert!(found.is_empty(), "{secret} on {}: {found:?}", host.name);
    }
    let found = here(lease, secret)?;
    assert!(found.is_empty(), "{secret} at the controller: {found:?}");
    Ok(())
}

/// Puts one where nobody may have it, into every place at once, and looks whether the search sees all.
pub(crate) fn are_found(lease: &Lease, app: &str) -> Told {
    for host in &lease.hosts {
        is_found_on(host, app)?;
    }
    fs_err::write(lease.folder().join("leak"), PLANTED)?;
    assert_eq!(here(lease, PLANTED)?.len(), 1);
    Ok(())
}

fn is_found_on(host: &Host, app: &str) -> Told {
    let secret = PLANTED;
    for place in PLACES {
        host.sh(&format!("echo {secret} > {place}/leak"))?;
    }
    host.sh(&format!(
        "logger {secret}; longshore-agent run {app} -- true {secret}; \
         systemd-run --quiet --unit longshore-leak --property Environment=LEAK={secret} sleep 600; \
         bash -c 'exec -a {secret} sleep 600 </dev/null >/dev/null 2>&1 &'"
    ))?;
    let found = on(host, secret)?;
    for place in PLACES {
        assert!(found.contains(&format!("{place}/leak")), "{found:?}");
    }
    for place in ELSEWHERE {
        assert!(
            found.iter().any(|found| found == place),
            "{place}: {found:?}"
        );
    }
    Ok(())
}

/// Where the host has it: paths of files, and what is none by its name.
pub(crate) fn on(host: &Host, secret: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let places = PLACES.join(" ");
    let found = host.sh(&format!(
        "journalctl --flush --sync 2>/dev/null; \
         grep -rlsaF -e '{secret}' {places} 2>/dev/null; \
         journalctl -a --no-pager -o export | grep -qaF '{secret}' && echo journal; \
         longshore-agent history | grep -qF '{secret}' && echo history; \
         for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f | grep -v grep | grep -aF '{secret}'; done 2>/dev/null | grep -q . && echo processes; \
         systemctl show 'longshore-*' | grep -qF '{secret}' && echo units; true"
    ))?;
    Ok(found.lines().map(str::to_owned).collect())
}

fn here(lease: &Lease, secret: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut grep = Command::new("grep");
    let output = grep.args(["-rlaF", secret]).arg(lease.folder()).output()?;
    let found = String::from_utf8_lossy(&output.stdout);
    Ok(found.lines().map(str::to_owned).collect())
}
