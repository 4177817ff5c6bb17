//! Whether a host is the host it should be. Decided before any user authentication; no switch turns
//! it off.

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use thiserror::Error;

use super::known_hosts::{KnownHosts, KnownHostsError, Place, Verdict, lookup_name};
use super::target::HostTrust;

/// The host key algorithms that this program can check, the preferred first.
const SUPPORTED: [Algorithm; 4] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
];

/// Judges the keys of one host.
#[derive(Debug)]
pub(super) struct HostKeyJudge {
    rule: Rule,
    algorithms: Vec<Algorithm>,
}

#[derive(Debug)]
enum Rule {
    Pinned(Vec<PublicKey>),
    KnownHosts {
        known: KnownHosts,
        host: String,
        port: u16,
    },
}

/// Why a host was not trusted.
#[derive(Debug, Error)]
pub enum HostKeyError {
    #[error("the host key is not known: the host shows {}", fingerprint(shown))]
    Unknown {
        lookup: String,
        shown: Box<PublicKey>,
    },
    #[error(
        "the host key has changed: the host shows {}, and {}:{} holds another",
        fingerprint(shown), place.file.display(), place.line
    )]
    Changed { place: Place, shown: Box<PublicKey> },
    #[error(
        "the host key is not the pinned one: the host shows {}, and the inventory pins {pinned}",
        fingerprint(shown)
    )]
    NotPinned {
        pinned: String,
        shown: Box<PublicKey>,
    },
    #[error(
        "the host key is revoked in {}:{}: {}",
        place.file.display(), place.line, fingerprint(shown)
    )]
    Revoked { place: Place, shown: Box<PublicKey> },
    #[error(
        "{}:{} trusts this host by a certificate authority only, which Longshore does not follow",
        place.file.display(), place.line
    )]
    AuthorityOnly { place: Place, shown: Box<PublicKey> },
    #[error("the host has no key of a trusted type: trusted {trusted}, and it offers {offered}")]
    NoTrustedType { trusted: String, offered: String },
    #[error("only keys of types that Longshore cannot check are trusted for this host: {trusted}")]
    UnsupportedType { trusted: String },
    #[error("the host shows a certificate that was not asked for")]
    Certificate,
    #[error(transparent)]
    KnownHosts(#[from] KnownHostsError),
}

impl HostKeyJudge {
    pub(super) fn new(trust: &HostTrust) -> Result<Self, HostKeyError> {
        match trust {
            HostTrust::Pinned(keys) => {
                let types: Vec<String> =
                    keys.iter().map(|key| key.algorithm().to_string()).collect();
                Ok(HostKeyJudge {
                    algorithms: supported(types.iter().map(String::as_str))?,
                    rule: Rule::Pinned(keys.clone()),
                })
            }
            HostTrust::KnownHosts { host, port, files } => {
                let known = KnownHosts::read(files)?;
                let types = known.key_types(host, *port);
                // Of a stranger every type is asked for, to be able to say which key it shows.
                let algorithms = if types.is_empty() {
                    SUPPORTED.to_vec()
                } else {
                    supported(types)?
                };
                Ok(HostKeyJudge {
                    algorithms,
                    rule: Rule::KnownHosts {
                        host: host.clone(),
                        port: *port,
                        known,
                    },
                })
            }
        }
    }

    /// What to ask the host for: only types of keys that are trusted, so that a host cannot be made
    /// to look like a stranger by showing another of its keys.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        self.algorithms.clone()
    }

    pub(super) fn judge(&self, shown: &PublicKey) -> Result<(), HostKeyError> {
        let key = Box::new(shown.clone());
        match &self.rule {
            Rule::Pinned(pinned) => {
                if pinned.iter().any(|pin| pin.key_data() == shown.key_data()) {
                    return Ok(());
                }
                let pinned: Vec<String> = pinned.iter().map(fingerprint).collect();
                Err(HostKeyError::NotPinned {
                    pinned: pinned.join(" or "),
                    shown: key,
                })
            }
            Rule::KnownHosts { known, host, port } => {
                // A key that cannot be written down again equals no record.
                let blob = shown.to_bytes().unwrap_or_default();
                match known.judge(host, *port, &blob) {
                    Verdict::Known => Ok(()),
                    Verdict::Unknown => Err(HostKeyError::Unknown {
                        lookup: lookup_name(host, *port),
                        shown: key,
                    }),
                    Verdict::Differs(place) => Err(HostKeyError::Changed { place, shown: key }),
                    Verdict::Revoked(place) => Err(HostKeyError::Revoked { place, shown: key }),
                    Verdict::AuthorityOnly(place) => {
                        Err(HostKeyError::AuthorityOnly { place, shown: key })
                    }
                }
            }
        }
    }
}

