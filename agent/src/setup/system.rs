//! The system's own settings: time, upgrades, journal, kernel.

use std::path::{Path, PathBuf};

use longshore_shared::setup::{DesiredSystem, SetupFailure};

use super::facts::Facts;
use super::files::{self, Wanted};
use super::pending::Load;
use super::plan::{Planned, failed};
use crate::command;
use crate::links;

const UPGRADES: &str = "/etc/apt/apt.conf.d/52longshore";
const JOURNAL: &str = "/etc/systemd/journald.conf.d/longshore.conf";
const SYSCTL: &str = "/etc/sysctl.d/60-longshore.conf";
const JAIL: &str = "/etc/fail2ban/jail.d/longshore.conf";
const MADE: &str = "Made by longshore bootstrap: changes are overwritten.";

pub(super) fn plan(system: &DesiredSystem, facts: &Facts, planned: &mut Planned) {
    let mut file = |wanted: Option<String>, path: &'static str, load, what: &str| match wanted {
        Some(text) => files::plan(planned, Wanted::text(path, text, load), what),
        None => files::plan_gone(planned, path, load, what),
    };
    let upgrades = system.security_upgrades.then(|| {
        format!(
            "// {MADE}\nAPT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n"
        )
    });
    file(upgrades, UPGRADES, None, "security upgrades by themselves");
    let journal = system.journal.as_ref();
    let journal = journal.map(|size| format!("# {MADE}\n[Journal]\nSystemMaxUse={size}\n"));
    file(journal, JOURNAL, Some(Load::Journal), "size of the journal");
    let sysctl = (!system.sysctl.is_empty()).then(|| {
        let lines = system.sysctl.iter();
        let lines: String = lines
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        format!("# {MADE}\n{lines}")
    });
    file(sysctl, SYSCTL, Some(Load::Sysctl), "kernel settings");
    let jail = system
        .fail2ban
        .then(|| format!("# {MADE}\n[sshd]\nenabled = true\nbackend = systemd\n"));
    file(
        jail,
        JAIL,
        Some(Load::Fail2ban),
        "fail2ban's watch over sshd",
    );
    if let Some(zone) = &system.timezone {
        time_zone(zone, planned);
    }
    let guard = facts.unit("fail2ban.service");
    if system.fail2ban && guard.loaded && !(guard.enabled && guard.active) {
        planned.change("~ fail2ban runs, after a reboot too", |_| {
            command::run("systemctl", &["enable", "--quiet", "--now", "fail2ban"])
                .map(drop)
                .map_err(failed)
        });
    }
    let timesyncd = "systemd-timesyncd.service";
    let clock = facts.unit(timesyncd);
    let keeps_time = clock.enabled && (clock.active || facts.container);
    if system.clock_sync && clock.loaded && !keeps_time {
        planned.change("~ clock kept by systemd-timesyncd", |_| {
            command::run("systemctl", &["enable", "--now", "systemd-timesyncd"])
                .map(drop)
                .map_err(failed)
        });
    }
}

fn time_zone(zone: &str, planned: &mut Planned) {
    let target = PathBuf::from(format!("/usr/share/zoneinfo/{zone}"));
    let present = fs_err::read_link("/etc/localtime").ok();
    if present.as_deref() == Some(&target) {
        return;
    }
    let before = present
        .as_deref()
        .and_then(|path| path.to_str()?.split_once("zoneinfo/"))
        .map_or("none", |(_, zone)| zone);
    let zone = zone.to_owned();
    planned.change(format!("~ time zone {before} -> {zone}"), move |_| {
        if !target.is_file() {
            return Err(SetupFailure {
                what: format!("this host knows no time zone {zone:?}"),
                next: "correct `timezone` in the inventory, such as \"Europe/Berlin\"".to_owned(),
            });
        }
        links::replace(Path::new("/etc/localtime"), &target).map_err(failed)
    });
}
