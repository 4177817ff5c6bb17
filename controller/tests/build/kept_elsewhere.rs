//! Submodules and Git LFS: what a commit names and does not hold.

use std::fs;

use longshore_shared::digest::Sha256Digest;

use crate::app::{App, said};

const VERSION: [&str; 2] = ["--version", "1.0.0"];
const STEM: &str = "cortico-1.0.0";

/// A repository beside the app's, with one file and what `more` adds to it.
fn repository(app: &App, name: &str, more: impl FnOnce(&std::path::Path)) {
    let folder = app.path(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), format!("of {name}\n")).unwrap();
    fs::write(folder.join("ignored"), "").unwrap();
    fs::write(folder.join(".gitattributes"), "ignored export-ignore\n").unwrap();
    git(app, &folder, &["init", "--quiet", "--initial-branch=main"]);
    more(&folder);
    git(app, &folder, &["add", "--all"]);
    git(app, &folder, &["commit", "--quiet", "--message", "Begin"]);
}

fn git(app: &App, folder: &std::path::Path, words: &[&str]) {
    let output = app
        .command("git", folder)
        .args(["-c", "protocol.file.allow=always"])
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

fn with_submodules() -> App {
    let app = App::new();
    repository(&app, "inner", |_| {});
    repository(&app, "outer", |folder| {
        let inner = app.path("inner");
        let words = [
            "submodule",
            "--quiet",
            "add",
            inner.to_str().unwrap(),
            "deep/inner",
        ];
        git(&app, folder, &words);
    });
    let outer = app.path("outer");
    let words = [
        "submodule",
        "--quiet",
        "add",
        outer.to_str().unwrap(),
        "vendor/outer",
    ];
    git(&app, &app.root(), &words);
    app.commit("Add a submodule");
    app
}

#[test]
fn submodules_are_shipped_from_the_commits_they_are_pinned_at() {
    let app = with_submodules();
    let update = ["submodule", "--quiet", "update", "--init", "--recursive"];
    git(&app, &app.root(), &update);
    // A later commit of the submodule is not the pinned one.
    fs::write(app.path("outer/file"), "later\n").unwrap();
    git(
        &app,
        &app.path("outer"),
        &["commit", "--quiet", "--all", "--message", "Later"],
    );
    app.build_well(&VERSION);
    assert_eq!(app.unpacked(STEM, "vendor/outer/file"), "of outer\n");
    assert_eq!(
        app.unpacked(STEM, "vendor/outer/deep/inner/file"),
        "of inner\n"
    );
    assert!(
        !app.listing(STEM)
            .iter()
            .any(|path| path.ends_with("ignored"))
    );
    let before = fs::read(app.dist("cortico-1.0.0.tar.gz")).unwrap();

    // What git keeps of a submodule that is not checked out any more is enough.
    fs::remove_dir_all(app.root().join("dist")).unwrap();
    git(
        &app,
        &app.root(),
        &["submodule", "--quiet", "deinit", "--all"],
    );
    app.build_well(&VERSION);
    assert!(before == fs::read(app.dist("cortico-1.0.0.tar.gz")).unwrap());
}

#[test]
fn a_submodule_that_is_not_here_is_named_with_the_command_that_fetches_it() {
    let app = with_submodules();
    let clone = app.path("clone");
    let words = ["clone", "--quiet", "app", "clone"];
    git(&app, app.home.path(), &words);
    let build = || {
        let mut command = app.longshore_command();
        command.current_dir(&clone).args(["build", "--key"]);
        command.arg(app.key()).args(VERSION).output().unwrap()
    };
    let output = build();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("\"vendor/outer\" is a submodule"), "{text}");
    assert!(
        text.contains("git submodule update --init --recursive"),
        "{text}"
    );
    assert!(!clone.join("dist").exists());

    // The one inside it is missed just as well.
    git(&app, &clone, &["submodule", "--quiet", "update", "--init"]);
    let text = said(&build());
    assert!(
        text.contains("\"vendor/outer/deep/inner\" is a submodule"),
        "{text}"
    );

    // One that no release is to hold is not needed.
    fs::write(clone.join(".gitattributes"), "vendor export-ignore\n").unwrap();
    git(&app, &clone, &["submodule", "--quiet", "deinit", "--all"]);
    fs::remove_dir_all(clone.join(".git/modules")).unwrap();
    git(
        &app,
        &clone,
        &["commit", "--quiet", "--all", "--message", "Leave it out"],
    );
    let output = build();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_submodule_that_git_lost_in_a_dirty_tree_is_missed() {
    let app = App::new();
    let hash = app.git(&["rev-parse", "HEAD"]);
    let item = format!("160000,{hash},vendor/lib");
    app.git(&["update-index", "--add", "--cacheinfo", &item]);
    app.git(&["commit", "--quiet", "--message", "Submodule"]);
    let output = app.build(&["--version", "1.0.0", "--allow-dirty"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("\"vendor/lib\" is a submodule"), "{text}");
}

const CONTENT: &str = "large content\n";

fn pointer(content: &str) -> String {
    let digest = Sha256Digest::of(content.as_bytes());
    let size = content.len();
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n")
}

fn object(app: &App) -> String {
    let digest = Sha256Digest::of(CONTENT.as_bytes()).to_string();
    let path = format!(
        ".git/lfs/objects/{}/{}/{digest}",
        &digest[..2],
        &digest[2..4]
    );
    assert!(!app.root().join(&path).exists());
    path
}

#[test]
fn git_lfs_files_are_shipped_from_the_store_of_the_clone() {
    let app = App::new();
    app.write("big.bin", &pointer(CONTENT));
    app.commit("Pointer");
    app.write(&object(&app), CONTENT);
    app.build_well(&VERSION);
    assert_eq!(app.unpacked(STEM, "big.bin"), CONTENT);
}

#[test]
fn a_git_lfs_file_that_is_not_here_or_damaged_is_named_with_what_to_do() {
    let app = App::new();
    app.write("big.bin", &pointer(CONTENT));
    app.commit("Pointer");
    let refused = |reason: &str, advice: &str| {
        let output = app.build(&VERSION);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(4), "{text}");
        let start = format!("\"big.bin\" is a Git LFS pointer, and {reason}");
        assert!(text.contains(&start) && text.contains(advice), "{text}");
        assert!(!app.dist("cortico-1.0.0.json").exists());
    };
    refused("its content is not in this clone", "git lfs pull");
    app.write(&object(&app), "LARGE content\n");
    refused("its content in ", "Remove that file");
    app.write(
        "big.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    );
    app.commit("No pointer");
    refused("it names no content", "export-ignore");
}
