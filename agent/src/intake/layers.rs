//! Layers: what a step made once and every release with the same key uses.
//!
//! A layer gets its name only when it is whole, so that a half-made one is never used.

use std::io;
use std::path::Path;

use longshore_shared::app_file::{InnerPath, Layer, Prepare};
use longshore_shared::digest::Sha256Digest;
use longshore_shared::tree::{RESERVED, Tree};

use super::inside::{Owner, Place};
use super::{MEND_DISK, seal};
use crate::layout::AppLayout;
use crate::links;
use crate::operation::Trouble;
use crate::trust::HostTrust;

/// In a layer: the signature of the release whose steps made it. A name that no step can keep.
const MAKER: &str = RESERVED;

const ROOT: Owner = Owner {
    uid: 0,
    gid: 0,
    mode: 0o755,
};

/// The key of a step's layer: what went in, how, and for which interpreter and processor.
pub(super) fn key(step: &Prepare, layer: &Layer, tree: &Tree) -> Result<String, Trouble> {
    let python = fs_err::canonicalize("/usr/bin/python3").unwrap_or_default();
    let mut text = format!(
        "layer 1\n{}\n{}\n",
        std::env::consts::ARCH,
        python.display()
    );
    for command in &step.run {
        text.push_str(&format!("run {command}\n"));
    }
    for path in &layer.keep {
        text.push_str(&format!("keep {path}\n"));
    }
    for path in &layer.key {
        let within = |entry: &&longshore_shared::tree::Entry| is_within(&entry.path, path.as_str());
        let mut found = false;
        for entry in tree.entries().iter().filter(within) {
            found = true;
            text.push_str(&format!(
                "{:?} {} {}\n",
                entry.kind, entry.digest, entry.path
            ));
        }
        if !found {
            return Err(Trouble::refused(
                format!("the layer's key names {path}, which is not in the release"),
                "correct `layer = { key = [...] }` in longshore.toml, then build again",
            ));
        }
    }
    Ok(Sha256Digest::of(text.as_bytes()).to_string())
}

/// A layer's place.
pub(super) struct Found {
    pub(super) name: String,
    /// Whether it is there, whole.
    pub(super) here: bool,
}

/// Where the layer with this key is, or is to be made. One that a release made whose key was revoked
/// is left to the releases that link to it: another is made in its stead.
pub(super) fn find(layout: &AppLayout, key: String, trust: &HostTrust) -> Found {
    let mut name = key;
    loop {
        let folder = layout.layers().join(&name);
        let here = folder.is_dir();
        if !here || trust.revocation(&folder.join(MAKER)).is_none() {
            return Found { name, here };
        }
        name = Sha256Digest::of(format!("instead of {name}").as_bytes()).to_string();
    }
}

/// Moves what a step made out of the release into a new layer.
pub(super) fn keep(
    layout: &AppLayout,
    layer: &Layer,
    name: &str,
    folder: &Path,
    operation: u64,
    maker: &str,
) -> Result<(), Trouble> {
    let fresh = layout.staging().join(format!("{operation}.layer"));
    let moved = || -> io::Result<()> {
        fs_err::create_dir(&fresh)?;
        fs_err::write(fresh.join(MAKER), maker)?;
        for path in &layer.keep {
            let from = Place::find(folder, path.as_str(), None)?;
            from.rename_to(&Place::find(&fresh, path.as_str(), Some(ROOT))?)?;
        }
        Ok(())
    };
    let kept = moved()
        .map_err(|error| {
            Trouble::because(&error, "its steps have to make what `layer = { keep = [...] }` names, in folders of the release")
        })
        .and_then(|()| seal::seal(layout, &fresh))
        .and_then(|()| publish(&fresh, &layout.layers().join(name)));
    kept.inspect_err(|_| crate::trash::delete_or_say(&fresh))
}

fn publish(fresh: &Path, layer: &Path) -> Result<(), Trouble> {
    let publish = || -> io::Result<()> {
        rustix::fs::syncfs(fs_err::File::open(fresh)?)?;
        fs_err::rename(fresh, layer)?;
        links::sync_folder(layer.parent().unwrap_or(layer))
    };
    publish().map_err(|error| Trouble::because(&error, MEND_DISK))
}

/// Links the release to the layer. The link is absolute: it is seen from two places, the release's
/// own folder and the one where it runs.
pub(super) fn link(
    layout: &AppLayout,
    layer: &Layer,
    key: &str,
    folder: &Path,
    (uid, gid): (u32, u32),
) -> Result<(), Trouble> {
    let link = |path: &InnerPath| -> io::Result<()> {
        let owner = Owner {
            uid,
            gid,
            mode: 0o755,
        };
        let place = Place::find(folder, path.as_str(), Some(owner))?;
        place.link_to(&layout.layers().join(key).join(path.as_str()))
    };
    layer.keep.iter().try_for_each(link).map_err(|error| {
        Trouble::because(
            &error,
            "what `layer = { keep = [...] }` names must not be in the release itself",
        )
    })
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_shared::tree::{Entry, Kind};

    fn tree(entries: &[(&str, &str)]) -> Tree {
        let entry = |(path, content): &(&str, &str)| Entry {
            kind: Kind::File,
            size: content.len() as u64,
            digest: Sha256Digest::of(content.as_bytes()),
            path: (*path).to_owned(),
        };
        Tree::from_entries(entries.iter().map(entry).collect()).unwrap()
    }

    fn step(run: &str) -> Prepare {
        let json = format!(
            r#"{{"run":[{run:?}],"layer":{{"keep":[".venv"],"key":["requirements.txt","wheels/"]}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_key_changes_with_what_goes_in_and_with_nothing_else() {
        let of = |step: &Prepare, tree: &Tree| key(step, step.layer.as_ref().unwrap(), tree);
        let pip = step("pip install");
        let first = tree(&[
            ("requirements.txt", "django"),
            ("wheels/a.whl", "1"),
            ("app.py", "1"),
        ]);
        let same = of(&pip, &first).unwrap();
        let other_code = tree(&[
            ("requirements.txt", "django"),
            ("wheels/a.whl", "1"),
            ("app.py", "2"),
        ]);
        assert_eq!(of(&pip, &other_code).unwrap(), same);
        let other_wheel = tree(&[
            ("requirements.txt", "django"),
            ("wheels/a.whl", "2"),
            ("app.py", "1"),
        ]);
        assert_ne!(of(&pip, &other_wheel).unwrap(), same);
        assert_ne!(of(&step("uv pip install"), &first).unwrap(), same);
        let without = tree(&[("requirements.txt", "django"), ("wheelsx/a.whl", "1")]);
        assert!(matches!(of(&pip, &without), Err(Trouble::Refused(_))));
    }
}
