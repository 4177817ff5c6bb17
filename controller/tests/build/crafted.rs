//! Releases made by hand: any bytes, validly signed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore::release::{OpenError, Release};
use longshore_shared::app_file::AppFile;
use longshore_shared::digest::Sha256Digest;
use longshore_shared::manifest::{Artifact, FORMAT, Manifest, TreeArtifact};
use longshore_shared::name::AppName;
use longshore_shared::tree::Tree;

use crate::app::App;

pub(crate) fn artifact(bytes: &[u8]) -> Artifact {
    Artifact {
        size: bytes.len() as u64,
        sha256: Sha256Digest::of(bytes),
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn manifest(tarball: &[u8], tar: &[u8], tree: Option<&Tree>) -> Manifest {
    let app_file: AppFile = serde_json::from_str(
        r#"{"app":{"name":"cortico"},"web":{"gunicorn":"a:b","health":{"path":"/h"}}}"#,
    )
    .unwrap();
    let text = tree.map(Tree::render).unwrap_or_default();
    Manifest {
        format: FORMAT,
        app: AppName::new("cortico").unwrap(),
        version: semver::Version::new(1, 0, 0),
        commit: "a".repeat(40),
        git_ref: "main".to_owned(),
        clean: true,
        time: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        app_file,
        tarball: artifact(tarball),
        tar: artifact(tar),
        tree: TreeArtifact {
            size: text.len() as u64,
            sha256: Sha256Digest::of(text.as_bytes()),
            entries: tree.map_or(1, |tree| tree.entries().len() as u64),
            bytes: tree.map_or(0, Tree::bytes),
        },
        sealed: Vec::new(),
        sbom: None,
    }
}

/// Writes and signs a release; gives the path of its tarball.
pub(crate) fn release(app: &App, tarball: &[u8], manifest: &Manifest) -> PathBuf {
    let folder = app.path("crafted");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("cortico-1.0.0.json");
    fs::write(&file, manifest.to_bytes().unwrap()).unwrap();
    sign(app, &file, "longshore-release");
    let path = folder.join("cortico-1.0.0.tar.gz");
    fs::write(&path, tarball).unwrap();
    path
}

pub(crate) fn sign(app: &App, file: &Path, namespace: &str) {
    let _ = fs::remove_file(format!("{}.sig", file.display()));
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
        .arg(app.key())
        .arg(file)
        .output()
        .unwrap();
    assert!(signed.status.success());
}

/// Opens a plain tar as a release that was validly signed.
pub(crate) fn open_tar(app: &App, tar: &[u8]) -> Result<Release, OpenError> {
    let tarball = gzip(tar);
    Release::open(&release(app, &tarball, &manifest(&tarball, tar, None)))
}
