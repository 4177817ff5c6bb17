//! Steps that do not end by themselves.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::app::{APP_FILE, App, said};

const ENDLESS: &str = "sleep 600 & echo $! > $HOME/began.new; mv $HOME/began.new $HOME/began; echo waiting; sleep 600";

fn endless(settings: &str) -> App {
    let app = App::new();
    let text = APP_FILE.replace("date > built-at", ENDLESS);
    app.write(
        "longshore.toml",
        &text.replace("[web]", &format!("{settings}\n[web]")),
    );
    app.commit("Wait");
    app
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the process that the step left in the background is there, and no mere zombie.
fn is_running(app: &App) -> bool {
    let pid = fs::read_to_string(app.path("began")).unwrap();
    let state = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}

#[test]
fn a_step_beyond_its_time_is_stopped_with_all_that_it_started() {
    let app = endless("timeout = \"1s\"");
    let begun = Instant::now();
    let output = app.build(&["--version", "1.0.0"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("was not done after 1s"), "{text}");
    assert!(
        text.contains("  waiting") && text.contains("`timeout`"),
        "{text}"
    );
    wait_for("the step's child to end", || !is_running(&app));
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(!app.dist("cortico-1.0.0.json").exists());
}

#[test]
fn a_killed_longshore_leaves_no_step_behind() {
    let app = endless("");
    let mut longshore = app
        .longshore_command()
        .args(["build", "--version", "1.0.0", "--key"])
        .arg(app.key())
        // What a killed build leaves goes with the test.
        .env("TMPDIR", app.home.path())
        .spawn()
        .unwrap();
    wait_for("the step", || app.path("began").exists());
    assert!(is_running(&app));
    longshore.kill().unwrap();
    longshore.wait().unwrap();
    wait_for("the step's child to end", || !is_running(&app));
}

#[test]
fn nothing_of_the_environment_is_recorded() {
    let app = App::new();
    let step = "test ${#TOKEN} -eq 14";
    app.write("longshore.toml", &APP_FILE.replace("date > built-at", step));
    app.commit("Use a secret");
    let output = app
        .longshore_command()
        .args(["-v", "build", "--version", "1.0.0", "--key"])
        .arg(app.key())
        .env("TOKEN", "hunter2-secret")
        .output()
        .unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("$ test") && !text.contains("hunter2"),
        "{text}"
    );
    let manifest = fs::read_to_string(app.dist("cortico-1.0.0.json")).unwrap();
    assert!(!manifest.contains("hunter2"), "{manifest}");
    for path in app.listing("cortico-1.0.0") {
        let content = app.unpacked("cortico-1.0.0", &path);
        assert!(!content.contains("hunter2"), "{path}");
    }
}
