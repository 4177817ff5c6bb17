//! What a shell offers after `longshore` and a tab, asked as a shell asks; and the man pages.

#![expect(
    clippy::unwrap_used,
    reason = "what stands in the way of a test fails it"
)]

use std::path::Path;
use std::process::Command;

const LONGSHORE: &str = env!("CARGO_BIN_EXE_longshore");

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inventory.example.toml");
    std::fs::copy(example, folder.path().join("inventory.toml")).unwrap();
    std::fs::create_dir(folder.path().join("dist")).unwrap();
    std::fs::write(folder.path().join("dist/my-app2-1.4.0-rc.1.tar.gz"), "").unwrap();
    folder
}

/// What fish would be offered for the last of these words, without what each means.
fn offered(folder: &Path, words: &[&str]) -> Vec<String> {
    let output = Command::new(LONGSHORE)
        .arg("--")
        .arg("longshore")
        .args(words)
        .env("COMPLETE", "fish")
        .env_remove("LONGSHORE_INVENTORY")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let first = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    text.lines()
        .map(first)
        .filter(|word| !word.starts_with('-'))
        .collect()
}

#[test]
fn names_of_the_inventory_and_of_releases_are_offered() {
    let folder = folder();
    let offered = |words: &[&str]| offered(folder.path(), words);
    assert_eq!(offered(&["roll"]), ["rollback"]);
    assert_eq!(offered(&["deploy", ""]), ["production", "staging"]);
    assert_eq!(offered(&["settings", "set", "sta"]), ["staging"]);
    let hosts = offered(&["ssh", "production", "c"]);
    assert!(!hosts.is_empty() && hosts.iter().all(|host| host.starts_with("cortico-")));
    assert!(
        !hosts.contains(&"cortico-staging-1".to_owned()),
        "{hosts:?}"
    );
    assert!(offered(&["restart", "production", "--on", "@"]).contains(&"@web".to_owned()));
    assert_eq!(offered(&["rollback", "production", "1.4"]), ["1.4.0-rc.1"]);
    // Where there is no inventory, nothing is offered, and nothing is said.
    let empty = tempfile::tempdir().unwrap();
    assert!(self::offered(empty.path(), &["deploy", "pro"]).is_empty());
}

#[test]
fn bash_offers_what_it_is_told() {
    let folder = folder();
    let bin = Path::new(LONGSHORE).parent().unwrap().display();
    let script = format!(
        "PATH={bin}:$PATH; source <(longshore completions bash) && \
         COMP_WORDS=(longshore status st) COMP_CWORD=2 COMP_TYPE=9 && \
         _clap_complete_longshore longshore st status && echo \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .env_remove("LONGSHORE_INVENTORY")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "staging", "{output:?}");
}

#[test]
fn a_shell_that_is_none_is_told_of_those_that_are() {
    let output = Command::new(LONGSHORE)
        .args(["completions", "tcsh"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bash, zsh, fish"));
}

#[test]
fn every_verb_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let ended = Command::new(LONGSHORE)
        .arg("man")
        .arg(&pages)
        .status()
        .unwrap();
    assert!(ended.success());
    for page in ["longshore", "longshore-deploy", "longshore-settings-set"] {
        let text = std::fs::read_to_string(pages.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}
