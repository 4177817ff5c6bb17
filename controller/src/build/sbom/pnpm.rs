//! `pnpm-lock.yaml`: its `packages`, by the lines that pnpm writes.

use super::component::Package;
use super::{Packages, Unreadable};

pub(super) fn lock(text: &str) -> Packages {
    if !text
        .lines()
        .any(|line| line.starts_with("lockfileVersion:"))
    {
        return Err(Unreadable);
    }
    let mut packages: Vec<Package> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if !line.starts_with(' ') && !line.is_empty() {
            inside = line == "packages:";
        } else if let Some(key) = line.strip_prefix("  ").filter(|_| inside) {
            if !key.starts_with(' ') {
                packages.extend(package(key));
            } else if let Some((_, rest)) = key.split_once("integrity: ")
                && key.starts_with("  resolution:")
                && let Some(last) = packages.pop()
            {
                let integrity = rest.split(['}', ',']).next();
                packages.push(last.with_integrity(integrity.map(str::trim)));
            }
        }
    }
    Ok(packages)
}

/// `/@a/b@1.0.0(react@18.0.0):`, with a slash before the version in old files.
fn package(key: &str) -> Option<Package> {
    let key = key.trim().strip_suffix(':')?.trim_matches('\'');
    let key = key.strip_prefix('/').unwrap_or(key);
    let key = key.split('(').next().unwrap_or_default();
    let after_scope = if key.starts_with('@') {
        key.find('/')? + 1
    } else {
        0
    };
    let end = after_scope + key.get(after_scope..)?.find(['@', '/'])?;
    let (name, version) = (key.get(..end)?, key.get(end + 1..)?);
    // Old files tell after an underscore what else was chosen.
    let version = version.split('_').next()?;
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| Package::npm(name, Some(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ages_of_the_file_are_read() {
        for (version, key, purl) in [
            ("5.4", "/lodash/4.17.21:", "pkg:npm/lodash@4.17.21"),
            ("5.4", "/@a/b/1.0.0_react@18.0.0:", "pkg:npm/%40a/b@1.0.0"),
            (
                "'6.0'",
                "/@a/b@1.0.0(react@18.0.0):",
                "pkg:npm/%40a/b@1.0.0",
            ),
            ("'9.0'", "'@a/b@1.0.0':", "pkg:npm/%40a/b@1.0.0"),
            ("'9.0'", "lodash@4.17.21:", "pkg:npm/lodash@4.17.21"),
        ] {
            let text = format!(
                "lockfileVersion: {version}\n\nimporters:\n\n  .:\n    dependencies: {{}}\n\npackages:\n\n  {key}\n    resolution: {{integrity: sha1-AAEC}}\n    engines: {{node: '>=6'}}\n\nsnapshots:\n\n  x@1.0.0: {{}}\n"
            );
            let packages = lock(&text).ok().unwrap();
            let purls: Vec<String> = packages.iter().map(Package::purl).collect();
            assert_eq!(purls, [purl], "{text}");
            assert!(packages.iter().all(|one| one.hash.is_some()), "{text}");
        }
        assert!(lock("a: b").is_err());
    }
}
