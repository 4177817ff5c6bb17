//! What pins Python packages: requirements, the locks of Poetry, uv and Pipenv, and wheels.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::component::Package;
use super::{Packages, Unreadable};
use crate::build::wheels::WheelName;

/// The package that a wheel's name tells.
pub(super) fn wheel(name: &str) -> Option<Package> {
    let wheel = WheelName::parse(name)?;
    Some(Package::pypi(wheel.package, Some(wheel.version)))
}

/// `requirements.txt`: what is pinned with `==` has a version.
pub(super) fn requirements(text: &str) -> Packages {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    Ok(joined.lines().filter_map(requirement).collect())
}

fn requirement(line: &str) -> Option<Package> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    // Options, other files, and files or addresses without a name are not packages that we know.
    if line.is_empty() || line.starts_with(['#', '-', '.', '/']) {
        return None;
    }
    let spec = line.split(';').next().unwrap_or_default();
    let spec = spec.split(" --").next().unwrap_or_default().trim();
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = spec.find(|c| !in_name(c)).unwrap_or(spec.len());
    let (name, rest) = spec.split_at_checked(end)?;
    let rest = rest.trim_start();
    if name.is_empty() || rest.starts_with([':', '/']) {
        return None;
    }
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']')?.1.trim_start(),
        None => rest,
    };
    let exact = rest.strip_prefix("===").or_else(|| rest.strip_prefix("=="));
    let version = exact
        .map(str::trim)
        .filter(|version| !version.is_empty() && !version.contains(['*', ',', ' ']));
    Some(Package::pypi(name, version))
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: Option<String>,
    #[serde(default)]
    source: BTreeMap<String, toml::Value>,
}

/// `poetry.lock` and `uv.lock`. uv lists the project itself, too.
pub(super) fn poetry_or_uv(text: &str) -> Packages {
    let lock: Lock = toml::from_str(text).map_err(|_| Unreadable)?;
    let own = |one: &Locked| {
        ["virtual", "editable"]
            .iter()
            .any(|kind| one.source.contains_key(*kind))
    };
    Ok(lock
        .package
        .iter()
        .filter(|one| !own(one))
        .map(|one| Package::pypi(&one.name, one.version.as_deref()))
        .collect())
}

#[derive(Deserialize)]
struct Pipfile {
    #[serde(default)]
    default: BTreeMap<String, Pinned>,
    #[serde(default)]
    develop: BTreeMap<String, Pinned>,
}

#[derive(Deserialize)]
struct Pinned {
    version: Option<String>,
}

/// `Pipfile.lock`.
pub(super) fn pipfile(text: &str) -> Packages {
    let lock: Pipfile = serde_json::from_str(text).map_err(|_| Unreadable)?;
    let all = lock.default.iter().chain(&lock.develop);
    Ok(all
        .map(|(name, pinned)| {
            let version = pinned.version.as_deref();
            Package::pypi(name, version.and_then(|version| version.strip_prefix("==")))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purls(packages: Packages) -> Vec<String> {
        packages.unwrap().iter().map(Package::purl).collect()
    }

    #[test]
    fn requirements_are_read_as_pip_reads_them() {
        let text = "\
# comment
-r other.txt
--index-url https://example.com
Django==5.0.1  # the framework
psycopg[binary] == 3.1.18 ; python_version > '3.8'
idna==3.7 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
gunicorn>=20
celery==5.*
flask @ https://example.com/flask.zip
https://example.com/x.zip
./local
";
        assert_eq!(
            purls(requirements(text)),
            [
                "pkg:pypi/django@5.0.1",
                "pkg:pypi/psycopg@3.1.18",
                "pkg:pypi/idna@3.7",
                "pkg:pypi/gunicorn",
                "pkg:pypi/celery",
                "pkg:pypi/flask",
            ]
        );
    }

    #[test]
    fn locks_of_poetry_uv_and_pipenv_are_read() {
        let text = "version = 1\n[[package]]\nname = \"app\"\nversion = \"0.1\"\nsource = { virtual = \".\" }\n[[package]]\nname = \"Idna\"\nversion = \"3.7\"\nsource = { registry = \"https://example.com\" }\n";
        assert_eq!(purls(poetry_or_uv(text)), ["pkg:pypi/idna@3.7"]);
        assert!(poetry_or_uv("[[").is_err());
        let text = r#"{"_meta":{},"default":{"idna":{"version":"==3.7","hashes":[]},"x":{"git":"y"}},"develop":{"tox":{"version":"==4.0"}}}"#;
        assert_eq!(
            purls(pipfile(text)),
            ["pkg:pypi/idna@3.7", "pkg:pypi/x", "pkg:pypi/tox@4.0"]
        );
    }

    #[test]
    fn wheels_tell_their_package() {
        let package = wheel("zope.interface-6.0-cp311-cp311-manylinux_2_17_x86_64.whl").unwrap();
        assert_eq!(package.purl(), "pkg:pypi/zope-interface@6.0");
        assert!(wheel("a-1-2-py3-none-any.whl").is_some());
        assert!(wheel("a.whl").is_none() && wheel("a-1-py3-none-any.zip").is_none());
    }
}
