//! What `build` refuses, and that nothing is left under a real name.

use std::fs;
use std::path::Path;

use crate::app::{APP_FILE, App, said};

fn released(app: &App) -> Vec<String> {
    let Ok(items) = fs::read_dir(app.root().join("dist")) else {
        return Vec::new();
    };
    items
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".gitignore")
        .collect()
}

/// Builds, expects a refusal, and gives its words.
fn refused(app: &App, exit: i32, words: &[&str]) -> String {
    let before = released(app);
    let output = app.build(words);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    assert_eq!(released(app), before, "something was left");
    text
}

const VERSION: [&str; 2] = ["--version", "1.0.0"];

#[test]
fn a_dirty_tree() {
    let app = App::new();
    app.write("manage.py", "changed\n");
    app.write("new.py", "");
    let text = refused(&app, 4, &VERSION);
    assert!(
        text.contains("manage.py") && text.contains("new.py"),
        "{text}"
    );
    assert!(text.contains("--allow-dirty"), "{text}");
}

#[test]
fn no_app_file() {
    let app = App::empty();
    app.write("a", "a");
    app.commit("Begin");
    assert!(refused(&app, 2, &VERSION).contains("has no longshore.toml"));
    app.write(".git/info/exclude", "longshore.toml\n");
    app.write("longshore.toml", APP_FILE);
    assert!(refused(&app, 2, &VERSION).contains("commit it first"));
}

#[test]
fn a_slip_in_the_app_file() {
    let app = App::new();
    app.write("longshore.toml", &APP_FILE.replace("gunicorn", "gunicron"));
    app.commit("Slip");
    let text = refused(&app, 2, &VERSION);
    assert!(text.contains("longshore.toml:6"), "{text}");
    assert!(text.contains("did you mean `gunicorn`"), "{text}");
}

#[test]
fn an_app_file_that_breaks_its_rules() {
    let app = App::new();
    app.write(
        "longshore.toml",
        &APP_FILE.replace("gunicorn =", "workers = 0\ngunicorn ="),
    );
    app.commit("Slip");
    assert!(refused(&app, 2, &VERSION).contains("`workers` is 0"));
}

#[test]
fn no_such_version_and_no_such_ref() {
    let app = App::new();
    let text = refused(&app, 2, &["--version", "1.0.0", "--ref", "mian"]);
    assert!(text.contains("did you mean `main`"), "{text}");
    assert_eq!(app.build(&["--version", "1.0"]).status.code(), Some(2));
}

#[test]
fn outside_of_any_repository() {
    let app = App::new();
    let output = app
        .longshore_command()
        .current_dir(app.home.path())
        .arg("build")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("not in a git repository"));
}

#[test]
fn symlinks_that_leave_and_things_that_are_no_files() {
    for (step, words) in [
        ("ln -s /etc escape", "escape"),
        ("ln -s ../../../etc/passwd escape", "escape"),
        ("ln -s nowhere dangling", "dangling"),
        ("mkfifo pipe", "a fifo"),
        ("mkdir .longshore && touch .longshore/x", "agent's own"),
        ("touch \"$(printf 'a\\376b')\"", "not UTF-8"),
        ("touch \"$(printf 'a\\033b')\"", "control character"),
    ] {
        let app = App::new();
        app.write(
            "longshore.toml",
            &APP_FILE.replace(
                "date > built-at",
                &step.replace('\\', "\\\\").replace('"', "\\\""),
            ),
        );
        app.commit("Step");
        let text = refused(&app, 4, &VERSION);
        assert!(text.contains(words), "{step}: {text}");
        assert!(!text.contains('\u{1b}'), "{step}: {text:?}");
    }
}

#[test]
fn a_step_that_fails_shows_what_it_said() {
    let app = App::new();
    app.write(
        "longshore.toml",
        &APP_FILE.replace("date > built-at", "echo reason >&2; exit 7"),
    );
    app.commit("Step");
    let text = refused(&app, 1, &VERSION);
    assert!(
        text.contains("reason") && text.contains("exit status: 7"),
        "{text}"
    );
}

#[test]
fn a_step_that_leaves_something_running_is_not_waited_for() {
    let app = App::new();
    app.write(
        "longshore.toml",
        &APP_FILE.replace("date > built-at", "sleep 30 &"),
    );
    app.commit("Step");
    let begun = std::time::Instant::now();
    app.build_well(&VERSION);
    assert!(begun.elapsed().as_secs() < 25);
}

#[test]
fn another_release_under_the_same_name() {
    let app = App::new();
    app.build_well(&VERSION);
    app.write("manage.py", "other\n");
    app.commit("Other");
    let text = refused(&app, 4, &VERSION);
    assert!(text.contains("with other bytes"), "{text}");

    // What an interrupted build could leave is no release, and is made good.
    fs::remove_file(app.dist("cortico-1.0.0.json")).unwrap();
    app.build_well(&VERSION);
    assert!(app.is_signed("cortico-1.0.0"));
}

#[test]
fn links_in_the_commit_never_lead_the_export_outside() {
    let app = App::new();
    let outside = app.path("outside");
    fs::create_dir(&outside).unwrap();
    let blob = |text: &str| {
        app.write(".git/tmp", text);
        app.git(&["hash-object", "-w", ".git/tmp"])
    };
    // Such a tree cannot be checked out or committed in the usual way.
    let (link, file) = (blob(outside.to_str().unwrap()), blob("x"));
    let inner = format!("100644 blob {file}\tx\n");
    app.write(".git/tree", &inner);
    let mktree = |text: String| {
        let path = app.path("mktree");
        fs::write(&path, text).unwrap();
        let output = app
            .command("git", &app.root())
            .arg("mktree")
            .stdin(fs::File::open(&path).unwrap())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let folder = mktree(inner);
    let tree = mktree(format!("120000 blob {link}\ta\n040000 tree {folder}\ta\n"));
    let commit = app.git(&["commit-tree", &tree, "-m", "Hostile"]);
    let output = app.build(&["--ref", &commit, "--version", "1.0.0"]);
    assert_ne!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(fs::read_dir(Path::new(&outside)).unwrap().count(), 0);
}
