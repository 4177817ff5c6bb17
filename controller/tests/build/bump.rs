//! Releases made by `bump`: what they leave, what is refused, and what is taken back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::app::{App, said};

const OLDER: &str = "# Changelog\n\n## [1.4.0] - 2025-01-01\n\n- Older\n";

/// A tagged release with a changelog, and two commits since.
fn app() -> App {
    let app = App::new();
    app.write("CHANGELOG.md", OLDER);
    app.commit("Changelog");
    app.git(&["tag", "v1.4.0"]);
    for message in ["feat: log in by mail", "fix: a crash"] {
        app.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }
    app
}

fn bump(app: &App, exit: i32, words: &[&str]) -> String {
    let mut all = vec!["bump"];
    all.extend(words);
    let output = app.longshore(&all);
    assert_eq!(output.status.code(), Some(exit), "{}", said(&output));
    said(&output)
}

/// Everything that a bump could change here.
fn state(app: &App) -> (String, String, String, Option<String>) {
    (
        app.git(&["rev-parse", "HEAD"]),
        app.git(&["for-each-ref"]),
        app.git(&["status", "--porcelain", "--ignored"]),
        fs::read_to_string(app.root().join("CHANGELOG.md")).ok(),
    )
}

/// Expects that nothing at all was changed.
fn refused(app: &App, exit: i32, words: &[&str]) -> String {
    let before = state(app);
    let text = bump(app, exit, words);
    assert_eq!(state(app), before, "{text}");
    text
}

/// A bare repository that the app is pushed to.
fn with_origin(app: &App) {
    let path = app.path("origin.git");
    let path = path.to_str().unwrap();
    app.git(&["init", "--quiet", "--bare", "--initial-branch=main", path]);
    app.git(&["remote", "add", "origin", path]);
    app.git(&[
        "push",
        "--quiet",
        "--set-upstream",
        "origin",
        "main",
        "v1.4.0",
    ]);
}

fn at_origin(app: &App, words: &[&str]) -> String {
    let path = app.path("origin.git");
    let mut all = vec!["--git-dir", path.to_str().unwrap()];
    all.extend(words);
    app.git(&all)
}

