//! The manifest: what was signed about one release.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::app_file::{AppFile, AppFileError};
use crate::digest::Sha256Digest;
use crate::name::{AppName, EnvironmentName};
use crate::tree::{MOST_ENTRIES, Tree, TreeError};

/// The only format so far. A reader refuses any other.
pub const FORMAT: u32 = 1;
/// Checked before anything is parsed.
pub const LARGEST_MANIFEST: usize = 64 * 1024;
/// The list of a tree is held in memory as a whole.
const LARGEST_TREE: u64 = 128 * 1024 * 1024;
/// A host and an auditor's script must read the same.
const LARGEST_NUMBER: u64 = 1 << 53;
/// A version ends up in a path, so it is bounded like one.
const LONGEST_VERSION: usize = 100;

/// One release of one app. It names no environment: a host's own name does the binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    pub app: AppName,
    pub version: Version,
    /// The full hash of the commit.
    pub commit: String,
    /// What was asked for, such as `main` or `v1.4.0`.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// Whether the release is the commit and nothing else.
    pub clean: bool,
    /// The commit's time, so that the same commit gives the same bytes.
    pub time: Timestamp,
    pub app_file: AppFile,
    pub tarball: Artifact,
    pub tar: Artifact,
    pub tree: TreeArtifact,
    /// The environments for which there are sealed settings at the root of the tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealed: Vec<EnvironmentName>,
    /// Of the software bill of materials beside the manifest, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Artifact>,
}

/// Size and digest of a stream of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    pub size: u64,
    pub sha256: Sha256Digest,
}

/// Size and digest of the rendered tree, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeArtifact {
    /// Bytes of the list itself.
    pub size: u64,
    pub sha256: Sha256Digest,
    pub entries: u64,
    /// Bytes of all content, unpacked.
    pub bytes: u64,
}

