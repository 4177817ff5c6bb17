//! What people do without Longshore: push a folder over ssh, move a link, restart gunicorn, wait
//! until the new version answers; all hosts at once, with the machine's own ssh, tar and rsync.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::Error;
use crate::host::Host;
use crate::lab::Lab;

const UNIT: &str = "\
[Unit]
After=network.target
[Service]
Type=notify
User=www-data
Group=www-data
RuntimeDirectory={site}
WorkingDirectory=/srv/{site}/current
ExecStart=/usr/bin/gunicorn --workers 2 --bind unix:/run/{site}/sock app:application
KillMode=mixed
TimeoutStopSec=35
";
const SITE: &str = "\
server {
    listen 80;
    server_name {site}.test;
    location / {
        proxy_pass http://unix:/run/{site}/sock;
        proxy_set_header Host $host;
    }
}
";
/// Polling on the host is tight, so that waiting costs a baseline next to nothing.
const SCRIPT: &str = r#"#!/bin/bash
# How a release is pushed and switched by hand. Usage: PUSH SITE TREE ID VERSION HOST...
push=$1 site=$2 tree=$3 id=$4 version=$5
shift 5
config=$(dirname "$0")/ssh_config

switch="
begun=\$(date +%s%N)
ln -sfn releases/$id /srv/$site/new && mv -T /srv/$site/new /srv/$site/current &&
systemctl restart $site || exit 1
tries=0
until [ \"\$(curl -s -H 'Host: $site.test' http://127.0.0.1/version)\" = '$version' ]; do
    tries=\$((tries + 1)); [ \$tries -lt 3000 ] || exit 1
    sleep 0.02
done
echo switch \$(((\$(date +%s%N) - begun) / 1000000))
"

tar_push() {
    tar czf - -C "$tree" . | ssh -F "$config" "$1" "
        mkdir -p /srv/$site/releases/$id && tar xzf - -C /srv/$site/releases/$id || exit 1
        $switch"
}
rsync_push() {
    rsync -az -e "ssh -F $config" --link-dest="/srv/$site/current/" \
        "$tree/" "$1:/srv/$site/releases/$id/" && ssh -F "$config" "$1" "$switch"
}
no_push() {
    ssh -F "$config" "$1" "$switch"
}

set -o pipefail
children=()
for host; do
    "${push}_push" "$host" &
    children+=($!)
done
failed=0
for child in "${children[@]}"; do
    wait "$child" || failed=1
done
exit $failed
"#;

/// How a folder is brought to the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    Tar,
    Rsync,
    /// It is there already: going back.
    Nothing,
}

/// A site that is deployed by hand.
#[derive(Debug, Clone)]
pub(super) struct Baseline {
    site: &'static str,
    script: PathBuf,
}

impl Baseline {
    /// The site's name says which way it is deployed.
    pub(super) fn new(site: &'static str, folder: &Path) -> Self {
        Self {
            site,
            script: folder.join("baseline.sh"),
        }
    }

    pub(super) fn domain(&self) -> String {
        format!("{}.test", self.site)
    }

    /// One run of the script on all these hosts at once.
    pub(super) fn command(
        &self,
        push: Push,
        tree: &Path,
        id: &str,
        version: &str,
        hosts: &[Host],
    ) -> Command {
        let push = match push {
            Push::Tar => "tar",
            Push::Rsync => "rsync",
            Push::Nothing => "no",
        };
        let mut command = Command::new("bash");
        command.arg(&self.script).args([push, self.site]);
        command.arg(tree).args([id, version]);
        command.args(hosts.iter().map(|host| host.address.to_string()));
        command
    }

    /// The unit and the site, without a release.
    pub(super) fn install(&self, hosts: &[Host]) -> Result<(), Error> {
        on_all(hosts, |host| {
            let site = |text: &str| text.replace("{site}", self.site);
            let unit = format!("/etc/systemd/system/{}.service", self.site);
            let nginx = format!("/etc/nginx/sites-enabled/{}", self.site);
            fs_err::write(host.path(&unit)?, site(UNIT))?;
            fs_err::write(host.path(&nginx)?, site(SITE))?;
            host.sh(&site(
                "mkdir -p /srv/{site}/releases && systemctl daemon-reload && \
                 nginx -q -t && systemctl reload-or-restart nginx",
            ))?;
            Ok(())
        })
    }

    /// Restarts it as it is.
    pub(super) fn restart(&self, hosts: &[Host]) -> Result<(), Error> {
        on_all(hosts, |host| {
            host.sh(&format!("systemctl restart {}", self.site))?;
            Ok(())
        })
    }

    /// As before its first deployment.
    pub(super) fn reset(&self, hosts: &[Host]) -> Result<(), Error> {
        on_all(hosts, |host| {
            let site = self.site;
            host.sh(&format!(
                "systemctl stop {site} && rm -rf /srv/{site} && mkdir -p /srv/{site}/releases"
            ))?;
            Ok(())
        })
    }
}

/// What the script needs beside it: stock settings but for whom to log in as, and host keys.
pub(super) fn prepare(folder: &Path, lab: &Lab) -> Result<(), Error> {
    let known: String = lab
        .hosts
        .iter()
        .map(|host| format!("{} {}\n", host.address, host.host_key.pinned()))
        .collect();
    let known_hosts = folder.join("known_hosts");
    fs_err::write(&known_hosts, known)?;
    let config = format!(
        "Host *\n    User root\n    IdentityFile {}\n    IdentitiesOnly yes\n    \
         UserKnownHostsFile {}\n    StrictHostKeyChecking yes\n    LogLevel ERROR\n",
        lab.keys.root.file.display(),
        known_hosts.display()
    );
    fs_err::write(folder.join("ssh_config"), config)?;
    fs_err::write(folder.join("baseline.sh"), SCRIPT)?;
    Ok(())
}

/// A cold `ssh HOST true` with the same settings, on all hosts at once.
pub(super) fn cold_ssh(folder: &Path, hosts: &[Host]) -> Command {
    let mut command = Command::new("sh");
    let each = "config=$0; for host; do ssh -F \"$config\" \"$host\" true & done; wait";
    command.args(["-c", each]).arg(folder.join("ssh_config"));
    command.args(hosts.iter().map(|host| host.address.to_string()));
    command
}

/// The milliseconds that each host told, from the link to the answer.
pub(super) fn switch_milliseconds(said: &str) -> Vec<f64> {
    said.lines()
        .filter_map(|line| line.strip_prefix("switch ")?.parse().ok())
        .collect()
}

/// Does the same on all hosts at once.
pub(super) fn on_all(
    hosts: &[Host],
    work: impl Fn(&Host) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let work = &work;
        let all: Vec<_> = hosts
            .iter()
            .map(|host| scope.spawn(move || work(host)))
            .collect();
        all.into_iter().try_for_each(|one| {
            one.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_bash() {
        let mut bash = Command::new("bash");
        crate::process::run(bash.args(["-n", "-c", SCRIPT])).unwrap();
    }

    #[test]
    fn a_hosts_milliseconds_are_read() {
        assert_eq!(switch_milliseconds("x\nswitch 612\nswitch y\n"), [612.0]);
    }
}
