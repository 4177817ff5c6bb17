//! `yarn.lock`: classic, and the later form that looks like YAML.

use super::component::Package;
use super::{Packages, Unreadable};

pub(super) fn lock(text: &str) -> Packages {
    let mut packages = Vec::new();
    let mut block: Option<Block<'_>> = None;
    let mut known = false;
    for line in text.lines() {
        known |= line == "# yarn lockfile v1" || line == "__metadata:";
        if line.starts_with([' ', '\t']) {
            if let Some(block) = &mut block {
                block.take(line);
            }
        } else if !line.starts_with('#') && !line.is_empty() {
            packages.extend(block.take().and_then(Block::package));
            block = name(line).map(Block::new);
        }
    }
    packages.extend(block.and_then(Block::package));
    if known { Ok(packages) } else { Err(Unreadable) }
}

struct Block<'a> {
    name: &'a str,
    version: Option<&'a str>,
    integrity: Option<&'a str>,
    /// A part of the project itself.
    own: bool,
}

impl<'a> Block<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name,
            version: None,
            integrity: None,
            own: false,
        }
    }

    fn take(&mut self, line: &'a str) {
        // What is indented further belongs to its dependencies.
        let Some(line) = line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with(' '))
        else {
            return;
        };
        let Some((key, value)) = line.split_once(' ') else {
            return;
        };
        let value = value.trim().trim_matches('"');
        match key.trim_end_matches(':') {
            "version" => self.version = Some(value),
            "integrity" => self.integrity = Some(value),
            "resolution" => self.own = value.contains("@workspace:"),
            _ => {}
        }
    }

    fn package(self) -> Option<Package> {
        let version = self.version.filter(|_| !self.own)?;
        Some(Package::npm(self.name, Some(version)).with_integrity(self.integrity))
    }
}

/// The name in `"@a/b@^1", "@a/b@^2":` and in `"c@npm:^1":`.
fn name(line: &str) -> Option<&str> {
    let first = line.trim_start_matches('"');
    let at = first.char_indices().skip(1).find(|(_, c)| *c == '@')?.0;
    first.get(..at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purls(text: &str) -> Vec<String> {
        let packages = lock(text).ok().unwrap();
        packages.iter().map(Package::purl).collect()
    }

    #[test]
    fn the_classic_form_is_read() {
        let text = "# yarn lockfile v1\n\n\n\"@a/b@^1.0.0\", \"@a/b@^1.1.0\":\n  version \"1.2.3\"\n  resolved \"https://example.com/b.tgz#00\"\n  integrity sha1-AAEC\n  dependencies:\n    version \"^9\"\n\nc@2:\n  version \"2.0.0\"\n";
        assert_eq!(purls(text), ["pkg:npm/%40a/b@1.2.3", "pkg:npm/c@2.0.0"]);
        let packages = lock(text).ok().unwrap();
        assert!(packages.iter().any(|one| one.hash.is_some()));
    }

    #[test]
    fn the_later_form_is_read() {
        let text = "__metadata:\n  version: 8\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n\n\"c@npm:^2\":\n  version: 2.0.0\n  resolution: \"c@npm:2.0.0\"\n  checksum: 10c0/aa\n";
        assert_eq!(purls(text), ["pkg:npm/c@2.0.0"]);
        assert!(lock("{}").is_err());
    }
}
