//! One commit, one set of bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::app::{App, said};

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for item in fs::read_dir(folder).unwrap() {
        let item = item.unwrap();
        let name = item.file_name().into_string().unwrap();
        if name == ".gitignore" {
            continue;
        }
        files.insert(name, fs::read(item.path()).unwrap());
    }
    files
}

#[test]
fn two_clones_on_unlike_machines_give_the_same_bytes() {
    let app = App::new();
    app.write("requirements.txt", "django==5.0\nidna==3.7\n");
    app.commit("Require");
    app.git(&["tag", "v1.4.0"]);
    let mut results = Vec::new();
    for (folder, umask, zone, user, settings) in [
        ("one", "022", "UTC", "ada", ""),
        (
            "another/and deeper",
            "077",
            "Asia/Tokyo",
            "grace",
            "[core]\nautocrlf = true\n[tar]\numask = 0077\n[core]\nabbrev = 20\n",
        ),
    ] {
        let clone = app.path(folder);
        let from = app.root();
        let words = [
            "clone",
            "--quiet",
            from.to_str().unwrap(),
            clone.to_str().unwrap(),
        ];
        app.git(&words);
        let home = app.path(&format!("home of {user}"));
        fs::create_dir(&home).unwrap();
        fs::write(home.join(".gitconfig"), settings).unwrap();
        let script = format!(
            "umask {umask} && exec {} build --key {}",
            env!("CARGO_BIN_EXE_longshore"),
            app.key().display()
        );
        let output = app
            .command("/bin/sh", &clone)
            .args(["-c", &script])
            .env("TZ", zone)
            .env("HOME", &home)
            .env("USER", user)
            .env("LOGNAME", user)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        results.push(files(&clone.join("dist")));
    }
    assert_eq!(results[0].len(), 4);
    assert!(results[0] == results[1], "the bytes differ");
}

#[test]
fn stock_tools_read_and_verify_a_release() {
    let app = App::new();
    app.build_well(&["--version", "1.0.0"]);
    assert!(app.is_signed("cortico-1.0.0"));
    let listing = Command::new("tar")
        .args(["--numeric-owner", "-tvzf"])
        .arg(app.dist("cortico-1.0.0.tar.gz"))
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(listing.status.success());
    let text = String::from_utf8(listing.stdout).unwrap();
    let mut names = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert!(
            ["-rw-r--r--", "-rwxr-xr-x", "lrwxr-xr-x", "drwxr-xr-x"].contains(&fields[0]),
            "{line}"
        );
        assert_eq!(fields[1], "0/0", "{line}");
        assert_eq!(fields[3], "2026-01-02", "{line}");
        names.push(fields[5].trim_end_matches('/'));
    }
    assert!(names.is_sorted_by_key(|name| name.as_bytes()));
    assert!(names.contains(&"wheels/empty"));
    assert!(names.contains(&"built-at"));
    assert!(!text.contains("not-shipped"));
    assert!(text.contains("bin/manage -> ../manage.py"));
    let gzip = fs::read(app.dist("cortico-1.0.0.tar.gz")).unwrap();
    assert_eq!(gzip[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
}

#[test]
fn building_again_changes_nothing_and_says_so() {
    let app = App::new();
    app.build_well(&["--version", "1.0.0"]);
    let before = files(&app.root().join("dist"));
    let again = app.build(&["--version", "1.0.0"]);
    assert!(
        said(&again).contains("was there already"),
        "{}",
        said(&again)
    );
    assert!(before == files(&app.root().join("dist")));
    // Nothing of it gets into the next commit by accident.
    assert_eq!(app.git(&["status", "--porcelain"]), "");
}

#[test]
fn the_version_comes_from_the_tag_and_steps_see_it() {
    let app = App::new();
    app.write(
        "longshore.toml",
        &crate::app::APP_FILE.replace(
            "date > built-at",
            "echo $LONGSHORE_VERSION $SOURCE_DATE_EPOCH $LC_ALL $TZ ${LONGSHORE_SIGNING_KEY-none} ${LONGSHORE_IDENTITY-none} > env",
        ),
    );
    app.commit("Say the environment");
    app.git(&["tag", "v1.4.0"]);
    app.git(&["tag", "v1.3.0"]);
    app.build_well(&[]);
    let output = Command::new("tar")
        .arg("-xOzf")
        .arg(app.dist("cortico-1.4.0.tar.gz"))
        .args(["env", "built-at"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "0022\n1.4.0 1767323045 C.UTF-8 UTC none none\n");
    let manifest = fs::read_to_string(app.dist("cortico-1.4.0.json")).unwrap();
    assert!(manifest.contains("\"ref\": \"v1.4.0\""), "{manifest}");
    assert!(
        manifest.contains("\"time\": \"2026-01-02T03:04:05Z\""),
        "{manifest}"
    );
    assert!(manifest.contains("\"clean\": true"), "{manifest}");
}

#[test]
fn a_dirty_tree_is_built_as_it_is_and_the_manifest_says_so() {
    let app = App::new();
    app.write("manage.py", "print('changed')\n");
    app.write("new.py", "");
    fs::remove_file(app.root().join("bin/run")).unwrap();
    app.build_well(&["--version", "1.0.0", "--allow-dirty"]);
    let manifest = fs::read_to_string(app.dist("cortico-1.0.0.json")).unwrap();
    assert!(manifest.contains("\"clean\": false"));
    let stem = "cortico-1.0.0";
    assert_eq!(app.unpacked(stem, "manage.py"), "print('changed')\n");
    let listing = app.listing(stem);
    let has = |name: &str| listing.iter().any(|path| path == name);
    assert!(has("manage.py") && !has("new.py") && !has("bin/run"));
    assert_eq!(app.git(&["diff", "--cached", "--name-only"]), "");
}
