//! Packages as lock files name them, and each of them once.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_shared::digest::Sha256Digest;

use crate::build::wheels::normal_name;

/// What the bill is of.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) app: &'a str,
    pub(crate) version: &'a str,
}

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ecosystem {
    Npm,
    Pypi,
}

/// A package as one file names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) ecosystem: Ecosystem,
    pub(super) name: String,
    /// Absent where a file does not pin it.
    pub(super) version: Option<String>,
    /// Of what is downloaded: CycloneDX's name of the algorithm, and hexadecimal digits.
    pub(super) hash: Option<(&'static str, String)>,
}

impl Package {
    /// Names are compared as PyPI compares them.
    pub(super) fn pypi(name: &str, version: Option<&str>) -> Self {
        Self {
            ecosystem: Ecosystem::Pypi,
            name: normal_name(name),
            version: version.map(str::to_owned),
            hash: None,
        }
    }

    pub(super) fn npm(name: &str, version: Option<&str>) -> Self {
        Self {
            ecosystem: Ecosystem::Npm,
            name: name.to_owned(),
            version: version.map(str::to_owned),
            hash: None,
        }
    }

    pub(super) fn with_sha256(mut self, digest: Sha256Digest) -> Self {
        self.hash = Some(("SHA-256", digest.to_string()));
        self
    }

    /// As npm writes it: `sha512-` and base64. The first one that CycloneDX knows is taken.
    pub(super) fn with_integrity(mut self, integrity: Option<&str>) -> Self {
        self.hash = integrity.and_then(|text| {
            text.split_whitespace().find_map(|one| {
                let (kind, digits) = one.split_once('-')?;
                let kind = match kind {
                    "sha512" => "SHA-512",
                    "sha384" => "SHA-384",
                    "sha256" => "SHA-256",
                    "sha1" => "SHA-1",
                    _ => return None,
                };
                let bytes = STANDARD.decode(digits).ok()?;
                let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                Some((kind, hex))
            })
        });
        self
    }

    /// The package's address in every ecosystem, <https://github.com/package-url/purl-spec>.
    pub(super) fn purl(&self) -> String {
        let kind = match self.ecosystem {
            Ecosystem::Npm => "npm",
            Ecosystem::Pypi => "pypi",
        };
        let name: Vec<String> = self.name.split('/').map(quoted).collect();
        let mut purl = format!("pkg:{kind}/{}", name.join("/"));
        if let Some(version) = &self.version {
            purl.push('@');
            purl.push_str(&quoted(version));
        }
        purl
    }
}

fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// What is known of one package.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) hashes: BTreeSet<(&'static str, String)>,
    /// The files that name it.
    pub(super) places: BTreeSet<String>,
}

/// All packages, in one order.
#[derive(Debug, Default)]
pub(super) struct Components {
    pub(super) all: BTreeMap<String, (Package, Facts)>,
    /// Files that are called like lock files and are none.
    pub(super) unread: Vec<String>,
}

impl Components {
    pub(super) fn add(&mut self, place: &str, mut package: Package) {
        let hash = package.hash.take();
        let (_, facts) = self
            .all
            .entry(package.purl())
            .or_insert_with(|| (package, Facts::default()));
        facts.hashes.extend(hash);
        facts.places.insert(place.to_owned());
    }

    pub(super) fn add_all(&mut self, place: &str, packages: Vec<Package>) {
        for package in packages {
            self.add(place, package);
        }
    }

    pub(super) fn unread(&mut self, place: &str) {
        self.unread.push(place.to_owned());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.unread.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_specification() {
        for (package, purl) in [
            (
                Package::pypi("Zope.Interface", Some("6.0")),
                "pkg:pypi/zope-interface@6.0",
            ),
            (
                Package::pypi("torch", Some("2.1+cpu")),
                "pkg:pypi/torch@2.1%2Bcpu",
            ),
            (
                Package::npm("@babel/core", Some("7.0.0")),
                "pkg:npm/%40babel/core@7.0.0",
            ),
            (Package::npm("left-pad", None), "pkg:npm/left-pad"),
        ] {
            assert_eq!(package.purl(), purl);
        }
    }

    #[test]
    fn integrity_becomes_hexadecimal() {
        let package = Package::npm("a", None).with_integrity(Some("md5-AA== sha1-AAEC"));
        assert_eq!(package.hash, Some(("SHA-1", "000102".to_owned())));
        assert_eq!(
            Package::npm("a", None).with_integrity(Some("sha1-%")).hash,
            None
        );
    }
}
