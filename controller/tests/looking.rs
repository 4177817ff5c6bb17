//! What is answered from files alone: `config` and `open`.

#![expect(
    clippy::unwrap_used,
    reason = "what stands in the way of a test fails it"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(words: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inventory.example.toml");
    std::fs::copy(example, folder.path().join("inventory.toml")).unwrap();
    std::fs::create_dir(folder.path().join(".ssh")).unwrap();
    let config = "Host 203.0.113.*\n    User web-admin\n    ProxyJump gate.example.com\n";
    std::fs::write(folder.path().join(".ssh/config"), config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_longshore"))
        .args(words)
        .current_dir(folder.path())
        .env_remove("LONGSHORE_INVENTORY")
        .env_remove("LONGSHORE_USER")
        .env("HOME", folder.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// What a value is, and where it comes from.
fn value(output: &Output, name: &str) -> (String, String) {
    let text = String::from_utf8_lossy(&output.stdout);
    let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let values = line["values"].as_array().unwrap();
    let found = values.iter().find(|value| value["name"] == name).unwrap();
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("value"), text("from"))
}

#[test]
fn config_tells_every_value_and_where_it_comes_from() {
    let output = run(&["config", "staging", "--json"], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let branch = (
        "develop".to_owned(),
        "inventory, [environments.staging.apps.cortico]".to_owned(),
    );
    assert_eq!(value(&output, "branch"), branch);
    assert_eq!(value(&output, "on_leave").0, "undo");
    assert_eq!(
        value(&output, "settings_by"),
        ("@sudo".to_owned(), "default".to_owned())
    );
    assert_eq!(value(&output, "app").1, "the environment's only app");
    assert_eq!(value(&output, "cortico-staging-1 host key").0, "pinned");
    let through = value(&output, "cortico-staging-1 through");
    assert_eq!(
        through,
        ("gate.example.com:22".to_owned(), "~/.ssh/config".to_owned())
    );

    let ci = run(
        &["config", "staging", "--json", "--app", "cortico"],
        &[("LONGSHORE_USER", "deploy")],
    );
    let user = ("deploy".to_owned(), "LONGSHORE_USER".to_owned());
    assert_eq!(value(&ci, "cortico-staging-1 user"), user);
    assert_eq!(value(&ci, "app").1, "--app");
    let other = run(&["config", "nowhere"], &[]);
    assert_eq!(other.status.code(), Some(2), "{other:?}");
}

#[test]
fn open_prints_the_address_where_nobody_can_look_at_it() {
    let output = run(&["open", "staging"], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.trim(), "http://staging.cortico.example/");
}
