//! `build --check`: the same commit made twice, and what differs.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use longshore_shared::name::AppName;
use longshore_shared::tree::{Entry, Tree};
use semver::Version;

use super::git::{Commit, Repository};
use super::make::{Checkout, FIRST_FOLDER, Surroundings};
use super::{BuildError, BuildEvent, BuildRequest, cache, check_clean, pack, version};

/// A time that is written down to the second differs after this.
const LATER: Duration = Duration::from_millis(2100);

/// What two builds of one commit came to.
#[derive(Debug)]
pub struct Checked {
    pub app: AppName,
    pub version: Version,
    pub commit: Commit,
    /// Of the first build.
    pub entries: usize,
    pub bytes: u64,
    /// In the order of paths; empty where both builds are the same.
    pub differences: Vec<Difference>,
}

/// A path that is not the same in both builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub path: String,
    pub how: &'static str,
}

/// Builds twice and keeps neither. The second build has another folder, another time and another
/// user's name, and nothing from a cache.
pub fn check(
    request: &BuildRequest<'_>,
    on_event: &mut dyn FnMut(BuildEvent),
) -> Result<Checked, BuildError> {
    let repository = Repository::find(request.folder)?;
    let commit = repository.resolve(request.git_ref.unwrap_or("HEAD"))?;
    let clean = check_clean(&repository, &commit, request)?;
    let (version, _) = version(&repository, &commit, clean, request)?;
    let mut made = |surroundings: &Surroundings<'_>| {
        let checkout = Checkout::new(&repository, &commit, clean, on_event)?;
        let found = checkout.make(&version, surroundings, on_event)?;
        on_event(BuildEvent::Packing);
        let time = commit.time.as_second();
        let packed = pack::pack(&found, time, io::sink()).map_err(BuildError::Pack)?;
        Ok::<_, BuildError>((checkout.app_file, packed.tree))
    };
    let begun = Instant::now();
    let caches = cache::of_user().filter(|_| !request.no_cache);
    let (app_file, one) = made(&Surroundings {
        folder: FIRST_FOLDER,
        user: None,
        caches: caches.as_deref(),
    })?;
    if !app_file.build.run.is_empty() {
        std::thread::sleep(LATER.saturating_sub(begun.elapsed()));
    }
    let (_, other) = made(&Surroundings {
        folder: "elsewhere/second-export",
        user: Some("somebody"),
        caches: None,
    })?;
    Ok(Checked {
        app: app_file.app.name,
        version,
        commit,
        entries: one.entries().len(),
        bytes: one.bytes(),
        differences: differences(&one, &other),
    })
}

fn differences(one: &Tree, other: &Tree) -> Vec<Difference> {
    let by_path = |tree: &'_ Tree| -> BTreeMap<String, Entry> {
        let entries = tree.entries().iter();
        entries
            .map(|entry| (entry.path.clone(), entry.clone()))
            .collect()
    };
    let (one, mut other) = (by_path(one), by_path(other));
    let mut found = BTreeMap::new();
    for (path, entry) in one {
        match other.remove(&path) {
            Some(same) if same == entry => {}
            Some(second) if second.kind != entry.kind => {
                found.insert(path, "is of another kind or mode");
            }
            Some(second) if second.size != entry.size => {
                found.insert(path, "has another size");
            }
            Some(_) => {
                found.insert(path, "has other content");
            }
            None => {
                found.insert(path, "is in the first build only");
            }
        }
    }
    found.extend(
        other
            .into_keys()
            .map(|path| (path, "is in the second build only")),
    );
    found
        .into_iter()
        .map(|(path, how)| Difference { path, how })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_shared::digest::Sha256Digest;
    use longshore_shared::tree::Kind;

    fn tree(entries: &[(&str, Kind, &str)]) -> Tree {
        let entry = |(path, kind, content): &(&str, Kind, &str)| Entry {
            kind: *kind,
            size: content.len() as u64,
            digest: Sha256Digest::of(content.as_bytes()),
            path: (*path).to_owned(),
        };
        Tree::from_entries(entries.iter().map(entry).collect()).unwrap()
    }

    #[test]
    fn what_differs_is_named_in_the_order_of_paths() {
        let one = tree(&[
            ("a", Kind::File, "a"),
            ("b", Kind::File, "b"),
            ("c", Kind::File, "c"),
            ("e", Kind::File, "e"),
            ("same", Kind::File, "same"),
        ]);
        let other = tree(&[
            ("a", Kind::Executable, "a"),
            ("b", Kind::File, "B"),
            ("d", Kind::File, "d"),
            ("e", Kind::File, "ee"),
            ("same", Kind::File, "same"),
        ]);
        let found = differences(&one, &other);
        let found: Vec<(&str, &str)> = found.iter().map(|one| (&*one.path, one.how)).collect();
        assert_eq!(
            found,
            [
                ("a", "is of another kind or mode"),
                ("b", "has other content"),
                ("c", "is in the first build only"),
                ("d", "is in the second build only"),
                ("e", "has another size"),
            ]
        );
        assert!(differences(&one, &one).is_empty());
    }
}
