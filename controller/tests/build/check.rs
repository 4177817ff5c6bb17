//! `build --check`: two builds of one commit.

use std::process::Output;

use crate::app::{APP_FILE, App, said};

fn check(step: &str) -> (App, Output) {
    let app = App::new();
    app.write("longshore.toml", &APP_FILE.replace("date > built-at", step));
    app.commit("Step");
    // Without a key: nothing is signed.
    let output = app.longshore(&["build", "--check", "--version", "1.0.0"]);
    assert!(!app.root().join("dist").exists());
    (app, output)
}

#[test]
fn steps_that_give_the_same_bytes_pass() {
    let (_, output) = check("echo $SOURCE_DATE_EPOCH > built-at");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("cortico 1.0.0 is reproducible here"),
        "{text}"
    );
}

#[test]
fn files_that_differ_are_named_and_the_first_twenty_shown() {
    for step in [
        "date +%s > f",
        "pwd > f",
        "echo $USER > f",
        "date +%s > f$(date +%s)",
    ] {
        let (_, output) = check(step);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{step}: {text}");
        assert!(text.contains("\n  f"), "{step}: {text}");
        assert!(text.contains("SOURCE_DATE_EPOCH"), "{step}: {text}");
    }
    let (_, output) = check("for n in $(seq 25); do pwd > file-$n; done");
    let text = said(&output);
    assert!(text.contains("25 files differ"), "{text}");
    assert_eq!(text.matches("\n  file-").count(), 20, "{text}");
    assert!(text.contains("\n  and 5 more\n"), "{text}");
}

#[test]
fn what_a_cache_hides_is_found() {
    let app = App::new();
    let step = "test -e made || { mkdir made; pwd > made/it; }";
    let text = APP_FILE.replace("date > built-at", step);
    let text = text.replace(
        "[web]",
        "cache = [{ path = \"made\", key = [\"manage.py\"] }]\n[web]",
    );
    app.write("longshore.toml", &text);
    app.commit("Cache");
    app.build_well(&["--version", "1.0.0"]);
    let output = app.longshore(&["build", "--check", "--version", "1.0.0", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("\"differs\":[\"made/it\"]"),
        "{}",
        said(&output)
    );
}
