//! Whom hosts are to trust to release, put together from the inventory: its signers file, the
//! signing keys of its people, its list of revoked keys, and each environment's own rules.

mod others;
mod push;

use std::io;
use std::path::PathBuf;

use longshore_shared::signature::{RELEASE_NAMESPACE, Revoked, SIGNERS_NAMESPACE, Trust};
use longshore_shared::trust_file::{TrustFileError, TrustRules};
use russh::keys::ssh_key;
use thiserror::Error;

use crate::inventory::{Environment, Inventory, Person};

pub(crate) use others::{ask, of_others, unfitting};
pub(crate) use push::{PushPlan, Standing, differences, newest, standing};

/// Why the inventory makes no rules.
#[derive(Debug, Error)]
pub(crate) enum ComposeError {
    #[error(
        "the inventory names no signers: neither `signers` in [fleet] nor anyone's `signing_keys`"
    )]
    NoSigners,
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no text in UTF-8, and hosts would refuse it", path.display())]
    Text { path: PathBuf },
    #[error("the signing key of {person} cannot be written down")]
    Key {
        person: String,
        #[source]
        source: ssh_key::Error,
    },
    #[error("the signers of the inventory cannot be used")]
    Rules(#[source] TrustFileError),
}

/// The rules of one environment, checked by the reader that hosts use.
pub(crate) fn compose(
    inventory: &Inventory,
    environment: &Environment,
) -> Result<TrustRules, ComposeError> {
    let entries = environment.release_by.as_ref();
    let release_by = entries.map(|entries| expand(entries, inventory));
    rules(inventory, release_by, environment.forward_only)
}

fn rules(
    inventory: &Inventory,
    release_by: Option<Vec<String>>,
    forward_only: bool,
) -> Result<TrustRules, ComposeError> {
    let mut allowed = match inventory.signers() {
        Some(path) => {
            String::from_utf8(read(path.clone())?).map_err(|_| ComposeError::Text { path })?
        }
        None => String::new(),
    };
    for (name, person) in inventory.people() {
        allowed = with_person(allowed, name, person)?;
    }
    if allowed.trim().is_empty() {
        return Err(ComposeError::NoSigners);
    }
    let revoked = inventory.revoked().map(read).transpose()?;
    let rules = TrustRules::new(
        allowed,
        &revoked.unwrap_or_default(),
        release_by,
        forward_only,
    );
    rules.read().map_err(ComposeError::Rules)?;
    Ok(rules)
}

/// The same as a host reads it. Without an environment, its rules are not asked.
pub(crate) fn composed(
    inventory: &Inventory,
    environment: Option<&Environment>,
) -> Result<Trust, ComposeError> {
    let rules = match environment {
        Some(environment) => compose(inventory, environment)?,
        None => rules(inventory, None, false)?,
    };
    rules.read().map_err(ComposeError::Rules)
}

/// What an environment rules beside its list of signers, which comes from elsewhere.
pub(crate) fn rights(
    inventory: &Inventory,
    environment: &Environment,
) -> Result<Trust, ComposeError> {
    let revoked = inventory.revoked().map(read).transpose()?;
    let revoked = Revoked::parse(&revoked.unwrap_or_default());
    let entries = environment.release_by.as_ref();
    Ok(Trust {
        revoked: revoked.map_err(|error| ComposeError::Rules(error.into()))?,
        release_by: entries.map(|entries| expand(entries, inventory)),
        ..Trust::default()
    })
}

/// What a person's signatures are known by.
fn principal<'a>(name: &'a str, person: &'a Person) -> &'a str {
    person.principal.as_deref().unwrap_or(name)
}

/// People sign releases. Who may change the signers themselves is named in the signers file alone.
fn with_person(mut allowed: String, name: &str, person: &Person) -> Result<String, ComposeError> {
    for key in &person.signing_keys {
        let key = key.to_openssh().map_err(|source| ComposeError::Key {
            person: name.to_owned(),
            source,
        })?;
        if !allowed.is_empty() && !allowed.ends_with('\n') {
            allowed.push('\n');
        }
        let principal = principal(name, person);
        allowed.push_str(&format!(
            "{principal} namespaces=\"{RELEASE_NAMESPACE}\" {key}\n"
        ));
    }
    Ok(allowed)
}