impl HostKeyError {
    /// What to do, where something can be done.
    pub fn hints(&self) -> Vec<String> {
        match self {
            HostKeyError::Unknown { lookup, shown } => vec![
                "Compare that fingerprint with the host's own, on its console or from its provider: \
                 ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
                    .to_owned(),
                format!("If it is the same, pin it in the inventory: host_key = \"{}\"", key_line(shown)),
                format!("or add this line to ~/.ssh/known_hosts: {lookup} {}", key_line(shown)),
            ],
            HostKeyError::Changed { place, .. } => vec![format!(
                "Somebody may be in between, or the host was set up anew. Find out which; only then \
                 replace line {} of {}.",
                place.line,
                place.file.display()
            )],
            HostKeyError::NotPinned { shown, .. } => vec![format!(
                "Somebody may be in between, or the host was set up anew. Find out which; only then \
                 pin its new key: host_key = \"{}\"",
                key_line(shown)
            )],
            HostKeyError::AuthorityOnly { shown, .. } => vec![format!(
                "Pin the host's own key in the inventory: host_key = \"{}\", once you have compared it.",
                key_line(shown)
            )],
            HostKeyError::UnsupportedType { .. } => vec![
                "Pin the host's Ed25519 or ECDSA key in the inventory (host_key).".to_owned(),
            ],
            HostKeyError::NoTrustedType { .. } => vec![
                "Somebody may be in between, or the host lost its key. Find out which before you \
                 trust another."
                    .to_owned(),
            ],
            HostKeyError::Revoked { .. }
            | HostKeyError::Certificate
            | HostKeyError::KnownHosts(_) => Vec::new(),
        }
    }
}

/// `SHA256:…` with the key's type, as `ssh-keygen -l` prints it.
pub fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// The key as in a `.pub` file, without a comment that the host may have chosen.
pub fn key_line(key: &PublicKey) -> String {
    let mut plain = key.clone();
    plain.set_comment("");
    plain.to_openssh().unwrap_or_default().trim().to_owned()
}

fn supported<'a>(types: impl IntoIterator<Item = &'a str>) -> Result<Vec<Algorithm>, HostKeyError> {
    let types: Vec<&str> = types.into_iter().collect();
    let mut algorithms = Vec::new();
    for key_type in &types {
        let found = SUPPORTED
            .into_iter()
            .find(|algorithm| algorithm.as_str() == *key_type);
        if let Some(algorithm) = found
            && !algorithms.contains(&algorithm)
        {
            algorithms.push(algorithm);
        }
    }
    if algorithms.is_empty() {
        return Err(HostKeyError::UnsupportedType {
            trusted: types.join(", "),
        });
    }
    Ok(algorithms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ one";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X two";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    #[test]
    fn a_pinned_key_is_the_only_one_that_passes() {
        let judge = HostKeyJudge::new(&HostTrust::Pinned(vec![key(A)])).unwrap();
        assert_eq!(judge.algorithms(), [Algorithm::Ed25519]);
        assert!(judge.judge(&key(A)).is_ok());
        let error = judge.judge(&key(B)).unwrap_err();
        assert!(matches!(error, HostKeyError::NotPinned { .. }));
        assert!(
            error.hints()[0].contains("host_key = \"ssh-ed25519 AAAA"),
            "{:?}",
            error.hints()
        );
    }

    #[test]
    fn an_unknown_host_is_told_with_fingerprint_and_lines_to_add() {
        let trust = HostTrust::KnownHosts {
            host: "web".into(),
            port: 2222,
            files: vec![],
        };
        let judge = HostKeyJudge::new(&trust).unwrap();
        assert_eq!(judge.algorithms().len(), 4);
        let error = judge.judge(&key(A)).unwrap_err();
        assert!(error.to_string().contains("ssh-ed25519 SHA256:"), "{error}");
        let hints = error.hints().join("\n");
        assert!(hints.contains("[web]:2222 ssh-ed25519 AAAA"), "{hints}");
        assert!(
            !hints.contains(" one"),
            "a comment is the host's word: {hints}"
        );
    }

    #[test]
    fn types_that_cannot_be_checked_are_told_before_connecting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kh");
        std::fs::write(&file, "web ssh-rsa AAAAB3NzaC1yc2E=\n").unwrap();
        let trust = HostTrust::KnownHosts {
            host: "web".into(),
            port: 22,
            files: vec![file],
        };
        let error = HostKeyJudge::new(&trust).unwrap_err();
        assert!(matches!(error, HostKeyError::UnsupportedType { .. }));
    }
}
