//! Which units run, asked of systemd once.

use std::collections::BTreeMap;

use longshore_shared::setup::SetupFailure;

use super::plan::{Planned, failed};
use crate::command;

/// What systemd says of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) loaded: bool,
    pub(super) enabled: bool,
    pub(super) active: bool,
    /// Somebody has forbidden it to run.
    pub(super) masked: bool,
    /// Ports of a socket unit.
    pub(super) ports: Vec<u16>,
}

impl Unit {
    /// Now, and after a reboot.
    pub(super) fn runs(&self) -> bool {
        self.enabled && self.active
    }
}

/// All units that setup looks at.
const LOOKED_AT: [&str; 16] = [
    "longshore-agent.service",
    "longshore-boot.service",
    "longshore-firewall.service",
    "longshore-take-back.service",
    "nginx.service",
    "ssh.socket",
    "fail2ban.service",
    "docker.service",
    "certbot.timer",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "systemd-timesyncd.service",
    "chrony.service",
    "ntp.service",
    "ntpsec.service",
    "openntpd.service",
];

/// Asks for all of them in one call.
pub(super) fn look() -> BTreeMap<String, Unit> {
    let mut words = vec![
        "show",
        "--property=Id,LoadState,UnitFileState,ActiveState,Listen",
    ];
    words.extend(LOOKED_AT);
    parse(&command::run("systemctl", &words).unwrap_or_default())
}

fn parse(said: &str) -> BTreeMap<String, Unit> {
    let mut units = BTreeMap::new();
    for block in said.split("\n\n") {
        let property = |name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let unit = Unit {
            loaded: property("LoadState") == "loaded",
            enabled: property("UnitFileState").starts_with("enabled"),
            active: matches!(property("ActiveState"), "active" | "reloading"),
            masked: property("LoadState") == "masked",
            ports: block.lines().filter_map(port).collect(),
        };
        units.insert(property("Id").to_owned(), unit);
    }
    units
}

/// Of a line such as `Listen=[::]:22 (Stream)`.
fn port(line: &str) -> Option<u16> {
    let address = line.strip_prefix("Listen=")?.split(' ').next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

/// Plans that a unit runs, now and after a reboot. Where it is not there, there is nothing to run.
pub(super) fn plan_running(planned: &mut Planned, unit: &Unit, name: &'static str, what: &str) {
    if unit.masked {
        planned.lack(format!(
            "{what} does not run: {name} is masked on this host. Run `systemctl unmask {name}` there, then bootstrap again; or let the inventory not want it"
        ));
    } else if unit.loaded && !unit.runs() {
        planned.change_apart(format!("~ {what} runs, after a reboot too"), |_| run(name));
    }
}

pub(super) fn run(name: &str) -> Result<(), SetupFailure> {
    command::run("systemctl", &["enable", "--quiet", "--now", name])
        .map(drop)
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart() {
        let said = "Id=nginx.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\n\
                    Id=x.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n";
        let units = parse(said);
        assert!(units["nginx.service"].loaded && units["nginx.service"].enabled);
        assert!(units["nginx.service"].active);
        assert_eq!(units["x.service"], Unit::default());
        assert!(units["nginx.service"].runs() && !units["x.service"].runs());
    }

    #[test]
    fn a_socket_tells_its_ports_and_a_masked_unit_that_it_is() {
        let said = "Id=ssh.socket\nListen=0.0.0.0:2222 (Stream)\nListen=[::]:2222 (Stream)\n\
                    Listen=/run/x (Stream)\nLoadState=loaded\n\n\
                    Id=m.timer\nLoadState=masked\nUnitFileState=masked\n";
        let units = parse(said);
        assert_eq!(units["ssh.socket"].ports, [2222, 2222]);
        assert!(units["m.timer"].masked && !units["m.timer"].loaded);
        let mut planned = Planned::default();
        plan_running(&mut planned, &units["m.timer"], "m.timer", "upgrades");
        plan_running(&mut planned, &Unit::default(), "gone.timer", "upgrades");
        assert!(planned.changes.is_empty());
        assert_eq!(planned.lacks.len(), 1);
        assert!(planned.lacks[0].contains("systemctl unmask m.timer"));
    }
}