/// Groups become the principals of those in them.
fn expand(entries: &[String], inventory: &Inventory) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let Some(group) = entry.strip_prefix('@') else {
            names.push(entry.clone());
            continue;
        };
        for (name, person) in inventory.people() {
            if person.groups.iter().any(|own| own == group) && !person.signing_keys.is_empty() {
                names.push(principal(name, person).to_owned());
            }
        }
    }
    names.dedup();
    names
}

fn read(path: PathBuf) -> Result<Vec<u8>, ComposeError> {
    std::fs::read(&path).map_err(|source| ComposeError::Read { path, source })
}

impl ComposeError {
    pub(crate) fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoSigners => format!(
                "Add a line `you@example.com namespaces=\"{RELEASE_NAMESPACE},{SIGNERS_NAMESPACE}\" KEY` to a file allowed_signers beside the inventory, and name it: [fleet] signers = \"allowed_signers\""
            ),
            Self::Read { .. } => format!(
                "The paths in [fleet] are relative to the inventory. A list of signers has lines such as `you@example.com namespaces=\"{RELEASE_NAMESPACE},{SIGNERS_NAMESPACE}\" ssh-ed25519 AAAA…`"
            ),
            Self::Text { .. } => "Write it anew, in UTF-8.".to_owned(),
            Self::Key { .. } => return Vec::new(),
            Self::Rules(_) => format!(
                "The format is that of ssh-keygen's ALLOWED SIGNERS; a key with namespaces=\"{SIGNERS_NAMESPACE}\" may change the signers."
            ),
        };
        vec![hint]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 3] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAZm2wqR11O5rs+7BCA7137NTLQHdO2PUvJ9uGM5ORJG",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMsvZ+z1LsGWC0UL4gvMHR++VultEkrYBMgiKAVP1BlG",
    ];

    fn composed_of(fleet: &str, rules: &str) -> Result<TrustRules, ComposeError> {
        let [_, lead, dev] = KEYS;
        let folder = tempfile::tempdir().unwrap();
        // Without a newline at the end, as an editor may leave it.
        let list = format!("ci@x {}", KEYS[0]);
        std::fs::write(folder.path().join("allowed_signers"), list).unwrap();
        std::fs::write(folder.path().join("revoked"), dev).unwrap();
        std::fs::write(folder.path().join("broken"), "nonsense").unwrap();
        let text = format!(
            "[fleet]\n{fleet}\n[people.ann]\ngroups = [\"leads\"]\nprincipal = \"ann@x\"\nsigning_keys = [\"{lead} of ann\"]\n\
             [people.bob]\ngroups = [\"leads\"]\n[people.eve]\nsigning_keys = [\"{dev}\"]\n[environments.e]\n{rules}\n"
        );
        let path = folder.path().join("inventory.toml");
        std::fs::write(&path, text).unwrap();
        let inventory = Inventory::read(&path).unwrap();
        compose(&inventory, inventory.environment("e").unwrap())
    }

    #[test]
    fn one_place_names_people_their_keys_and_their_rights() {
        let [ci, lead, dev] = KEYS;
        let rules = composed_of(
            "signers = \"allowed_signers\"\nrevoked = \"revoked\"",
            "release_by = [\"ci@x\", \"@leads\"]\nforward_only = true",
        )
        .unwrap();
        let releases = format!("namespaces=\"{RELEASE_NAMESPACE}\"");
        let lines = format!("ci@x {ci}\nann@x {releases} {lead} of ann\neve {releases} {dev}\n");
        assert_eq!(rules.allowed_signers, lines);
        assert_eq!(rules.revoked_signers().unwrap(), dev.as_bytes());
        let release_by = rules.release_by.unwrap();
        assert_eq!(release_by, ["ci@x", "ann@x"]);
        assert!(rules.forward_only);
    }

    #[test]
    fn what_hosts_could_not_read_is_found_here() {
        let broken = composed_of("signers = \"broken\"", "");
        assert!(matches!(broken, Err(ComposeError::Rules(_))), "{broken:?}");
        let missing = composed_of("signers = \"nowhere\"", "");
        assert!(
            matches!(missing, Err(ComposeError::Read { .. })),
            "{missing:?}"
        );
        assert!(composed_of("", "").is_ok());
    }
}
