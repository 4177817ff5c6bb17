//! The software bill of materials beside a release.

use std::fs;

use longshore::release::Release;
use longshore_shared::digest::Sha256Digest;

use crate::app::{App, said};

const BILL: &str = "cortico-1.0.0.cdx.json";

#[test]
fn a_release_with_lock_files_has_a_bill_that_its_manifest_names() {
    let app = App::new();
    app.write("requirements.txt", "django==5.0\n");
    app.write(
        "package-lock.json",
        r#"{"packages":{"node_modules/left-pad":{"version":"1.3.0"}}}"#,
    );
    app.write("not-shipped/requirements.txt", "secret==1.0\n");
    app.commit("Lock");
    let output = app.build(&["--version", "1.0.0"]);
    assert!(said(&output).contains(BILL), "{}", said(&output));
    let bill = fs::read(app.dist(BILL)).unwrap();
    let release = Release::open(&app.dist("cortico-1.0.0.tar.gz")).unwrap();
    let named = release.manifest().sbom.clone().unwrap();
    assert_eq!(named.size, bill.len() as u64);
    assert_eq!(named.sha256, Sha256Digest::of(&bill));
    let json: serde_json::Value = serde_json::from_slice(&bill).unwrap();
    let purls: Vec<&str> = json["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["purl"].as_str().unwrap())
        .collect();
    assert_eq!(purls, ["pkg:npm/left-pad@1.3.0", "pkg:pypi/django@5.0"]);

    // One that was lost or changed is made good, as the signature is.
    fs::write(app.dist(BILL), "{}").unwrap();
    app.build_well(&["--version", "1.0.0"]);
    assert!(fs::read(app.dist(BILL)).unwrap() == bill);
}

#[test]
fn a_release_without_lock_files_has_none() {
    let app = App::new();
    fs::create_dir(app.root().join("dist")).unwrap();
    fs::write(app.dist(BILL), "of a build that was interrupted").unwrap();
    app.build_well(&["--version", "1.0.0"]);
    assert!(!app.dist(BILL).exists());
    let manifest = fs::read_to_string(app.dist("cortico-1.0.0.json")).unwrap();
    assert!(!manifest.contains("sbom"), "{manifest}");
}
