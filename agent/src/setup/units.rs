//! Which units run, asked of systemd once.

use std::collections::BTreeMap;

use crate::command;

/// What systemd says of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) loaded: bool,
    pub(super) enabled: bool,
    pub(super) active: bool,
}

/// All units that setup looks at.
const LOOKED_AT: [&str; 7] = [
    "longshore-agent.service",
    "longshore-boot.service",
    "longshore-firewall.service",
    "longshore-take-back.service",
    "nginx.service",
    "fail2ban.service",
    "systemd-timesyncd.service",
];

/// Asks for all of them in one call.
pub(super) fn look() -> BTreeMap<String, Unit> {
    let mut words = vec!["show", "--property=Id,LoadState,UnitFileState,ActiveState"];
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
        };
        units.insert(property("Id").to_owned(), unit);
    }
    units
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
    }
}
