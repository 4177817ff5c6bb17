//! What a build is called: tags, commits since, branches, and the clones that CI makes.

use std::path::PathBuf;
use std::process::Output;

use semver::Version;

use crate::app::{App, said};

/// `next-version --json` in `folder`, its last line.
fn next_in(
    app: &App,
    folder: &str,
    words: &[&str],
    variables: &[(&str, &str)],
) -> serde_json::Value {
    let output = run_in(app, folder, words, variables);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn run_in(app: &App, folder: &str, words: &[&str], variables: &[(&str, &str)]) -> Output {
    app.longshore_command()
        .current_dir(app.path(folder))
        .args(["next-version", "--json"])
        .args(words)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn next(app: &App, words: &[&str]) -> String {
    next_in(app, "app", words, &[])["version"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn empty_commit(app: &App, message: &str) -> String {
    app.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    app.git(&["rev-parse", "HEAD"])
}

/// A clone beside the app, over a transport that knows shallow clones.
fn clone(app: &App, name: &str, words: &[&str]) {
    let url = format!("file://{}", app.root().display());
    let path = app.path(name);
    let mut all = vec!["clone", "--quiet"];
    all.extend(words);
    all.extend([url.as_str(), path.to_str().unwrap()]);
    app.git(&all);
}

fn git_in(app: &App, folder: &str, words: &[&str]) {
    let path: PathBuf = app.path(folder);
    let mut all = vec!["-C", path.to_str().unwrap()];
    all.extend(words);
    app.git(&all);
}

#[test]
fn a_tag_is_the_version_and_commits_lead_to_the_next() {
    let app = App::new();
    let hash = app.git(&["rev-parse", "HEAD"]);
    assert_eq!(next(&app, &[]), format!("0.1.0-main.1+g{}", &hash[..7]));
    app.git(&["tag", "--annotate", "--message", "x", "v1.4.0"]);
    // Neither of these is a version of this project.
    app.git(&["tag", "v9"]);
    app.git(&["tag", "other-v3.0.0"]);
    assert_eq!(next(&app, &[]), "1.4.0");
    let tagged = next_in(&app, "app", &[], &[]);
    assert_eq!(
        (tagged["last_tag"].as_str(), tagged["commits"].as_u64()),
        (Some("v1.4.0"), Some(0))
    );

    let fix = empty_commit(&app, "fix: a crash");
    assert_eq!(next(&app, &[]), format!("1.4.1-main.1+g{}", &fix[..7]));
    app.git(&["checkout", "--quiet", "-b", "feature/login"]);
    let feat = empty_commit(&app, "feat(mail): log in by mail");
    let found = next_in(&app, "app", &[], &[]);
    assert_eq!(
        found["version"],
        format!("1.5.0-feature-login.2+g{}", &feat[..7])
    );
    assert_eq!(
        (found["last_tag"].as_str(), found["commits"].as_u64()),
        (Some("v1.4.0"), Some(2))
    );
    assert_eq!(found["branch"], "feature/login");
    let reason = found["reason"].as_str().unwrap();
    assert!(
        reason.contains("log in by mail") && reason.contains("is a feature"),
        "{reason}"
    );
    let breaking = empty_commit(&app, "refactor: move\n\nBREAKING CHANGE: other paths");
    assert_eq!(
        next(&app, &[]),
        format!("2.0.0-feature-login.3+g{}", &breaking[..7])
    );

    // Another branch, another commit, and the tag, each by name.
    assert_eq!(
        next(&app, &["--ref", "main"]),
        format!("1.4.1-main.1+g{}", &fix[..7])
    );
    assert_eq!(next(&app, &["--ref", "v1.4.0"]), "1.4.0");
    assert_eq!(
        next(&app, &["--ref", &feat]),
        format!("1.5.0-feature-login.2+g{}", &feat[..7])
    );
}

#[test]
fn releases_of_other_branches_and_pre_releases() {
    let app = App::new();
    app.git(&["tag", "v1.4.0"]);
    app.git(&["checkout", "--quiet", "-b", "next"]);
    empty_commit(&app, "feat!: a");
    app.git(&["tag", "v2.0.0"]);
    app.git(&["checkout", "--quiet", "main"]);
    let fix = empty_commit(&app, "fix: b");
    assert_eq!(next(&app, &[]), format!("1.4.1-main.1+g{}", &fix[..7]));
    app.git(&["tag", "v1.5.0-rc.1"]);
    assert_eq!(next(&app, &[]), "1.5.0-rc.1");
    let after = empty_commit(&app, "fix: c");
    let built = next(&app, &[]);
    assert_eq!(built, format!("1.5.0-rc.1.main.2+g{}", &after[..7]));
    assert!(Version::parse(&built).unwrap() > Version::parse("1.5.0-rc.1").unwrap());
}

#[test]
fn a_detached_head_takes_its_branch_from_ci_or_from_the_only_one_there_is() {
    let app = App::new();
    let hash = app.git(&["rev-parse", "HEAD"]);
    clone(&app, "ci", &[]);
    git_in(&app, "ci", &["checkout", "--quiet", "--detach"]);
    git_in(
        &app,
        "ci",
        &["branch", "--quiet", "--delete", "--force", "main"],
    );
    let named = |words: &[&str], variables: &[(&str, &str)]| {
        let found = next_in(&app, "ci", words, variables);
        found["version"].as_str().unwrap().to_owned()
    };
    let called = |slug: &str| format!("0.1.0-{slug}.1+g{}", &hash[..7]);
    assert_eq!(named(&[], &[]), called("main"));
    let ci = [
        ("GITHUB_HEAD_REF", "Feature/Ünï"),
        ("GITHUB_REF_NAME", "1/merge"),
    ];
    assert_eq!(named(&[], &ci), called("feature-n"));
    assert_eq!(named(&[], &[("CI_COMMIT_REF_NAME", "007")]), called("b007"));
    assert_eq!(named(&["--ref", "origin/main"], &ci), called("main"));
    git_in(
        &app,
        "ci",
        &["update-ref", "refs/remotes/origin/other", "HEAD"],
    );
    assert_eq!(named(&[], &[]), called("detached"));
}

#[test]
fn a_shallow_clone_says_what_to_fetch_unless_nothing_is_missing() {
    let app = App::new();
    app.git(&["tag", "v1.4.0"]);
    empty_commit(&app, "fix: a");
    let last = empty_commit(&app, "feat: b");
    clone(&app, "shallow", &["--depth=1"]);
    let output = run_in(&app, "shallow", &[], &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for words in [
        "shallow",
        "git fetch --unshallow --tags",
        "fetch-depth: 0",
        "GIT_DEPTH: 0",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    git_in(
        &app,
        "shallow",
        &["fetch", "--quiet", "--unshallow", "--tags"],
    );
    let expected = format!("1.5.0-main.2+g{}", &last[..7]);
    assert_eq!(next_in(&app, "shallow", &[], &[])["version"], expected);

    // Deep enough, and with the tag: nothing is missing.
    clone(&app, "deeper", &["--depth=3", "--no-single-branch"]);
    assert_eq!(next_in(&app, "deeper", &[], &[])["version"], expected);
    // The tag is there and the way to it is not.
    clone(&app, "cut", &["--depth=1"]);
    git_in(
        &app,
        "cut",
        &["fetch", "--quiet", "--depth=1", "origin", "tag", "v1.4.0"],
    );
    assert_eq!(run_in(&app, "cut", &[], &[]).status.code(), Some(2));
    // On a tag nothing else is asked.
    clone(&app, "tagged", &["--depth=1", "--branch=v1.4.0"]);
    assert_eq!(next_in(&app, "tagged", &[], &[])["version"], "1.4.0");
}

#[test]
fn a_clone_without_tags_says_so() {
    let app = App::new();
    app.git(&["tag", "v1.4.0"]);
    let hash = empty_commit(&app, "fix: a");
    clone(&app, "ci", &["--no-tags"]);
    let output = run_in(&app, "ci", &[], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("git fetch --tags"),
        "{}",
        said(&output)
    );
    git_in(&app, "ci", &["fetch", "--quiet", "--tags"]);
    let found = next_in(&app, "ci", &[], &[]);
    assert_eq!(found["version"], format!("1.4.1-main.1+g{}", &hash[..7]));
}

#[test]
fn builds_are_called_so_and_a_dirty_one_never_as_its_tag() {
    let app = App::new();
    let hash = app.git(&["rev-parse", "HEAD"]);
    app.build_well(&[]);
    assert!(app.is_signed(&format!("cortico-0.1.0-main.1+g{}", &hash[..7])));
    app.git(&["tag", "v1.4.0"]);
    for text in ["one\n", "other\n"] {
        app.write("manage.py", text);
        app.build_well(&["--allow-dirty"]);
    }
    let items = std::fs::read_dir(app.root().join("dist")).unwrap();
    let names = items.map(|item| item.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".tar.gz")).collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    let dirty = format!("cortico-1.4.1-main.0+g{}.dirty-", &hash[..7]);
    assert!(
        names[1].starts_with(&dirty) && names[2].starts_with(&dirty),
        "{names:?}"
    );
}

#[test]
fn a_tag_in_reach_is_not_enough_where_a_merged_branch_is_cut_off() {
    let app = App::new();
    app.git(&["checkout", "--quiet", "-b", "side"]);
    for message in ["feat!: 1", "fix: 2", "fix: 3"] {
        empty_commit(&app, message);
    }
    app.git(&["checkout", "--quiet", "main"]);
    empty_commit(&app, "fix: released");
    app.git(&["tag", "v1.4.0"]);
    app.git(&["merge", "--quiet", "--no-ff", "--no-edit", "side"]);
    let whole = next(&app, &[]);
    assert!(whole.starts_with("2.0.0-main.4+g"), "{whole}");
    clone(&app, "cut", &["--depth=3", "--branch=main"]);
    git_in(&app, "cut", &["rev-parse", "v1.4.0"]);
    let output = run_in(&app, "cut", &[], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("number of commits"),
        "{}",
        said(&output)
    );
    let build = app
        .longshore_command()
        .current_dir(app.path("cut"))
        .arg("build")
        .output()
        .unwrap();
    assert_eq!(build.status.code(), Some(2), "{}", said(&build));
    assert!(said(&build).contains("--unshallow"), "{}", said(&build));
    clone(&app, "deeper", &["--depth=5", "--branch=main"]);
    assert_eq!(next_in(&app, "deeper", &[], &[])["version"], whole);
}
