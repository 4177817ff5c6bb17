//! Reads `known_hosts` strictly: a file that cannot be read, a record for the host without an equal
//! key, or a revoked key refuse. Nothing is ever learned or written here.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use thiserror::Error;

use crate::inventory::glob;

/// The records of all known hosts files, in order.
#[derive(Debug, Default)]
pub(super) struct KnownHosts {
    records: Vec<Record>,
}

/// Where a record was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
}

/// What the records say about a key that a host has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Known,
    /// No record names this host.
    Unknown,
    /// Records name this host, and none holds this key.
    Differs(Place),
    Revoked(Place),
    /// Only a certificate authority is trusted for this host.
    AuthorityOnly(Place),
}

#[derive(Debug, Error)]
pub enum KnownHostsError {
    #[error("cannot read {}, so no host can be told from an impostor", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

#[derive(Debug)]
struct Record {
    place: Place,
    marker: Marker,
    names: Names,
    key_type: String,
    /// `None` when the record's key cannot be read: it then equals no key.
    key: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    Key,
    Authority,
    Revoked,
    /// A marker from the future: such a record vouches for nothing.
    Unknown,
}

#[derive(Debug)]
enum Names {
    Patterns(Vec<String>),
    Hashed { salt: Vec<u8>, digest: Vec<u8> },
}

impl KnownHosts {
    /// Reads all files; one that does not exist holds nothing, one that cannot be read refuses.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, KnownHostsError> {
        let mut known = KnownHosts::default();
        for path in files {
            match std::fs::read(path) {
                Ok(bytes) => known.add(path, &String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    let path = path.clone();
                    return Err(KnownHostsError::Read { path, source });
                }
            }
        }
        Ok(known)
    }

    fn add(&mut self, path: &Path, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let place = Place {
                file: path.to_owned(),
                line: index + 1,
            };
            self.records.extend(Record::parse(line, place));
        }
    }

    /// The key types that records hold for this host, in the order of the files.
    pub(super) fn key_types(&self, host: &str, port: u16) -> Vec<&str> {
        let name = lookup_name(host, port);
        let mut types = Vec::new();
        for record in &self.records {
            let key_type = record.key_type.as_str();
            if record.marker == Marker::Key
                && record.names.matches(&name)
                && !types.contains(&key_type)
            {
                types.push(key_type);
            }
        }
        types
    }

    /// Judges the key, in its wire form, that the host has shown.
    pub(super) fn judge(&self, host: &str, port: u16, key: &[u8]) -> Verdict {
        let name = lookup_name(host, port);
        let mut equal = false;
        let mut other = None;
        let mut authority = None;
        for record in self
            .records
            .iter()
            .filter(|record| record.names.matches(&name))
        {
            let same = record.key.as_deref() == Some(key);
            match record.marker {
                Marker::Revoked if same => return Verdict::Revoked(record.place.clone()),
                Marker::Key if same => equal = true,
                Marker::Key => drop(other.get_or_insert(&record.place)),
                Marker::Authority => drop(authority.get_or_insert(&record.place)),
                Marker::Revoked | Marker::Unknown => {}
            }
        }
        match (equal, other, authority) {
            (true, _, _) => Verdict::Known,
            (false, Some(place), _) => Verdict::Differs(place.clone()),
            (false, None, Some(place)) => Verdict::AuthorityOnly(place.clone()),
            (false, None, None) => Verdict::Unknown,
        }
    }
}

/// The name under which a host is kept: with its port unless that is the usual one.
pub(super) fn lookup_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

impl Record {
    fn parse(line: &str, place: Place) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let mut words = line.split_whitespace();
        let mut first = words.next()?;
        let mut marker = Marker::Key;
        if first.starts_with('@') {
            marker = match first {
                "@cert-authority" => Marker::Authority,
                "@revoked" => Marker::Revoked,
                _ => Marker::Unknown,
            };
            first = words.next()?;
        }
        let names = Names::parse(first)?;
        let key_type = words.next().unwrap_or_default().to_owned();
        let key = words.next().and_then(|text| STANDARD.decode(text).ok());
        Some(Record {
            place,
            marker,
            names,
            key_type,
            key,
        })
    }
}

