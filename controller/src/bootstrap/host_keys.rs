//! Host keys that a person vouches for, and those that are to be pinned.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use longshore_shared::name::HostName;
use russh::keys::ssh_key::Fingerprint;
use russh::keys::{HashAlg, PublicKey};

use crate::inventory::Host;
use crate::ssh::{fingerprint, key_line};

pub(crate) struct HostKeys {
    /// Of each host: a fingerprint `SHA256:…` or a whole key, from `--host-key`.
    given: Vec<(HostName, String)>,
    ask: Arc<dyn AskHostKey>,
    /// Hosts that proved themselves and have no key in the inventory.
    proven: Mutex<BTreeMap<HostName, String>>,
}

/// Asks the person whether a key is the host's.
pub(crate) trait AskHostKey: Send + Sync {
    fn is_it(&self, host: &HostName, address: &str, fingerprint: &str) -> bool;
}

impl HostKeys {
    pub(crate) fn new(given: Vec<(HostName, String)>, ask: Arc<dyn AskHostKey>) -> Self {
        Self {
            given,
            ask,
            proven: Mutex::default(),
        }
    }

    /// Whether somebody says that this is the host's key. The person is asked beside the work: other
    /// hosts go on meanwhile.
    pub(super) async fn vouched(&self, host: &HostName, address: &str, shown: &PublicKey) -> bool {
        if self.is_given(host, shown) {
            return true;
        }
        // Whoever has said which one it is has no question to answer.
        if self.given_instead(host).is_some() {
            return false;
        }
        let ask = Arc::clone(&self.ask);
        let (host, address, print) = (host.clone(), address.to_owned(), fingerprint(shown));
        let asked = tokio::task::spawn_blocking(move || ask.is_it(&host, &address, &print));
        asked.await.unwrap_or(false)
    }

    /// The key that somebody gave for this host.
    pub(super) fn given_instead(&self, host: &HostName) -> Option<&str> {
        let mut given = self.given.iter();
        given
            .find(|(of, _)| of == host)
            .map(|(_, key)| key.as_str())
    }

    fn is_given(&self, host: &HostName, shown: &PublicKey) -> bool {
        let print = shown.fingerprint(HashAlg::Sha256).to_string();
        let given = self.given.iter().filter(|(of, _)| of == host);
        given.into_iter().any(|(_, given)| {
            let whole = PublicKey::from_openssh(given);
            *given == print || whole.is_ok_and(|key| key.key_data() == shown.key_data())
        })
    }

    /// A host has proven itself by this key, whatever else becomes of it.
    pub(super) fn proven(&self, host: &Host, key: &PublicKey) {
        if host.host_keys.is_empty() {
            let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
            proven.insert(host.name.clone(), key_line(key));
        }
    }

    /// Keys to pin, so that nobody is asked again.
    pub(crate) fn to_pin(&self) -> Vec<(HostName, String)> {
        let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        let proven = proven.iter();
        proven
            .map(|(host, key)| (host.clone(), key.clone()))
            .collect()
    }
}

/// Which host each `--host-key` is for: `HOST=KEY`, or a plain key where one host alone of those that
/// were chosen has none. A key that nobody needs any more does no harm.
pub(crate) fn assign(
    given: &[String],
    environment: &[Host],
    chosen: &[&Host],
) -> Result<Vec<(HostName, String)>, AssignError> {
    let unpinned: Vec<&Host> = chosen
        .iter()
        .copied()
        .filter(|host| host.host_keys.is_empty())
        .collect();
    let assigned = given
        .iter()
        .map(|text| {
            let (host, key) = match text.split_once('=') {
                // A whole key may end in `=`, after a blank.
                Some((host, key)) if !host.contains([' ', ':']) => (Some(host), key.trim()),
                _ => (None, text.trim()),
            };
            if !is_key(key) {
                return Err(AssignError::NoKey(text.clone()));
            }
            let host = match (host, unpinned.as_slice()) {
                (Some(name), _) => environment
                    .iter()
                    .find(|host| host.name.as_str() == name)
                    .ok_or_else(|| AssignError::NoHost(text.clone()))?,
                (None, [only]) => *only,
                (None, []) => return Ok(None),
                (None, several) => return Err(AssignError::Whose(several.len())),
            };
            Ok(Some((host.name.clone(), key.to_owned())))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(assigned.into_iter().flatten().collect())
}

fn is_key(text: &str) -> bool {
    let is_print = text.starts_with("SHA256:") && text.parse::<Fingerprint>().is_ok();
    is_print || PublicKey::from_openssh(text).is_ok()
}

/// Why a `--host-key` cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AssignError {
    #[error("`--host-key {0}` is no key: give SHA256:… or a whole public key, or HOST=KEY")]
    NoKey(String),
    #[error("`--host-key {0}` is for no host of the environment")]
    NoHost(String),
    #[error("`--host-key` does not say whose key it is: {0} hosts of this run have none pinned")]
    Whose(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    struct Nobody;

    impl AskHostKey for Nobody {
        fn is_it(&self, _: &HostName, _: &str, _: &str) -> bool {
            false
        }
    }

    fn host(name: &str, pinned: bool) -> Host {
        let key = PublicKey::from_openssh(KEY).unwrap();
        Host {
            name: HostName::new(name).unwrap(),
            address: name.parse().unwrap(),
            user: None,
            roles: Vec::new(),
            host_keys: pinned.then_some(key).into_iter().collect(),
        }
    }

    fn assigned(given: &str, hosts: &[Host]) -> Result<String, AssignError> {
        let chosen: Vec<&Host> = hosts.iter().collect();
        let assigned = assign(&[given.to_owned()], hosts, &chosen)?;
        let names: Vec<String> = assigned.iter().map(|one| one.0.to_string()).collect();
        Ok(names.join(" "))
    }

    #[test]
    fn a_plain_key_is_for_the_one_host_without_any() {
        let (one, two, pinned) = (host("a", false), host("b", false), host("c", true));
        let both = [one.clone(), two];
        assert_eq!(assigned(KEY, &[one, pinned.clone()]), Ok("a".to_owned()));
        assert_eq!(assigned(KEY, &[pinned]), Ok(String::new()));
        assert_eq!(assigned(KEY, &both), Err(AssignError::Whose(2)));
        assert_eq!(assigned(&format!("b={KEY}"), &both), Ok("b".to_owned()));
        let other = format!("z={KEY}");
        assert_eq!(assigned(&other, &both), Err(AssignError::NoHost(other)));
        let rubbish = "a=rubbish".to_owned();
        assert_eq!(assigned(&rubbish, &both), Err(AssignError::NoKey(rubbish)));
    }

    #[tokio::test]
    async fn the_key_of_one_host_vouches_for_no_other() {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let print = key.fingerprint(HashAlg::Sha256).to_string();
        let (a, b) = (host("a", false), host("b", false));
        let keys = HostKeys::new(vec![(a.name.clone(), print)], Arc::new(Nobody));
        assert!(keys.vouched(&a.name, "a", &key).await);
        assert!(!keys.vouched(&b.name, "b", &key).await);
        keys.proven(&a, &key);
        keys.proven(&host("c", true), &key);
        assert_eq!(keys.to_pin(), [(a.name, KEY.to_owned())]);
    }
}
