//! The system's own settings: time, upgrades, journal, kernel.

use std::path::{Path, PathBuf};

use longshore_shared::setup::{DesiredSystem, SetupFailure};

use super::facts::Facts;
use super::files::{self, MADE, Wanted};
use super::kernel;
use super::pending::Load;
use super::plan::{Planned, failed};
use super::units;
use crate::layout::SYSCTL;
use crate::links;

const UPGRADES: &str = "/etc/apt/apt.conf.d/52longshore";
const JOURNAL: &str = "/etc/systemd/journald.conf.d/longshore.conf";
const JAIL: &str = "/etc/fail2ban/jail.d/longshore.conf";
const CLOCKS: [&str; 5] = [
    "systemd-timesyncd.service",
    "chrony.service",
    "ntpsec.service",
    "ntp.service",
    "openntpd.service",
];

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
    let sysctl = (!system.sysctl.is_empty()).then(|| kernel::text(&system.sysctl));
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
    kernel::plan(&system.sysctl, facts, planned);
    for (wanted, unit, what) in [
        (system.fail2ban, "fail2ban.service", "fail2ban"),
        (system.docker, "docker.service", "Docker"),
        // The one reads what is new, the other installs it.
        (
            system.security_upgrades,
            "apt-daily.timer",
            "apt-daily.timer, for security upgrades,",
        ),
        (
            system.security_upgrades,
            "apt-daily-upgrade.timer",
            "apt-daily-upgrade.timer, for security upgrades,",
        ),
    ] {
        if wanted {
            units::plan_running(planned, &facts.unit(unit), unit, what);
        }
    }
    if system.clock_sync {
        clock(facts, planned);
    }
}

/// One of them is enough. In a container none runs, for the clock is the machine's.
fn clock(facts: &Facts, planned: &mut Planned) {
    let keeps = |name: &&'static str| {
        let unit = facts.unit(name);
        unit.runs() || (unit.enabled && facts.container)
    };
    if CLOCKS.iter().any(keeps) {
        return;
    }
    let there = CLOCKS.into_iter().find(|name| facts.unit(name).loaded);
    let masked = || CLOCKS.into_iter().find(|name| facts.unit(name).masked);
    if let Some(name) = there.or_else(masked) {
        units::plan_running(planned, &facts.unit(name), name, name);
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
    planned.change_apart(format!("~ time zone {before} -> {zone}"), move |_| {
        if !target.is_file() {
            return Err(SetupFailure {
                what: format!("this host knows no time zone {zone:?}"),
                next: "correct `timezone` in the inventory, such as \"Europe/Berlin\"; old names are in the package tzdata-legacy".to_owned(),
            });
        }
        links::replace(Path::new("/etc/localtime"), &target).map_err(failed)
    });
}

#[cfg(test)]
mod tests {
    use super::super::units::Unit;
    use super::*;

    fn clock_planned(units: &[(&str, Unit)], container: bool) -> Planned {
        let units = units.iter().cloned();
        let facts = Facts {
            units: units.map(|(name, unit)| (name.to_owned(), unit)).collect(),
            container,
            ..Facts::default()
        };
        let mut planned = Planned::default();
        clock(&facts, &mut planned);
        planned
    }

    #[test]
    fn any_one_program_keeps_the_clock() {
        let unit = |active: bool| Unit {
            loaded: true,
            enabled: true,
            active,
            ..Unit::default()
        };
        let masked = Unit {
            masked: true,
            ..Unit::default()
        };
        let (chrony, timesyncd) = ("chrony.service", "systemd-timesyncd.service");
        assert!(
            clock_planned(&[(chrony, unit(true))], false)
                .changes
                .is_empty()
        );
        assert!(
            clock_planned(&[(chrony, unit(false))], true)
                .changes
                .is_empty()
        );
        let stopped = clock_planned(&[(chrony, unit(false)), (timesyncd, masked.clone())], false);
        assert!(stopped.changes[0].what.contains(chrony) && stopped.lacks.is_empty());
        let none = clock_planned(&[(timesyncd, masked)], false);
        assert!(none.changes.is_empty() && none.lacks[0].contains("unmask"));
    }
}
