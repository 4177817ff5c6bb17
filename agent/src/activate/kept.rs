//! Numbered links to the releases that are kept, so that nginx finds the files of pages that were
//! loaded from them without a configuration of its own for each release.

use std::io;
use std::path::Path;

use semver::Version;

use crate::links;

/// The newest first. Only what differs is written.
pub(super) fn show(folder: &Path, releases: &[Version]) -> io::Result<()> {
    fs_err::create_dir_all(folder)?;
    for (place, version) in releases.iter().enumerate() {
        let link = folder.join(place.to_string());
        let target = Path::new("../releases").join(version.to_string());
        if links::target(&link).as_deref() != Some(&target) {
            links::replace(&link, &target)?;
        }
    }
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let place = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if place.is_none_or(|place: usize| place >= releases.len()) {
            links::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_follow_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let versions = |minors: &[u64]| -> Vec<Version> {
            minors
                .iter()
                .map(|minor| Version::new(1, *minor, 0))
                .collect()
        };
        let shown = || {
            let names = (0..5).map(|place| links::names(&folder.path().join(place.to_string())));
            names.map(Option::unwrap_or_default).collect::<Vec<_>>()
        };
        show(folder.path(), &versions(&[2, 1, 0])).unwrap();
        assert_eq!(shown(), ["1.2.0", "1.1.0", "1.0.0", "", ""]);
        show(folder.path(), &versions(&[3, 2])).unwrap();
        assert_eq!(shown(), ["1.3.0", "1.2.0", "", "", ""]);
    }
}
