//! `longshore verify`: the verdict of a host, without one.

use std::fs;
use std::process::Output;

use crate::app::{App, said};

const STEM: &str = "cortico-1.0.0";

fn built() -> App {
    let app = App::new();
    app.write("requirements.txt", "django==5.0\n");
    app.commit("Lock");
    app.build_well(&["--version", "1.0.0"]);
    app
}

fn verify(app: &App) -> Output {
    let signers = app.path("allowed_signers").display().to_string();
    let tarball = app.dist(&format!("{STEM}.tar.gz")).display().to_string();
    app.longshore(&["verify", &tarball, "--signers", &signers])
}

#[track_caller]
fn refused(app: &App, words: &str) {
    let output = verify(app);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains(words), "{}", said(&output));
}

#[test]
fn a_good_release_is_told_in_full() {
    let app = built();
    let output = verify(&app);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for words in [
        "cortico 1.0.0 is good",
        "by release@example.com with SHA256:",
        "each file are as signed",
        "sbom     as signed",
    ] {
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    }
    fs::remove_file(app.dist(&format!("{STEM}.cdx.json"))).unwrap();
    let output = verify(&app);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("not looked at"), "{}", said(&output));
}

#[test]
fn any_file_that_was_changed_or_lost_is_refused() {
    let app = built();
    for ending in ["tar.gz", "json", "json.sig", "cdx.json"] {
        let path = app.dist(&format!("{STEM}.{ending}"));
        let whole = fs::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 2] {
            let mut spoiled = whole.clone();
            spoiled[at] ^= 1;
            fs::write(&path, spoiled).unwrap();
            refused(&app, "longshore build");
        }
        fs::remove_file(&path).unwrap();
        if ending != "cdx.json" {
            refused(
                &app,
                "is not there, and the release is not whole without it",
            );
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(verify(&app).status.code(), Some(0));
}

#[test]
fn a_commit_of_the_future_is_refused() {
    let app = App::new();
    app.write("manage.py", "print('later')\n");
    app.git(&["add", "--all"]);
    let committed = app
        .command("git", &app.root())
        .env("GIT_COMMITTER_DATE", "2099-01-02T03:04:05Z")
        .args(["commit", "--quiet", "--message", "Later"])
        .status()
        .unwrap();
    assert!(committed.success());
    app.build_well(&["--version", "1.0.0"]);
    refused(&app, "the commit is of 2099-01-02T03:04:05Z, and it is 20");
}

#[test]
fn the_app_that_is_named_is_the_one_that_is_built_or_none() {
    let app = App::new();
    for words in [
        &["--app", "other", "build"][..],
        &["build", "--app", "other"],
    ] {
        let output = app.longshore(words);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("not of other"), "{}", said(&output));
    }
    app.write("inner/longshore.toml", "");
    let mut build = app.command(env!("CARGO_BIN_EXE_longshore"), &app.root().join("inner"));
    let output = build.arg("build").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("not at the root"),
        "{}",
        said(&output)
    );
}

#[test]
fn signers_that_are_named_need_none_of_the_inventory() {
    let app = built();
    let inventory = "[fleet]\nsigners = \"not-there\"\n[environments.production]\n\
                     release_by = [\"release@example.com\"]\n";
    fs::write(app.root().join("inventory.toml"), inventory).unwrap();
    let signers = app.path("allowed_signers").display().to_string();
    let tarball = app.dist(&format!("{STEM}.tar.gz")).display().to_string();
    let words = [
        "verify",
        &tarball,
        "--signers",
        &signers,
        "--for",
        "production",
    ];
    let output = app.longshore(&words);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let other = inventory.replace("release@", "other@");
    fs::write(app.root().join("inventory.toml"), other).unwrap();
    let output = app.longshore(&words);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
}