#[test]
fn a_release_is_a_section_a_commit_and_a_tag() {
    let app = app();
    let head = app.git(&["rev-parse", "HEAD"]);
    let text = bump(&app, 0, &["--yes", "--json"]);
    assert!(
        text.contains("### Added") && text.contains("- log in by mail"),
        "{text}"
    );
    assert!(
        text.contains(r#""version":"1.5.0","tag":"v1.5.0","last_tag":"v1.4.0""#),
        "{text}"
    );

    let changelog = fs::read_to_string(app.root().join("CHANGELOG.md")).unwrap();
    let (above, below) = OLDER.split_at(OLDER.find("## ").unwrap());
    assert!(
        changelog.starts_with(&format!("{above}## [1.5.0] - 20")),
        "{changelog}"
    );
    let section = "### Added\n\n- log in by mail\n\n### Fixed\n\n- a crash\n\n";
    assert!(
        changelog.ends_with(&format!("{section}{below}")),
        "{changelog}"
    );

    assert_eq!(
        app.git(&["rev-parse", "v1.5.0^{commit}"]),
        app.git(&["rev-parse", "HEAD"])
    );
    assert_eq!(app.git(&["rev-parse", "HEAD~1"]), head);
    assert_eq!(app.git(&["log", "-1", "--format=%s"]), "Release 1.5.0");
    assert_eq!(
        app.git(&["show", "--format=", "--name-only", "HEAD"]),
        "CHANGELOG.md"
    );
    assert_eq!(app.git(&["cat-file", "-t", "v1.5.0"]), "tag");
    let message = app.git(&["for-each-ref", "--format=%(contents)", "refs/tags/v1.5.0"]);
    assert_eq!(message, format!("Release 1.5.0\n\n{}", section.trim_end()));
    assert_eq!(app.git(&["status", "--porcelain"]), "");

    assert!(refused(&app, 4, &["--yes"]).contains("nothing to release"));
    app.build_well(&[]);
    assert!(app.is_signed("cortico-1.5.0"));
}

#[test]
fn the_first_release_makes_the_file_and_a_person_may_choose_the_number() {
    let app = App::new();
    bump(&app, 0, &["--yes"]);
    assert!(app.git(&["tag"]).contains("v0.1.0"));
    let changelog = fs::read_to_string(app.root().join("CHANGELOG.md")).unwrap();
    assert!(
        changelog.starts_with("# Changelog\n") && changelog.ends_with("- Begin\n"),
        "{changelog}"
    );
    app.git(&["commit", "--quiet", "--allow-empty", "--message", "fix: a"]);
    bump(&app, 0, &["major", "--yes"]);
    assert!(app.git(&["tag"]).contains("v1.0.0"));
}

#[test]
fn without_a_terminal_it_shows_and_says_what_to_type() {
    let app = app();
    let text = refused(&app, 2, &["minor"]);
    assert!(text.contains("## [1.5.0]"), "{text}");
    assert!(text.contains("longshore bump minor --yes"), "{text}");
}

#[test]
fn what_could_go_wrong_is_refused_before_anything_is_changed() {
    let app = app();
    app.write("new.py", "");
    assert!(refused(&app, 4, &["--yes"]).contains("new.py"));
    fs::remove_file(app.root().join("new.py")).unwrap();

    app.git(&["checkout", "--quiet", "--detach"]);
    assert!(refused(&app, 4, &["--yes"]).contains("no branch is checked out"));
    app.git(&["checkout", "--quiet", "main"]);

    assert!(refused(&app, 2, &["--yes", "--push"]).contains("no remote"));

    app.git(&["checkout", "--quiet", "-b", "other", "v1.4.0"]);
    app.git(&["commit", "--quiet", "--allow-empty", "--message", "feat: x"]);
    app.git(&["tag", "v1.5.0"]);
    app.git(&["checkout", "--quiet", "main"]);
    let text = refused(&app, 4, &["--yes"]);
    assert!(text.contains("a tag v1.5.0 already"), "{text}");
    app.git(&["tag", "--delete", "v1.5.0"]);

    with_origin(&app);
    app.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let text = refused(&app, 4, &["--yes"]);
    assert!(text.contains("behind origin/main by 1 commit"), "{text}");
}

#[test]
fn a_shallow_clone_makes_no_release() {
    let app = app();
    let url = format!("file://{}", app.root().display());
    let clone = app.path("clone");
    app.git(&[
        "clone",
        "--quiet",
        "--depth=1",
        &url,
        clone.to_str().unwrap(),
    ]);
    let output = app
        .longshore_command()
        .current_dir(&clone)
        .args(["bump", "--yes"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--unshallow"));
}

/// A hook of git that says no.
fn hook(app: &App, folder: &str, name: &str, script: &str) {
    let path = app.path(folder).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_step_that_fails_takes_the_others_back() {
    for changelog in [true, false] {
        let app = app();
        if !changelog {
            app.git(&["rm", "--quiet", "CHANGELOG.md"]);
            app.git(&["commit", "--quiet", "--message", "No changelog"]);
        }
        hook(
            &app,
            "app/.git/hooks",
            "commit-msg",
            "echo no releases on Fridays >&2; exit 1",
        );
        let text = refused(&app, 1, &["--yes"]);
        assert!(text.contains("no releases on Fridays"), "{text}");
        assert!(text.contains("everything is as it was before"), "{text}");
        fs::remove_file(app.root().join(".git/hooks/commit-msg")).unwrap();

        app.git(&["config", "tag.gpgSign", "true"]);
        app.git(&["config", "gpg.format", "ssh"]);
        app.git(&["config", "user.signingkey", "/nowhere/key"]);
        let text = refused(&app, 1, &["--yes"]);
        assert!(
            text.contains("cannot make the tag; everything is as it was before"),
            "{text}"
        );
    }
}

#[test]
fn the_tag_is_signed_where_git_is_set_up_to() {
    let app = app();
    app.git(&["config", "tag.gpgSign", "true"]);
    app.git(&["config", "gpg.format", "ssh"]);
    app.git(&["config", "user.signingkey", app.key().to_str().unwrap()]);
    bump(&app, 0, &["--yes"]);
    assert!(
        app.git(&["cat-file", "tag", "v1.5.0"])
            .contains("BEGIN SSH SIGNATURE")
    );
}

#[test]
fn only_push_pushes_and_both_or_neither_arrive() {
    let app = app();
    with_origin(&app);
    let refs = at_origin(&app, &["for-each-ref"]);
    bump(&app, 0, &["--yes"]);
    assert_eq!(at_origin(&app, &["for-each-ref"]), refs);

    app.git(&["commit", "--quiet", "--allow-empty", "--message", "fix: b"]);
    hook(
        &app,
        "origin.git/hooks",
        "update",
        "case $1 in refs/tags/*) exit 1;; esac",
    );
    let text = bump(&app, 1, &["--yes", "--push"]);
    assert_eq!(at_origin(&app, &["for-each-ref"]), refs);
    assert!(text.contains("Nothing is lost"), "{text}");
    assert!(app.git(&["tag"]).contains("v1.5.1"));
    let back = text
        .lines()
        .find_map(|line| line.strip_prefix("To take the release back: "));
    let again = text
        .lines()
        .find_map(|line| line.strip_prefix("To push again: "));
    let shell = |line: &str| {
        let output = app
            .command("sh", &app.root())
            .args(["-c", line])
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", said(&output));
    };
    shell(back.unwrap());
    assert_eq!(app.git(&["log", "-1", "--format=%s"]), "fix: b");
    assert!(!app.git(&["tag"]).contains("v1.5.1"));

    bump(&app, 1, &["--yes", "--push"]);
    fs::remove_file(app.path("origin.git/hooks/update")).unwrap();
    shell(again.unwrap());
    assert_eq!(
        at_origin(&app, &["rev-parse", "v1.5.1^{commit}", "main"])
            .lines()
            .count(),
        2
    );

    app.git(&["commit", "--quiet", "--allow-empty", "--message", "feat: c"]);
    bump(&app, 0, &["--yes", "--push"]);
    assert_eq!(
        at_origin(&app, &["rev-parse", "v1.6.0^{commit}"]),
        at_origin(&app, &["rev-parse", "main"])
    );
}

#[test]
fn a_push_asks_the_remote_first() {
    let app = app();
    with_origin(&app);
    let clone = app.path("clone");
    let clone = clone.to_str().unwrap();
    app.git(&[
        "clone",
        "--quiet",
        app.path("origin.git").to_str().unwrap(),
        clone,
    ]);
    app.git(&[
        "-C",
        clone,
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        "x",
    ]);
    app.git(&["-C", clone, "push", "--quiet", "origin", "HEAD:main"]);
    let text = bump(&app, 4, &["--yes", "--push"]);
    assert!(text.contains("behind origin/main by 1 commit"), "{text}");
    assert!(!app.git(&["tag"]).contains("v1.5.0"));
}
