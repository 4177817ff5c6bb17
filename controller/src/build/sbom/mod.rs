//! The software bill of materials: what the lock files in a release name, as CycloneDX JSON.
//!
//! It is made of the release's files alone, and holds no time and no number of its own, so that the
//! same release has the same bill.

mod component;
mod cyclonedx;
mod npm;
mod pnpm;
mod python;
mod yarn;

use std::io;

use longshore_shared::tree::{Entry, Kind};

use super::found::Found;
pub(super) use component::Subject;
use component::{Components, Package};

/// No lock file is larger.
const LARGEST: u64 = 64 * 1024 * 1024;
/// What lies in these was installed: the lock files of its own are about other things.
const INSTALLED: [&str; 4] = ["node_modules", "site-packages", ".venv", "venv"];

/// What a reader of lock files gives.
type Packages = Result<Vec<Package>, Unreadable>;

/// A file that is called like a lock file and is none.
#[derive(Debug)]
struct Unreadable;

/// The bill of a release, if any lock file or wheel is in it. `entries` are those of `found`.
pub(super) fn bill(
    subject: &Subject<'_>,
    found: &[Found],
    entries: &[Entry],
) -> io::Result<Option<Vec<u8>>> {
    let mut components = Components::default();
    for (found, entry) in found.iter().zip(entries) {
        let path = found.path.as_str();
        let plain = matches!(found.kind, Kind::File | Kind::Executable);
        if !plain || path.split('/').any(|part| INSTALLED.contains(&part)) {
            continue;
        }
        if let Some(package) = python::wheel(name_of(path)) {
            components.add(path, package.with_sha256(entry.digest));
        } else if let Some(read) = reader(path) {
            // A test's broken lock file is no reason to have no release; the bill tells of it.
            let packages = match found.content.text(LARGEST) {
                Ok(text) => read(&text),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Unreadable),
                Err(error) => return Err(error),
            };
            match packages {
                Ok(packages) => components.add_all(path, packages),
                Err(Unreadable) => components.unread(path),
            }
        }
    }
    if components.is_empty() {
        return Ok(None);
    }
    let mut bytes = serde_json::to_vec_pretty(&cyclonedx::document(subject, &components))?;
    bytes.push(b'\n');
    Ok(Some(bytes))
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn reader(path: &str) -> Option<fn(&str) -> Packages> {
    let name = name_of(path);
    let folder = path.strip_suffix(name)?.trim_end_matches('/');
    Some(match name {
        "poetry.lock" | "uv.lock" => python::poetry_or_uv,
        "Pipfile.lock" => python::pipfile,
        "package-lock.json" | "npm-shrinkwrap.json" => npm::package_lock,
        "yarn.lock" => yarn::lock,
        "pnpm-lock.yaml" => pnpm::lock,
        _ if name.ends_with(".txt")
            && (name.starts_with("requirements") || name_of(folder) == "requirements") =>
        {
            python::requirements
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::found::Content;
    use longshore_shared::digest::Sha256Digest;

    fn bill_of(files: &[(&str, &str)]) -> Option<serde_json::Value> {
        let folder = tempfile::tempdir().unwrap();
        let mut found = Vec::new();
        let mut entries = Vec::new();
        for (at, (path, text)) in files.iter().enumerate() {
            let place = folder.path().join(at.to_string());
            std::fs::write(&place, text).unwrap();
            let (path, kind) = ((*path).to_owned(), Kind::File);
            entries.push(Entry {
                kind,
                size: text.len() as u64,
                digest: Sha256Digest::of(text.as_bytes()),
                path: path.clone(),
            });
            let content = Content::File(place);
            found.push(Found {
                path,
                kind,
                content,
            });
        }
        let subject = Subject {
            app: "cortico",
            version: "1.0.0",
        };
        let bytes = bill(&subject, &found, &entries).unwrap()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn without_a_lock_file_there_is_no_bill() {
        assert_eq!(
            bill_of(&[("a.py", "x"), ("notes.txt", "django==1.0")]),
            None
        );
        let inside = "node_modules/a/package-lock.json";
        assert_eq!(bill_of(&[(inside, "{}")]), None);
    }

    #[test]
    fn one_package_named_twice_is_one_component() {
        let bill = bill_of(&[
            ("requirements.txt", "Django==5.0\nadrift>=1\n"),
            ("requirements/dev.txt", "django==5.0\n"),
            ("wheels/django-5.0-py3-none-any.whl", "wheel"),
            ("broken/package-lock.json", "no json"),
        ])
        .unwrap();
        let components = bill["components"].as_array().unwrap();
        assert_eq!(components.len(), 2, "{bill:#}");
        assert_eq!(components[0]["purl"], "pkg:pypi/adrift");
        let django = &components[1];
        assert_eq!(django["purl"], "pkg:pypi/django@5.0");
        assert_eq!(django["bom-ref"], "pkg:pypi/django@5.0");
        let places = django["evidence"]["occurrences"].as_array().unwrap();
        assert_eq!(places.len(), 3);
        let digest = Sha256Digest::of(b"wheel").to_string();
        assert_eq!(django["hashes"][0]["content"], digest.as_str());
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["specVersion"], "1.6");
        assert_eq!(bill["metadata"]["component"]["name"], "cortico");
        let unread = &bill["metadata"]["properties"][0];
        assert_eq!(unread["name"], "longshore:unread");
        assert_eq!(unread["value"], "broken/package-lock.json");
        assert_eq!(bill.get("serialNumber"), None);
        assert_eq!(bill["metadata"].get("timestamp"), None);
    }
}
