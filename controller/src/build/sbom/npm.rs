//! `package-lock.json` of npm, in all three of its versions.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::component::Package;
use super::{Packages, Unreadable};

/// No tree of dependencies is deeper.
const DEEPEST: usize = 100;

#[derive(Deserialize)]
struct Lock {
    /// From version 2 on, by the folder that a package is put into.
    packages: Option<BTreeMap<String, Locked>>,
    /// In version 1, by name, each with its own inside it.
    #[serde(default)]
    dependencies: BTreeMap<String, Locked>,
}

#[derive(Deserialize)]
struct Locked {
    /// Where it is not the folder's.
    name: Option<String>,
    version: Option<String>,
    integrity: Option<String>,
    #[serde(default)]
    link: bool,
    /// In version 2 and 3 these are names with ranges, which are of no interest here.
    #[serde(default)]
    dependencies: BTreeMap<String, serde_json::Value>,
}

pub(super) fn package_lock(text: &str) -> Packages {
    let lock: Lock = serde_json::from_str(text).map_err(|_| Unreadable)?;
    let mut packages = Vec::new();
    if let Some(locked) = lock.packages {
        for (folder, locked) in &locked {
            // The project itself and its own parts are not in node_modules.
            let Some((_, name)) = folder.rsplit_once("node_modules/") else {
                continue;
            };
            if !locked.link {
                let name = locked.name.as_deref().unwrap_or(name);
                packages.push(package(name, locked));
            }
        }
    } else {
        nested(lock.dependencies, DEEPEST, &mut packages)?;
    }
    Ok(packages)
}

fn package(name: &str, locked: &Locked) -> Package {
    Package::npm(name, locked.version.as_deref()).with_integrity(locked.integrity.as_deref())
}

fn nested(
    all: BTreeMap<String, Locked>,
    deeper: usize,
    packages: &mut Vec<Package>,
) -> Result<(), Unreadable> {
    let deeper = deeper.checked_sub(1).ok_or(Unreadable)?;
    for (name, locked) in all {
        packages.push(package(&name, &locked));
        let mut inner = BTreeMap::new();
        for (name, value) in locked.dependencies {
            inner.insert(name, serde_json::from_value(value).map_err(|_| Unreadable)?);
        }
        nested(inner, deeper, packages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purls(text: &str) -> Vec<String> {
        let packages = package_lock(text).ok().unwrap();
        packages.iter().map(Package::purl).collect()
    }

    #[test]
    fn versions_two_and_three_are_read() {
        let text = r#"{"lockfileVersion":3,"packages":{
            "":{"name":"app","version":"1.0.0","dependencies":{"a":"^1"}},
            "node_modules/@b/c":{"version":"2.0.0","integrity":"sha1-AAEC"},
            "node_modules/a":{"version":"1.1.0","dependencies":{"@b/c":"^2"}},
            "node_modules/a/node_modules/d":{"version":"3.0.0"},
            "node_modules/other":{"name":"real","version":"4.0.0"},
            "node_modules/part":{"resolved":"parts/part","link":true},
            "parts/part":{"version":"0.1.0"}}}"#;
        assert_eq!(
            purls(text),
            [
                "pkg:npm/%40b/c@2.0.0",
                "pkg:npm/a@1.1.0",
                "pkg:npm/d@3.0.0",
                "pkg:npm/real@4.0.0",
            ]
        );
    }

    #[test]
    fn version_one_is_read() {
        let text = r#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","requires":{"b":"2"},"dependencies":{"b":{"version":"2.0.0"}}}}}"#;
        assert_eq!(purls(text), ["pkg:npm/a@1.0.0", "pkg:npm/b@2.0.0"]);
    }

    #[test]
    fn what_is_none_is_told() {
        assert!(package_lock("no json").is_err());
        assert!(package_lock(r#"{"dependencies":{"a":{"dependencies":{"b":"^1"}}}}"#).is_err());
        let deep = r#"{"dependencies":{"a":"#.repeat(120) + "{}" + &"}}".repeat(120);
        assert!(package_lock(&deep).is_err());
    }
}
