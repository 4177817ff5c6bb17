//! What is no longer kept. A name goes first, in one step; its files are deleted behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_shared::digest::Sha256Digest;
use longshore_shared::wire::latest::Slot;
use semver::Version;

use super::kept;
use super::live::in_slot;
use crate::journal;
use crate::layout::{AppLayout, ReleaseFiles};
use crate::ledger::{Ledger, LedgerError, ReleaseRow, Verdict};
use crate::links;
use crate::trash;

/// So many releases of a preview are kept.
const MOST_OF_PREVIEW: u32 = 2;

/// More branches that left something behind are nobody's to remember.
const MOST_ALONE: usize = 10;

static TRASH: AtomicU64 = AtomicU64::new(0);

/// Keeps `keep` releases of an app, and always what is or was in a slot and what a rollback would
/// go to, and `fresh`, which was staged just now.
pub(crate) fn prune(
    ledger: &Ledger,
    layout: &AppLayout,
    fresh: Option<&Version>,
    keep: u32,
) -> Result<(), LedgerError> {
    // What still finishes its work does so in a release that is in no slot any more.
    let keep = match super::processes::any_ending(layout) {
        true => u32::MAX,
        // A preview is gone soon, and what it goes back to is a deployment away.
        false if layout.app.preview().is_some() => keep.min(MOST_OF_PREVIEW),
        false => keep,
    };
    let releases = ledger.releases(&layout.app)?;
    let servings = ledger.servings(&layout.app)?;
    let mut held: Vec<Version> = [Slot::Blue, Slot::Green]
        .iter()
        .filter_map(|slot| in_slot(layout, *slot))
        .collect();
    held.extend(fresh.cloned());
    held.extend(super::way_back::rollback_target(
        layout, &releases, &servings,
    ));
    held.extend(super::made::maker(ledger, &layout.app)?);
    // Those are kept beside the others. A preview's database goes with it.
    let mut alone = alone_with_migrations(&releases, &ledger.migrations(&layout.app)?);
    alone.retain(|version| layout.app.preview().is_none() && !held.contains(version));
    alone.truncate(MOST_ALONE);
    let counted: Vec<ReleaseRow> = releases
        .iter()
        .filter(|release| !alone.contains(&release.version))
        .cloned()
        .collect();
    let mut trash = Vec::new();
    let surplus = surplus(&counted, &held, keep as usize);
    let served: Vec<Version> = releases
        .iter()
        .filter(|release| {
            let version = &release.version;
            !surplus.contains(version) && servings.iter().any(|(served, _)| served == version)
        })
        .map(|release| release.version.clone())
        .collect();
    if let Err(error) = kept::show(&layout.kept(), &served) {
        journal::say(&format!("old pages may miss their files: {error}"));
    }
    for version in surplus {
        ledger.remove_release(&layout.app, &version)?;
        trash.extend(bury(layout, &layout.release(&version)));
    }
    if !trash.is_empty() {
        trash.extend(unused_layers(layout));
        delete_behind(trash);
    }
    Ok(())
}

/// Those of which no newer one has all migrations: nobody else could undo them.
fn alone_with_migrations(
    releases: &[ReleaseRow],
    migrations: &BTreeMap<Sha256Digest, Vec<String>>,
) -> Vec<Version> {
    let mut known = BTreeSet::new();
    let mut alone = Vec::new();
    for release in releases {
        let names = migrations.get(&release.manifest).into_iter().flatten();
        // Each name is to be remembered, so all of them are looked at.
        let new = names.filter(|name| known.insert(*name)).count();
        if new > 0 {
            alone.push(release.version.clone());
        }
    }
    alone
}

/// Which releases go: the oldest first, and failed ones before those that were good.
fn surplus(releases: &[ReleaseRow], held: &[Version], keep: usize) -> Vec<Version> {
    let mut candidates: Vec<&ReleaseRow> = releases
        .iter()
        .rev()
        .filter(|release| !held.contains(&release.version))
        .collect();
    candidates.sort_by_key(|release| release.verdict != Verdict::Bad);
    let over = releases.len().saturating_sub(keep);
    candidates
        .into_iter()
        .take(over)
        .map(|release| release.version.clone())
        .collect()
}

/// Empties `staging` of all but `kept`, at a time when nothing is being staged.
pub(crate) fn clear_staging(layout: &AppLayout, kept: &[PathBuf]) {
    let Ok(entries) = fs_err::read_dir(layout.staging()) else {
        return;
    };
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| !kept.contains(path));
    delete_behind(all);
}

