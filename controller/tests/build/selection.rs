//! What of the built folder goes into a release.

use crate::app::{APP_FILE, App, said};

fn with_build(app: &App, lines: &str) {
    app.write(
        "longshore.toml",
        &APP_FILE.replace("[web]", &format!("{lines}\n[web]")),
    );
    app.commit("Choose");
}

#[test]
fn only_what_is_included_and_not_excluded_is_shipped() {
    let app = App::new();
    app.write("bin/run.map", "map\n");
    with_build(
        &app,
        "include = [\"bin/\", \"**/*.py\", \"built-*\"]\nexclude = [\"**/*.map\"]",
    );
    app.build_well(&["--version", "1.0.0"]);
    assert_eq!(
        app.listing("cortico-1.0.0"),
        ["bin/manage", "bin/run", "built-at", "manage.py"]
    );
}

#[test]
fn a_pattern_without_effect_is_a_mistake() {
    for list in ["include", "exclude"] {
        let app = App::new();
        with_build(&app, &format!("{list} = [\"bin/\", \"statik/**\"]"));
        let output = app.build(&["--version", "1.0.0"]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let text = said(&output);
        assert!(
            text.contains(&format!("`{list}` has the pattern \"statik/**\"")),
            "{text}"
        );
        assert!(!app.dist("cortico-1.0.0.json").exists());
    }
}

#[test]
fn a_link_to_what_is_left_out_is_refused() {
    let app = App::new();
    with_build(&app, "exclude = [\"manage.py\"]");
    let output = app.build(&["--version", "1.0.0"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("bin/manage"), "{}", said(&output));
}

#[test]
fn a_file_that_is_called_as_secrets_are_is_told_of() {
    let app = App::new();
    for file in [
        ".env",
        "conf/.env.production",
        ".env.example",
        "environment",
    ] {
        app.write(file, "SECRET_KEY=x\n");
    }
    app.commit("Oh");
    let output = app.build(&["--version", "1.0.0"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for warned in ["warning: .env is", "warning: conf/.env.production is"] {
        assert!(text.contains(warned), "{text}");
    }
    assert_eq!(text.matches("warning:").count(), 2, "{text}");
}
