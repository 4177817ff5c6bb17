//! `[setup]`: how bootstrap is to make hosts. An environment's own `[environments.ENV.setup]` goes
//! before the fleet's, setting by setting.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use longshore_shared::setup::{DesiredAcme, DesiredFirewall, DesiredSshd, DesiredSystem};
use serde::Deserialize;
use toml::Spanned;

use super::words::{
    bytes, is_email, is_line, is_package, is_port, is_size, is_sysctl, is_url, is_user, is_zone,
};
use crate::toml_file::{Complaint, SourceText};

const OPEN: [&str; 2] = ["80/tcp", "443/tcp"];
const JOURNAL: &str = "500M";

/// As written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetupFile {
    login: Option<Spanned<String>>,
    packages: Option<Vec<Spanned<String>>>,
    timezone: Option<Spanned<String>>,
    swap: Option<Spanned<String>>,
    security_upgrades: Option<bool>,
    clock_sync: Option<bool>,
    journal: Option<Spanned<String>>,
    sysctl: Option<BTreeMap<Spanned<String>, toml::Value>>,
    docker: Option<bool>,
    fail2ban: Option<bool>,
    sudo_password: Option<bool>,
    sshd: Option<SshdFile>,
    firewall: Option<FirewallFile>,
    acme: Option<AcmeFile>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AcmeFile {
    email: Option<Spanned<String>>,
    server: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SshdFile {
    manage: Option<bool>,
    root_login: Option<bool>,
    lines: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirewallFile {
    manage: Option<bool>,
    open: Option<Vec<Spanned<String>>>,
}

/// How an environment's hosts are made.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Whom to log in as, as long as nobody else can.
    pub login: Option<String>,
    pub system: DesiredSystem,
    pub sshd: Option<DesiredSshd>,
    pub firewall: Option<DesiredFirewall>,
    pub acme: DesiredAcme,
}

impl SetupFile {
    /// What this one says, and where it says nothing, the other.
    pub(super) fn over(self, fleet: Self) -> Self {
        let (sshd, fleet_sshd) = (
            self.sshd.unwrap_or_default(),
            fleet.sshd.unwrap_or_default(),
        );
        let firewall = self.firewall.unwrap_or_default();
        let fleet_firewall = fleet.firewall.unwrap_or_default();
        let (acme, fleet_acme) = (
            self.acme.unwrap_or_default(),
            fleet.acme.unwrap_or_default(),
        );
        Self {
            acme: Some(AcmeFile {
                email: acme.email.or(fleet_acme.email),
                server: acme.server.or(fleet_acme.server),
            }),
            login: self.login.or(fleet.login),
            packages: self.packages.or(fleet.packages),
            timezone: self.timezone.or(fleet.timezone),
            swap: self.swap.or(fleet.swap),
            security_upgrades: self.security_upgrades.or(fleet.security_upgrades),
            clock_sync: self.clock_sync.or(fleet.clock_sync),
            journal: self.journal.or(fleet.journal),
            sysctl: self.sysctl.or(fleet.sysctl),
            docker: self.docker.or(fleet.docker),
            fail2ban: self.fail2ban.or(fleet.fail2ban),
            sudo_password: self.sudo_password.or(fleet.sudo_password),
            sshd: Some(SshdFile {
                manage: sshd.manage.or(fleet_sshd.manage),
                root_login: sshd.root_login.or(fleet_sshd.root_login),
                lines: sshd.lines.or(fleet_sshd.lines),
            }),
            firewall: Some(FirewallFile {
                manage: firewall.manage.or(fleet_firewall.manage),
                open: firewall.open.or(fleet_firewall.open),
            }),
        }
    }

    pub(super) fn check(self, source: &SourceText) -> Result<Setup, Complaint> {
        let wrong = |span: Range<usize>, what: String| source.complain(span, what, None);
        let word = |value: Spanned<String>, fits: fn(&str) -> bool, what: &str| {
            if fits(value.as_ref()) {
                Ok(value.into_inner())
            } else {
                Err(wrong(
                    value.span(),
                    format!("`{}` is no {what}", value.as_ref()),
                ))
            }
        };
        let words = |values: Vec<Spanned<String>>, fits, what| {
            let values = values.into_iter();
            values
                .map(|value| word(value, fits, what))
                .collect::<Result<BTreeSet<String>, Complaint>>()
        };
        let optional = |value: Option<Spanned<String>>, fits, what| {
            value.map(|value| word(value, fits, what)).transpose()
        };
        let swap = self.swap.map(|value| {
            let bytes = bytes(value.as_ref());
            let what = format!(
                "`{}` is no size: write one such as \"1G\" or \"512M\"",
                value.as_ref()
            );
            bytes.ok_or_else(|| wrong(value.span(), what))
        });
        let mut sysctl = BTreeMap::new();
        for (key, value) in self.sysctl.unwrap_or_default() {
            let text = match value {
                toml::Value::String(text) if is_line(&text) => text,
                toml::Value::Integer(number) => number.to_string(),
                _ => {
                    let what = format!("`{}` takes a number or a text of one line", key.as_ref());
                    return Err(wrong(key.span(), what));
                }
            };
            sysctl.insert(word(key, is_sysctl, "kernel setting")?, text);
        }
        let sshd = self.sshd.unwrap_or_default();
        let firewall = self.firewall.unwrap_or_default();
        let open = match firewall.open {
            Some(open) => words(open, is_port, "port: write one such as \"8080/tcp\"")?,
            None => OPEN.map(str::to_owned).into(),
        };
        let acme = self.acme.unwrap_or_default();
        Ok(Setup {
            acme: DesiredAcme {
                email: optional(acme.email, is_email, "address such as ops@example.com")?,
                server: optional(
                    acme.server,
                    is_url,
                    "address of an ACME directory: https://…",
                )?,
            },
            login: optional(self.login, is_user, "user name")?,
            system: DesiredSystem {
                packages: words(
                    self.packages.unwrap_or_default(),
                    is_package,
                    "Debian package",
                )?,
                timezone: optional(
                    self.timezone,
                    is_zone,
                    "time zone, such as \"Europe/Berlin\"",
                )?,
                swap: swap.transpose()?,
                security_upgrades: self.security_upgrades.unwrap_or(true),
                clock_sync: self.clock_sync.unwrap_or(true),
                journal: match optional(self.journal, is_size, "size, such as \"500M\"")? {
                    Some(none) if none == "0" => None,
                    size => Some(size.unwrap_or_else(|| JOURNAL.to_owned())),
                },
                sysctl,
                docker: self.docker.unwrap_or(false),
                fail2ban: self.fail2ban.unwrap_or(false),
                sudo_without_password: !self.sudo_password.unwrap_or(false),
            },
            sshd: sshd.manage.unwrap_or(true).then(|| DesiredSshd {
                root_login: sshd.root_login.unwrap_or(false),
                lines: sshd.lines.unwrap_or_default(),
            }),
            firewall: firewall.manage.unwrap_or(true).then_some(DesiredFirewall {
                open,
                close_used: false,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Inventory;
    use super::*;

    fn setup(text: &str) -> Result<Setup, String> {
        let source = SourceText::from_text(Path::new("inventory.toml"), text);
        let inventory = Inventory::from_source(&source).map_err(|error| error.to_string())?;
        Ok(inventory.environment("demo").unwrap().setup.clone())
    }

    #[test]
    fn an_environment_goes_before_the_fleet_setting_by_setting() {
        let setup = setup(
            "[setup]\nlogin = \"debian\"\njournal = \"0\"\n[setup.sshd]\nlines = [\"MaxAuthTries 3\"]\n\
             [setup.firewall]\nmanage = false\n\
             [environments.demo.setup]\nlogin = \"root\"\n[environments.demo.setup.sshd]\nroot_login = true\n",
        )
        .unwrap();
        assert_eq!(setup.login.as_deref(), Some("root"));
        assert_eq!(setup.system.journal, None);
        let sshd = setup.sshd.unwrap();
        assert!(sshd.root_login && sshd.lines == ["MaxAuthTries 3"]);
        assert!(setup.firewall.is_none());
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        for (line, word) in [
            ("packages = [\"-y\"]", "Debian package"),
            ("timezone = \"../x\"", "time zone"),
            ("swap = \"1T\"", "size"),
            ("sysctl = { \"a\" = 1 }", "kernel setting"),
            ("firewal = 1", "firewall"),
            ("firewall = { open = [\"80\"] }", "port"),
            ("acme = { server = \"http://x\" }", "ACME"),
        ] {
            let error = setup(&format!("[environments.demo]\n[setup]\n{line}\n")).unwrap_err();
            assert!(
                error.contains(":3: ") && error.contains(word),
                "{line}: {error}"
            );
        }
    }
}