/// Takes away releases that the ledger does not know and no link names: an agent that was killed
/// between two steps left them.
pub(crate) fn sweep(ledger: &Ledger, layout: &AppLayout) -> Result<(), LedgerError> {
    let known = ledger.releases(&layout.app)?;
    let Ok(entries) = fs_err::read_dir(layout.releases()) else {
        return Ok(());
    };
    let current = links::names(&layout.current());
    let mut trash = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let linked = [Slot::Blue, Slot::Green]
            .iter()
            .filter_map(|slot| links::names(&layout.slot(*slot)))
            .chain(current.clone())
            .any(|linked| linked == name);
        if !linked
            && !known
                .iter()
                .any(|release| release.version.to_string() == name)
        {
            trash.extend(bury(layout, &entry.path()));
        }
    }
    trash.extend(unused_layers(layout));
    delete_behind(trash);
    Ok(())
}

/// The layers that no kept release uses; none, where that cannot be told for every release.
fn unused_layers(layout: &AppLayout) -> Vec<PathBuf> {
    let Ok(used) = used_layers(layout) else {
        return Vec::new();
    };
    let Ok(entries) = fs_err::read_dir(layout.layers()) else {
        return Vec::new();
    };
    let unused = |path: &PathBuf| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        !used.contains(name)
    };
    let unused = entries.flatten().map(|entry| entry.path()).filter(unused);
    unused.filter_map(|layer| bury(layout, &layer)).collect()
}

fn used_layers(layout: &AppLayout) -> io::Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    for release in fs_err::read_dir(layout.releases())? {
        let layers = fs_err::read_to_string(ReleaseFiles::of(&release?.path()).layers())?;
        used.extend(layers.lines().map(str::to_owned));
    }
    Ok(used)
}

/// Gives a folder a name that nothing looks at.
fn bury(layout: &AppLayout, folder: &Path) -> Option<PathBuf> {
    let grave = format!(
        "trash-{}-{}",
        std::process::id(),
        TRASH.fetch_add(1, Ordering::Relaxed)
    );
    let grave = layout.staging().join(grave);
    match fs_err::rename(folder, &grave) {
        Ok(()) => Some(grave),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                journal::say(&format!("not pruned: {error}"));
            }
            None
        }
    }
}

/// Thousands of files take their time; nobody waits for it, and the next start does the rest.
fn delete_behind(trash: Vec<PathBuf>) {
    if trash.is_empty() {
        return;
    }
    let delete = move || {
        for path in trash {
            trash::delete_or_say(&path);
        }
    };
    // Without a thread it is left for the next start, which empties the folder.
    let _later = std::thread::Builder::new()
        .name("trash".to_owned())
        .spawn(delete);
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn row(minor: u64, verdict: Verdict) -> ReleaseRow {
        ReleaseRow {
            version: Version::new(1, minor, 0),
            manifest: Sha256Digest::of(&[u8::try_from(minor).unwrap()]),
            signer: String::new(),
            commit: String::new(),
            bytes: 0,
            staged: Timestamp::now(),
            signed: Timestamp::UNIX_EPOCH,
            verdict,
        }
    }

    #[test]
    fn the_oldest_go_and_bad_ones_first_and_held_ones_never() {
        let (good, bad) = (Verdict::Good, Verdict::Bad);
        // The newest first, as the ledger gives them.
        let releases = [
            row(5, good),
            row(4, good),
            row(3, bad),
            row(2, good),
            row(1, good),
        ];
        let v = |minor| Version::new(1, minor, 0);
        assert_eq!(surplus(&releases, &[], 5), []);
        assert_eq!(surplus(&releases, &[], 3), [v(3), v(1)]);
        assert_eq!(surplus(&releases, &[v(1), v(3)], 3), [v(2), v(4)]);
        assert_eq!(surplus(&releases, &[v(1), v(2), v(3), v(4), v(5)], 2), []);
    }

    #[test]
    fn who_is_alone_with_a_migration_is_held() {
        let good = Verdict::Good;
        let releases = [row(4, good), row(3, good), row(2, good), row(1, good)];
        let of = |minor: u8, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            (Sha256Digest::of(&[minor]), names)
        };
        let v = |minor| Version::new(1, minor, 0);
        let line = BTreeMap::from([of(4, &["a", "b"]), of(2, &["a", "b"]), of(1, &["a"])]);
        assert_eq!(alone_with_migrations(&releases, &line), [v(4)]);
        let branches = BTreeMap::from([of(4, &["a"]), of(3, &["a", "x"]), of(2, &["a", "x", "y"])]);
        assert_eq!(
            alone_with_migrations(&releases, &branches),
            [v(4), v(3), v(2)]
        );
        assert_eq!(alone_with_migrations(&releases, &BTreeMap::new()), []);
    }
}
