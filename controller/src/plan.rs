//! What a rollout is going to do, worked out from the inventory alone: no network, no clock.

use longshore_shared::instance::Instance;
use longshore_shared::name::{EnvironmentName, HostName};
use longshore_shared::wire::latest::PreviewWish;

use crate::inventory::{Environment, EnvironmentApp, Host, HostSelection, SelectionError};

/// The hosts of one rollout and their order.
#[derive(Debug, Clone)]
pub struct Plan {
    pub environment: EnvironmentName,
    pub app: Instance,
    pub domain: Option<String>,
    /// The chosen hosts, in the inventory's order.
    pub hosts: Vec<Host>,
    /// What is to become of it, where it is a preview that is brought a release.
    pub preview: Option<PreviewWish>,
    /// The environment's first host of this app, chosen or not.
    pub first: HostName,
}

/// Where the migration runs, and what a person should know about that.
#[derive(Debug, PartialEq, Eq)]
pub struct MigrationPlace {
    pub host: HostName,
    pub remark: Option<String>,
}

impl Plan {
    pub fn new(
        environment: &Environment,
        app: &EnvironmentApp,
        selection: &HostSelection,
    ) -> Result<Self, SelectionError> {
        let hosts = selection.choose(environment, |host| app.hosts.contains(&host.name))?;
        // An app lives on at least one host.
        let Some(first) = app.hosts.first().cloned() else {
            return Err(SelectionError::Empty { known: Vec::new() });
        };
        Ok(Plan {
            environment: environment.name.clone(),
            app: app.instance.clone(),
            preview: None,
            domain: app.domain.clone(),
            hosts: hosts.into_iter().cloned().collect(),
            first,
        })
    }

    /// The environment's first host, or the first of those that take part when it does not.
    pub fn migration_place(&self, taking_part: &[HostName]) -> Option<MigrationPlace> {
        if taking_part.contains(&self.first) {
            return Some(MigrationPlace {
                host: self.first.clone(),
                remark: None,
            });
        }
        let host = self
            .hosts
            .iter()
            .map(|host| &host.name)
            .find(|name| taking_part.contains(name))?;
        Some(MigrationPlace {
            host: host.clone(),
            remark: Some(format!(
                "{host} migrates, because {}, the environment's first host, does not take part.",
                self.first
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::inventory::Inventory;
    use crate::toml_file::SourceText;

    fn example() -> Inventory {
        let text = include_str!("../../inventory.example.toml");
        Inventory::from_source(&SourceText::from_text(
            Path::new("inventory.example.toml"),
            text,
        ))
        .unwrap()
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.hosts.iter().map(|host| host.name.as_str()).collect()
    }

    fn production(on: &[&str]) -> Plan {
        let inventory = example();
        let environment = inventory.environment("production").unwrap();
        let on: Vec<String> = on.iter().map(|word| (*word).to_owned()).collect();
        let selection = HostSelection::new(&on, &[]);
        Plan::new(environment, environment.only_app().unwrap(), &selection).unwrap()
    }

    #[test]
    fn the_commented_example_can_be_planned() {
        let plan = production(&[]);
        assert_eq!(names(&plan), ["cortico-1", "cortico-2"]);
        assert_eq!(plan.domain.as_deref(), Some("cortico.example"));
        let place = plan.migration_place(&[plan.hosts[0].name.clone()]).unwrap();
        assert_eq!((place.host.as_str(), place.remark), ("cortico-1", None));
    }

    #[test]
    fn without_the_first_host_the_next_one_migrates_and_that_is_said() {
        let plan = production(&["cortico-2"]);
        let place = plan.migration_place(&[plan.hosts[0].name.clone()]).unwrap();
        assert_eq!(place.host.as_str(), "cortico-2");
        assert!(place.remark.unwrap().contains("cortico-1"));
        assert_eq!(plan.migration_place(&[]), None);
    }
}