impl Names {
    fn parse(text: &str) -> Option<Self> {
        let Some(hashed) = text.strip_prefix("|1|") else {
            let patterns = text.split(',').map(str::to_ascii_lowercase).collect();
            return Some(Names::Patterns(patterns));
        };
        let (salt, digest) = hashed.split_once('|')?;
        Some(Names::Hashed {
            salt: STANDARD.decode(salt).ok()?,
            digest: STANDARD.decode(digest).ok()?,
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Names::Hashed { salt, digest } => Hmac::<Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name).verify_slice(digest).is_ok()),
            Names::Patterns(patterns) => {
                let mut matched = false;
                for pattern in patterns {
                    match pattern.strip_prefix('!') {
                        Some(negated) if glob(negated, name) => return false,
                        Some(_) => {}
                        None => matched |= glob(pattern, name),
                    }
                }
                matched
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn judge(text: &str, host: &str, port: u16) -> Verdict {
        let mut known = KnownHosts::default();
        known.add(Path::new("kh"), text);
        known.judge(host, port, &STANDARD.decode(A).unwrap())
    }

    fn differs(text: &str, host: &str, port: u16) -> bool {
        matches!(judge(text, host, port), Verdict::Differs(_))
    }

    #[test]
    fn an_equal_key_is_known_whatever_stands_beside_it() {
        let line = format!("web,10.0.0.1 ssh-ed25519 {A} note\n");
        assert_eq!(judge(&line, "web", 22), Verdict::Known);
        assert_eq!(judge(&line, "WEB", 22), Verdict::Known);
        assert_eq!(judge(&line, "10.0.0.1", 22), Verdict::Known);
        let beside = format!("web ssh-rsa AAAAB3NzaC1yc2E=\n{line}");
        assert_eq!(judge(&beside, "web", 22), Verdict::Known);
    }

    #[test]
    fn a_host_without_records_is_unknown() {
        assert_eq!(judge("", "web", 22), Verdict::Unknown);
        assert_eq!(
            judge(&format!("# web\n\nother ssh-ed25519 {A}"), "web", 22),
            Verdict::Unknown
        );
    }

    #[test]
    fn a_changed_key_another_algorithm_or_a_broken_record_refuse() {
        assert!(differs(&format!("web ssh-ed25519 {B}"), "web", 22));
        assert!(differs("web ssh-rsa AAAAB3NzaC1yc2E=", "web", 22));
        assert!(differs("web ssh-ed25519 !!!not-base64", "web", 22));
        assert!(differs("web", "web", 22));
    }

    #[test]
    fn a_revoked_key_refuses_even_beside_an_equal_one() {
        let text = format!("web ssh-ed25519 {A}\n@revoked * ssh-ed25519 {A}");
        assert!(matches!(judge(&text, "web", 22), Verdict::Revoked(place) if place.line == 2));
    }

    #[test]
    fn an_authority_does_not_make_a_plain_key_known() {
        let text = format!("@cert-authority * ssh-ed25519 {A}");
        assert!(matches!(judge(&text, "web", 22), Verdict::AuthorityOnly(_)));
        assert_eq!(
            judge(&format!("@later web ssh-ed25519 {A}"), "web", 22),
            Verdict::Unknown
        );
    }

    #[test]
    fn another_port_is_another_host() {
        let plain = format!("web ssh-ed25519 {A}");
        assert_eq!(judge(&plain, "web", 2222), Verdict::Unknown);
        let with_port = format!("[web]:2222 ssh-ed25519 {A}");
        assert_eq!(judge(&with_port, "web", 2222), Verdict::Known);
        assert_eq!(judge(&with_port, "web", 22), Verdict::Unknown);
        assert_eq!(
            judge(
                &format!("[2001:db8::7]:2222 ssh-ed25519 {A}"),
                "2001:db8::7",
                2222
            ),
            Verdict::Known
        );
    }

    #[test]
    fn wildcards_and_negation_are_understood() {
        let text = format!("*.example.com,!db.example.com ssh-ed25519 {A}");
        assert_eq!(judge(&text, "web.example.com", 22), Verdict::Known);
        assert_eq!(judge(&text, "db.example.com", 22), Verdict::Unknown);
        assert!(differs(&format!("web* ssh-ed25519 {B}"), "web-1", 22));
    }

    #[test]
    fn hashed_names_are_understood() {
        let hashed = |name: &str, key: &str| {
            let salt = b"01234567890123456789";
            let mac = Hmac::<Sha1>::new_from_slice(salt)
                .unwrap()
                .chain_update(name);
            let digest = STANDARD.encode(mac.finalize().into_bytes());
            format!("|1|{}|{digest} ssh-ed25519 {key}", STANDARD.encode(salt))
        };
        assert_eq!(judge(&hashed("web", A), "web", 22), Verdict::Known);
        assert_eq!(judge(&hashed("[web]:2222", A), "web", 2222), Verdict::Known);
        assert_eq!(judge(&hashed("web", A), "other", 22), Verdict::Unknown);
        assert!(differs(&hashed("web", B), "web", 22));
    }

    #[test]
    fn a_line_that_openssh_hashed_is_understood() {
        // Made by `ssh-keygen -H` from "web.example.com".
        let line = include_str!("testdata/hashed_known_hosts");
        assert_eq!(judge(line, "web.example.com", 22), Verdict::Known);
        assert_eq!(judge(line, "web2.example.com", 22), Verdict::Unknown);
    }

    #[test]
    fn an_unreadable_file_refuses_and_a_missing_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none");
        assert!(KnownHosts::read(&[missing]).is_ok());
        // A folder in the file's place cannot be read by anyone, root included.
        assert!(KnownHosts::read(&[folder.path().to_owned()]).is_err());
    }

    #[test]
    fn only_the_types_that_are_known_are_offered() {
        let mut known = KnownHosts::default();
        let text = format!(
            "web ecdsa-sha2-nistp256 AAAA\nweb ssh-ed25519 {A}\n@revoked web ssh-rsa AAAA\n"
        );
        known.add(Path::new("kh"), &text);
        assert_eq!(
            known.key_types("web", 22),
            ["ecdsa-sha2-nistp256", "ssh-ed25519"]
        );
        assert!(known.key_types("other", 22).is_empty());
    }
}
