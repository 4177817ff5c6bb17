//! The files of a release, and the releases that lie in `dist/`.

use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err as fs;
use longshore_shared::manifest::{LARGEST_MANIFEST, Manifest};
use longshore_shared::name::AppName;
use semver::Version;

use crate::did_you_mean;

const TARBALL: &str = ".tar.gz";
const MANIFEST: &str = ".json";
const SIGNATURE: &str = ".json.sig";
const SBOM: &str = ".cdx.json";

/// Where the parts of one release are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFiles {
    pub tarball: PathBuf,
    pub manifest: PathBuf,
    pub signature: PathBuf,
    /// The software bill of materials; only where the manifest names one.
    pub sbom: PathBuf,
}

impl ReleaseFiles {
    /// The names that `build` gives to the files of a release.
    pub fn named(dist: &Path, app: &AppName, version: &Version) -> Self {
        Self::from_stem(dist, &format!("{app}-{version}"))
    }

    /// The release that any one of its files belongs to.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let stem = [SIGNATURE, SBOM, MANIFEST, TARBALL]
            .iter()
            .find_map(|ending| name.strip_suffix(ending))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        (!stem.is_empty()).then(|| Self::from_stem(folder, stem))
    }

    fn from_stem(folder: &Path, stem: &str) -> Self {
        let file = |ending| folder.join(format!("{stem}{ending}"));
        Self {
            tarball: file(TARBALL),
            manifest: file(MANIFEST),
            signature: file(SIGNATURE),
            sbom: file(SBOM),
        }
    }

    /// `build` gives the manifest its name last, so where it is the release is whole.
    fn is_whole(&self) -> bool {
        self.tarball.is_file() && self.manifest.is_file() && self.signature.is_file()
    }
}

/// Which release is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    Version(&'a Version),
    /// The full hash; a release of a dirty tree is not the commit.
    Commit(&'a str),
    /// This version, and of this commit.
    Both(&'a Version, &'a str),
}

/// The release in `dist` that fits; of several of one commit, the newest version.
pub fn find(dist: &Path, app: &AppName, wanted: Wanted<'_>) -> Option<ReleaseFiles> {
    if let Wanted::Version(version) = wanted {
        return Some(ReleaseFiles::named(dist, app, version)).filter(ReleaseFiles::is_whole);
    }
    let mut newest: Option<(Version, ReleaseFiles)> = None;
    for item in fs::read_dir(dist).ok()?.flatten() {
        let path = item.path();
        let named = path.extension().is_some_and(|ending| ending == "json");
        let Some(files) = ReleaseFiles::of(&path).filter(|files| named && files.is_whole()) else {
            continue;
        };
        let Some(manifest) = glance(&path) else {
            continue;
        };
        let fits = match wanted {
            Wanted::Version(version) => manifest.version == *version,
            Wanted::Commit(commit) => manifest.clean && manifest.commit == commit,
            Wanted::Both(version, commit) => {
                manifest.clean && manifest.commit == commit && manifest.version == *version
            }
        };
        let newer = newest
            .as_ref()
            .is_none_or(|(version, _)| *version < manifest.version);
        if manifest.app == *app && fits && newer {
            newest = Some((manifest.version, files));
        }
    }
    newest.map(|(_, files)| files)
}

/// The tarball beside `missing` that is called most like it.
pub(super) fn nearest(missing: &Path) -> Option<PathBuf> {
    let wanted = ReleaseFiles::of(missing)?.tarball;
    let folder = wanted.parent()?;
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let items = fs::read_dir(here).ok()?.flatten();
    let names: Vec<String> = items
        .filter_map(|item| item.file_name().into_string().ok())
        .filter(|name| name.ends_with(TARBALL))
        .collect();
    let name = wanted.file_name()?.to_str()?;
    let meant = did_you_mean::nearest(name, names.iter().map(String::as_str))?;
    Some(folder.join(meant))
}

/// Reads a manifest to choose by; what is chosen is checked when it is opened.
fn glance(path: &Path) -> Option<Manifest> {
    Manifest::parse(&read_bounded(path, LARGEST_MANIFEST).ok()?).ok()
}

/// Reads at most one byte more than `most`, which tells its reader that there was more.
pub(super) fn read_bounded(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Whoever shows the error names the path, which fs_err would say once more.
    std::fs::File::open(path)?
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_file_names_the_release() {
        let expected = ReleaseFiles::named(
            Path::new("dist"),
            &AppName::new("a").unwrap(),
            &Version::new(1, 0, 0),
        );
        for name in [
            "dist/a-1.0.0.tar.gz",
            "dist/a-1.0.0.json",
            "dist/a-1.0.0.json.sig",
            "dist/a-1.0.0.cdx.json",
        ] {
            assert_eq!(ReleaseFiles::of(Path::new(name)), Some(expected.clone()));
        }
        assert_eq!(ReleaseFiles::of(Path::new("dist/a-1.0.0.zip")), None);
        assert_eq!(ReleaseFiles::of(Path::new("dist/.json")), None);
    }
}