/// Why bytes are no manifest, or not one that a host may act on.
#[derive(Debug, Error)]
pub enum ManifestError {
    #[error("the manifest is larger than {LARGEST_MANIFEST} bytes")]
    TooLarge,
    #[error("the manifest cannot be read")]
    Read(#[source] serde_json::Error),
    #[error("the manifest is of format {0}, and this Longshore reads format {FORMAT}: upgrade it")]
    Format(u32),
    #[error("the version {0:?} is longer than {LONGEST_VERSION} characters")]
    Version(String),
    #[error("the commit {0:?} is no hash")]
    Commit(String),
    #[error("the manifest is for app {app}, and its app file for {file}")]
    OtherApp { app: AppName, file: AppName },
    #[error("nothing has {0} bytes: beyond 2^53 readers of JSON do not agree on a number")]
    Size(u64),
    #[error("the list of the tree cannot have {0} bytes")]
    TreeSize(u64),
    #[error("the tree cannot have {0} entries")]
    Entries(u64),
    #[error(transparent)]
    AppFile(#[from] AppFileError),
    #[error("the tree is not the signed one: its digest is {found}, and {signed} was signed")]
    OtherTree {
        found: Sha256Digest,
        signed: Sha256Digest,
    },
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Manifest {
    /// The exact bytes that are written, signed and sent.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads and checks a manifest. Who signed it is for [`crate::signature`] to say.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > LARGEST_MANIFEST {
            return Err(ManifestError::TooLarge);
        }
        // The format is read first: a later one may well have other fields.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let format: Format = serde_json::from_slice(bytes).map_err(ManifestError::Read)?;
        if format.format != FORMAT {
            return Err(ManifestError::Format(format.format));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(ManifestError::Read)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks what the types cannot say.
    pub fn check(&self) -> Result<(), ManifestError> {
        let version = self.version.to_string();
        if version.len() > LONGEST_VERSION {
            return Err(ManifestError::Version(version));
        }
        let hash = matches!(self.commit.len(), 40 | 64)
            && self
                .commit
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !hash {
            return Err(ManifestError::Commit(
                self.commit.chars().take(80).collect(),
            ));
        }
        if self.app != self.app_file.app.name {
            let file = self.app_file.app.name.clone();
            return Err(ManifestError::OtherApp {
                app: self.app.clone(),
                file,
            });
        }
        let sbom = self.sbom.as_ref().map_or(0, |sbom| sbom.size);
        for size in [self.tarball.size, self.tar.size, self.tree.bytes, sbom] {
            if size > LARGEST_NUMBER {
                return Err(ManifestError::Size(size));
            }
        }
        if self.tree.size > LARGEST_TREE {
            return Err(ManifestError::TreeSize(self.tree.size));
        }
        if self.tree.entries == 0 || self.tree.entries > MOST_ENTRIES as u64 {
            return Err(ManifestError::Entries(self.tree.entries));
        }
        self.app_file.check()?;
        Ok(())
    }

    /// Reads the list that was signed, and no other.
    pub fn read_tree(&self, text: &str) -> Result<Tree, ManifestError> {
        let found = Sha256Digest::of(text.as_bytes());
        let signed = self.tree.sha256;
        let tree = Tree::parse(text)?;
        let fits = text.len() as u64 == self.tree.size
            && tree.entries().len() as u64 == self.tree.entries
            && tree.bytes() == self.tree.bytes;
        if found != signed || !fits {
            return Err(ManifestError::OtherTree { found, signed });
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Entry, Kind};

    fn sample() -> (Manifest, Tree) {
        let content = b"hello";
        let tree = Tree::from_entries(vec![Entry {
            kind: Kind::File,
            size: content.len() as u64,
            digest: Sha256Digest::of(content),
            path: "hello.txt".to_owned(),
        }])
        .unwrap();
        let text = tree.render();
        let app_file: AppFile = serde_json::from_str(
            r#"{"app":{"name":"cortico"},"web":{"gunicorn":"a:b","health":{"path":"/h"}}}"#,
        )
        .unwrap();
        let artifact = Artifact {
            size: 1,
            sha256: Sha256Digest::of(b"x"),
        };
        let manifest = Manifest {
            format: FORMAT,
            app: AppName::new("cortico").unwrap(),
            version: Version::new(1, 0, 0),
            commit: "a".repeat(40),
            git_ref: "main".to_owned(),
            clean: true,
            time: Timestamp::from_second(1_700_000_000).unwrap(),
            app_file,
            tarball: artifact.clone(),
            tar: artifact,
            tree: TreeArtifact {
                size: text.len() as u64,
                sha256: Sha256Digest::of(text.as_bytes()),
                entries: 1,
                bytes: 5,
            },
            sealed: Vec::new(),
            sbom: None,
        };
        (manifest, tree)
    }

    #[test]
    fn reads_the_bytes_it_writes() {
        let (manifest, tree) = sample();
        let bytes = manifest.to_bytes().unwrap();
        let read = Manifest::parse(&bytes).unwrap();
        assert_eq!(read, manifest);
        assert_eq!(read.to_bytes().unwrap(), bytes);
        assert_eq!(read.read_tree(&tree.render()).unwrap(), tree);
    }

    #[test]
    fn a_manifest_without_a_bill_of_materials_is_the_old_one() {
        let (mut manifest, _) = sample();
        let old = manifest.to_bytes().unwrap();
        assert!(!String::from_utf8_lossy(&old).contains("sbom"));
        assert_eq!(Manifest::parse(&old).unwrap().sbom, None);
        manifest.sbom = Some(Artifact {
            size: 2,
            sha256: Sha256Digest::of(b"{}"),
        });
        let bytes = manifest.to_bytes().unwrap();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    }

    #[test]
    fn another_tree_is_refused() {
        let (manifest, tree) = sample();
        let other = tree.render().replace("hello.txt", "hullo.txt");
        assert!(matches!(
            manifest.read_tree(&other),
            Err(ManifestError::OtherTree { .. })
        ));
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let (manifest, _) = sample();
        let good = String::from_utf8(manifest.to_bytes().unwrap()).unwrap();
        let swap = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            good.replacen(from, to, 1)
        };
        let with_static = |entries: &str| {
            swap(
                "\"web\": {",
                &format!("\"static\": {{{entries}}}, \"web\": {{"),
            )
        };
        assert!(Manifest::parse(with_static("\"/a/\": \"a\"").as_bytes()).is_ok());
        for hostile in [
            format!("{good}x"),
            format!("\u{feff}{good}"),
            swap("\"format\": 1", "\"format\": 1, \"format\": 1"),
            swap("\"format\": 1", "\"format\": 2"),
            swap("\"format\": 1", "\"format\": 1, \"extra\": 1"),
            swap("\"clean\": true", "\"clean\": \"yes\""),
            swap("\"clean\": true,", ""),
            swap("\"app\": \"cortico\"", "\"app\": \"..\""),
            swap("\"app\": \"cortico\"", "\"app\": \"other\""),
            swap("\"1.0.0\"", "\"../1\""),
            swap("\"1.0.0\"", &format!("\"1.0.0-{}\"", "a".repeat(200))),
            swap(&"a".repeat(40), "HEAD"),
            swap("\"size\": 1", "\"size\": -1"),
            swap("\"size\": 1", "\"size\": 1e3"),
            swap("\"size\": 1", "\"size\": NaN"),
            swap("\"size\": 1", "\"size\": 9007199254740993"),
            swap("\"size\": 1", "\"size\": 18446744073709551616"),
            swap("\"entries\": 1", "\"entries\": 0"),
            swap(
                "\"clean\": true,",
                "\"clean\": true, \"sbom\": {\"size\": 18446744073709551615, \"sha256\": \"aa\"},",
            )
            .replace("\"aa\"", &format!("\"{}\"", "a".repeat(64))),
            with_static("\"/a/\": \"a\", \"/a/\": \"b\""),
            good.replacen(
                &format!("\"size\": {}", manifest.tree.size),
                "\"size\": 99999999999",
                1,
            ),
            "[".repeat(10_000),
            " ".repeat(LARGEST_MANIFEST + 1),
        ] {
            let short: String = hostile.chars().take(300).collect();
            assert!(
                Manifest::parse(hostile.as_bytes()).is_err(),
                "{short} passed"
            );
        }
    }
}
