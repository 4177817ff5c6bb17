//! Which hosts a command is about: `--on`, `--exclude`.

use longshore_shared::name::EnvironmentName;
use thiserror::Error;

use super::check::known_words;
use super::{Environment, Host, HostPattern};
use crate::did_you_mean;

/// What the person asked for; empty means every host.
#[derive(Debug, Clone, Default)]
pub struct HostSelection {
    pub on: Vec<HostPattern>,
    pub exclude: Vec<HostPattern>,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum SelectionError {
    #[error("`{pattern}` names no host here{meant}")]
    NoMatch {
        pattern: String,
        meant: String,
        known: Vec<String>,
    },
    #[error("environment `{environment}` has no hosts yet")]
    NoHosts { environment: EnvironmentName },
    #[error("no host is left: --exclude takes away all that was chosen")]
    Empty { known: Vec<String> },
}

impl HostSelection {
    pub fn new(on: &[String], exclude: &[String]) -> Self {
        HostSelection {
            on: on.iter().map(|text| HostPattern::new(text)).collect(),
            exclude: exclude.iter().map(|text| HostPattern::new(text)).collect(),
        }
    }

    /// The chosen ones of `candidates`, in the inventory's order. A pattern that matches nothing is
    /// an error, because a typing mistake must not silently shrink or grow a deployment.
    pub fn choose<'a>(
        &self,
        environment: &'a Environment,
        candidates: impl Fn(&Host) -> bool,
    ) -> Result<Vec<&'a Host>, SelectionError> {
        let hosts: Vec<&Host> = environment
            .hosts
            .iter()
            .filter(|host| candidates(host))
            .collect();
        if environment.hosts.is_empty() {
            let environment = environment.name.clone();
            return Err(SelectionError::NoHosts { environment });
        }
        for pattern in &self.on {
            self.must_match(pattern, &hosts)?;
        }
        // An excluded host only has to exist: it may well not carry this app.
        let all: Vec<&Host> = environment.hosts.iter().collect();
        for pattern in &self.exclude {
            self.must_match(pattern, &all)?;
        }
        let chosen: Vec<&Host> = hosts
            .iter()
            .copied()
            .filter(|host| self.on.is_empty() || any(&self.on, host))
            .filter(|host| !any(&self.exclude, host))
            .collect();
        if chosen.is_empty() {
            return Err(SelectionError::Empty {
                known: words(&hosts),
            });
        }
        Ok(chosen)
    }

    fn must_match(&self, pattern: &HostPattern, hosts: &[&Host]) -> Result<(), SelectionError> {
        if hosts.iter().any(|host| matches(pattern, host)) {
            return Ok(());
        }
        let known = words(hosts);
        let text = pattern.to_string();
        Err(SelectionError::NoMatch {
            meant: did_you_mean::suffix(&text, known.iter().map(String::as_str)),
            pattern: text,
            known,
        })
    }
}

impl SelectionError {
    pub fn hints(&self) -> Vec<String> {
        match self {
            SelectionError::NoHosts { environment } => vec![format!(
                "Add one to the inventory: [[environments.{environment}.hosts]] with name and address."
            )],
            SelectionError::NoMatch { known, .. } | SelectionError::Empty { known } => {
                vec![format!("To choose from: {}", known.join(", "))]
            }
        }
    }
}

fn words(hosts: &[&Host]) -> Vec<String> {
    let owned: Vec<Host> = hosts.iter().map(|host| (*host).clone()).collect();
    known_words(&owned)
}

fn any(patterns: &[HostPattern], host: &Host) -> bool {
    patterns.iter().any(|pattern| matches(pattern, host))
}

fn matches(pattern: &HostPattern, host: &Host) -> bool {
    pattern.matches(host.name.as_str(), host.roles.iter().map(String::as_str))
}
