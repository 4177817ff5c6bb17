//! `[build] cache`: kept between builds by key, and whole or not at all.

use std::fs;
use std::path::PathBuf;

use crate::app::{APP_FILE, App, said};

/// The step makes `made/` at most once for each `lock`, and counts how often.
const STEP: &str = "test -d made || { echo made >> $HOME/count; mkdir made; cat lock > made/of; echo x > made/it; ln -s of made/link; }; cat made/of > built; echo spoilt > made/it";

fn app() -> App {
    let app = App::new();
    let text = APP_FILE.replace("date > built-at", STEP);
    app.write(
        "longshore.toml",
        &text.replace(
            "[web]",
            "cache = [{ path = \"made\", key = [\"lock\"] }]\nexclude = [\"made\", \"built-at\"]\n[web]",
        ),
    );
    app.write("lock", "one\n");
    app.commit("Cache");
    app
}

fn made(app: &App) -> usize {
    let text = fs::read_to_string(app.path("count")).unwrap_or_default();
    text.lines().count()
}

fn entries(app: &App) -> Vec<PathBuf> {
    fs::read_dir(app.path(".cache/longshore/build/cortico"))
        .unwrap()
        .map(|item| item.unwrap().path())
        .collect()
}

#[test]
fn a_cache_is_found_again_under_its_key_and_no_other() {
    let app = app();
    app.build_well(&["--version", "1.0.0"]);
    assert_eq!((made(&app), entries(&app).len()), (1, 1));
    let entry = entries(&app).remove(0).join("content/made");
    assert_eq!(fs::read_to_string(entry.join("link")).unwrap(), "one\n");
    assert!(entry.join("link").is_symlink());

    // The step writes into what it found; what is kept stays as it was.
    let before = fs::read(entry.join("it")).unwrap();
    let output = app.build(&["--version", "1.0.0"]);
    assert!(
        said(&output).contains("as an earlier build left it"),
        "{}",
        said(&output)
    );
    assert!(
        said(&output).contains("was there already"),
        "{}",
        said(&output)
    );
    assert_eq!(made(&app), 1);
    assert!(before == fs::read(entry.join("it")).unwrap());

    app.write("lock", "two\n");
    app.commit("Another key");
    app.build_well(&["--version", "1.1.0"]);
    assert_eq!((made(&app), entries(&app).len()), (2, 2));

    app.build_well(&["--version", "1.1.0", "--no-cache"]);
    assert_eq!((made(&app), entries(&app).len()), (3, 2));
}

#[test]
fn a_damaged_entry_is_made_anew() {
    let app = app();
    app.build_well(&["--version", "1.0.0"]);
    let entry = entries(&app).remove(0);
    fs::write(entry.join("content/made/of"), "").unwrap();
    app.build_well(&["--version", "1.0.0"]);
    assert_eq!(made(&app), 2);
    assert_eq!(
        fs::read_to_string(entry.join("content/made/of")).unwrap(),
        "one\n"
    );
}

#[test]
fn a_step_that_fails_leaves_nothing_in_the_store() {
    let app = app();
    let text = fs::read_to_string(app.root().join("longshore.toml")).unwrap();
    app.write(
        "longshore.toml",
        &text.replace("echo spoilt > made/it", "false"),
    );
    app.commit("Fail");
    assert_eq!(app.build(&["--version", "1.0.0"]).status.code(), Some(1));
    assert!(!app.path(".cache/longshore/build/cortico").exists());
}

#[test]
fn a_store_that_cannot_be_written_stops_no_build() {
    let app = app();
    fs::write(app.path(".cache"), "").unwrap();
    let output = app.build(&["--version", "1.0.0"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("cache of made: not kept"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_key_that_is_not_in_the_commit_is_named() {
    let app = app();
    fs::remove_file(app.root().join("lock")).unwrap();
    app.commit("Lose the key");
    let output = app.build(&["--version", "1.0.0"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("has \"lock\" in its `key`"),
        "{}",
        said(&output)
    );
}
