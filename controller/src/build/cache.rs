//! `[build] cache`: what steps find again as an earlier build with the same key left it.
//!
//! An entry is copied in and out, so that no step can change it, and gets its name when it is whole.
//! What it holds is written down with it and checked before it is used.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use longshore_shared::app_file::Cache;
use longshore_shared::digest::{Digesting, Sha256Digest};
use thiserror::Error;

use super::BuildEvent;
use super::cache_copy::copy;
use super::found::{Found, walk};

/// How many entries are kept for an app; the ones that were not used for longest go.
const MOST_KEPT: usize = 10;
/// Nobody copies for longer than that.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
const CONTENT: &str = "content";
const LISTING: &str = "listing";
const UNFINISHED: &str = ".unfinished-";

/// Why a cache cannot be what the app file says.
#[derive(Debug, Error)]
pub enum CacheError {
    #[error("[build] `cache` of {path:?} has {key:?} in its `key`, which is not in the commit")]
    Key { path: String, key: String },
    #[error("[build] `cache` names {path:?}, which the commit holds itself")]
    Committed { path: String },
    #[error("cannot read the commit's files for the key of a cache")]
    Read(#[source] io::Error),
}

/// The caches of one build.
#[derive(Debug)]
pub(super) struct Caches<'a> {
    folder: &'a Path,
    /// Of this app.
    store: Option<&'a Path>,
    list: Vec<Kept<'a>>,
}

#[derive(Debug)]
struct Kept<'a> {
    path: &'a str,
    key: Sha256Digest,
    /// Whether it is in the store already.
    there: bool,
}

/// Where this user's builds keep what they find again.
pub(super) fn of_user() -> Option<PathBuf> {
    let folder = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(caches.join("longshore/build"))
}

impl<'a> Caches<'a> {
    /// Brings into `folder` what earlier builds have left. Without a store nothing is kept, and the
    /// app file is checked all the same.
    pub(super) fn restore(
        caches: &'a [Cache],
        commit: &[Found],
        folder: &'a Path,
        store: Option<&'a Path>,
        on_event: &mut dyn FnMut(BuildEvent),
    ) -> Result<Self, CacheError> {
        let mut list = Vec::new();
        for cache in caches {
            let path = cache.path.as_str();
            if commit.iter().any(|found| is_in(&found.path, path)) {
                let path = path.to_owned();
                return Err(CacheError::Committed { path });
            }
            let key = key(cache, commit)?;
            let there = store.is_some_and(|store| {
                let entry = store.join(key.to_string());
                let to = folder.join(path);
                let taken = take(&entry, &to);
                if taken.is_err() {
                    // Whatever is wrong with it, the steps can make it again.
                    remove(&to);
                    remove(&entry);
                }
                matches!(taken, Ok(true))
            });
            if store.is_some() {
                on_event(BuildEvent::Cache {
                    path: path.to_owned(),
                    what: if there { FOUND } else { NOT_FOUND }.to_owned(),
                });
            }
            list.push(Kept { path, key, there });
        }
        Ok(Self {
            folder,
            store,
            list,
        })
    }

    /// Keeps what the steps have left. That it cannot is no reason to have no release.
    pub(super) fn keep(self, on_event: &mut dyn FnMut(BuildEvent)) {
        let Some(store) = self.store else {
            return;
        };
        for kept in self.list.iter().filter(|kept| !kept.there) {
            if let Err(error) = put(store, kept, self.folder) {
                on_event(BuildEvent::Cache {
                    path: kept.path.to_owned(),
                    what: format!("not kept: {error}"),
                });
            }
        }
        if !self.list.is_empty() {
            prune(store);
        }
    }
}

const FOUND: &str = "as an earlier build left it";
const NOT_FOUND: &str = "nothing of an earlier build";

/// Other systems have other binaries, and may share the folder.
fn key(cache: &Cache, commit: &[Found]) -> Result<Sha256Digest, CacheError> {
    let path = cache.path.as_str();
    let system = (std::env::consts::OS, std::env::consts::ARCH);
    let mut text = format!("1 {} {}\n{path}\n", system.0, system.1);
    for key in &cache.key {
        let key = key.as_str();
        let mut named = commit
            .iter()
            .filter(|found| is_in(&found.path, key))
            .peekable();
        if named.peek().is_none() {
            return Err(CacheError::Key {
                path: path.to_owned(),
                key: key.to_owned(),
            });
        }
        text.push_str(&listing(named).map_err(CacheError::Read)?);
    }
    Ok(Sha256Digest::of(text.as_bytes()))
}

fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn listing<'a>(all: impl Iterator<Item = &'a Found>) -> io::Result<String> {
    let mut text = String::new();
    for found in all {
        let (_, reader) = found.content.open()?;
        let mut content = Digesting::new(reader);
        io::copy(&mut content, &mut io::sink())?;
        let (size, digest, _) = content.finish();
        text.push_str(&format!(
            "{:?} {size} {digest} {}\n",
            found.kind, found.path
        ));
    }
    Ok(text)
}

fn listing_of(folder: &Path) -> io::Result<String> {
    let found = walk(folder).map_err(io::Error::other)?;
    listing(found.iter())
}

/// Copies an entry out of the store, if it is there as it was put in.
fn take(entry: &Path, to: &Path) -> io::Result<bool> {
    let marker = entry.join(LISTING);
    let written = match fs::read_to_string(&marker) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let content = entry.join(CONTENT);
    if listing_of(&content)? != written {
        return Err(io::Error::other("it is not what was kept"));
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let name = to.file_name().unwrap_or_default();
    copy(&content.join(name), to)?;
    let used = fs::File::options().append(true).open(&marker)?;
    used.file().set_modified(SystemTime::now())?;
    Ok(true)
}

fn put(store: &Path, kept: &Kept<'_>, folder: &Path) -> io::Result<()> {
    let from = folder.join(kept.path);
    if fs::symlink_metadata(&from).is_err() {
        return Err(io::Error::other("no step has made it"));
    }
    fs::create_dir_all(store)?;
    let draft = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(store)?;
    let content = draft.path().join(CONTENT);
    fs::create_dir(&content)?;
    copy(&from, &content.join(from.file_name().unwrap_or_default()))?;
    fs::write(draft.path().join(LISTING), listing_of(&content)?)?;
    let entry = store.join(kept.key.to_string());
    match fs::rename(draft.path(), &entry) {
        // Another build was quicker.
        Err(_) if entry.join(LISTING).exists() => Ok(()),
        other => other,
    }
}

/// Removes the entries that were not used for longest, and what a killed build left half done.
fn prune(store: &Path) {
    let Ok(items) = fs::read_dir(store) else {
        return;
    };
    let mut entries = Vec::new();
    for path in items.flatten().map(|item| item.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let modified = |path: &Path| {
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
            modified.unwrap_or(SystemTime::UNIX_EPOCH)
        };
        if name.starts_with(UNFINISHED) {
            let age = modified(&path).elapsed().unwrap_or_default();
            if age > ABANDONED {
                remove(&path);
            }
        } else if Sha256Digest::parse(&name).is_ok() {
            entries.push((modified(&path.join(LISTING)), path));
        }
    }
    entries.sort();
    let too_many = entries.len().saturating_sub(MOST_KEPT);
    for (_, path) in entries.into_iter().take(too_many) {
        remove(&path);
    }
}

/// What cannot be removed is in the way of nothing.
fn remove(path: &Path) {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return,
    };
    if let Err(error) = removed {
        tracing::debug!(%error, "cannot remove an entry of a build's cache");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(store: &Path, name: &str, age: u64) -> PathBuf {
        let path = store.join(Sha256Digest::of(name.as_bytes()).to_string());
        fs::create_dir_all(&path).unwrap();
        let file = fs::File::create(path.join(LISTING)).unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        file.file().set_modified(time).unwrap();
        path
    }

    #[test]
    fn the_store_is_bounded_and_what_was_not_used_for_longest_goes() {
        let store = tempfile::tempdir().unwrap();
        let entries: Vec<PathBuf> = (0..12)
            .map(|age| entry(store.path(), &age.to_string(), age * 60))
            .collect();
        let fresh = store.path().join(".unfinished-a");
        fs::create_dir(&fresh).unwrap();
        prune(store.path());
        assert!(entries.iter().take(10).all(|path| path.exists()));
        assert!(!entries.iter().skip(10).any(|path| path.exists()));
        assert!(fresh.exists());
    }
}
