//! Every way to name the key, and every key that is refused.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use crate::app::{App, said};

/// An ssh-agent in the foreground, stopped when this is dropped.
struct Agent {
    process: Child,
    socket: String,
}

impl Agent {
    fn start(app: &App) -> Self {
        let socket = app.path("agent.sock").to_str().unwrap().to_owned();
        let process = Command::new("ssh-agent")
            .args(["-D", "-a", &socket])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..200 {
            if fs::metadata(&socket).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Self { process, socket }
    }

    fn add(&self, app: &App, key: &str) {
        let added = app
            .command("ssh-add", &app.root())
            .arg("-q")
            .arg(app.path(key))
            .env("SSH_AUTH_SOCK", &self.socket)
            .status()
            .unwrap();
        assert!(added.success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn build(app: &App, variables: &[(&str, &str)], words: &[&str]) -> Output {
    let _ = fs::remove_dir_all(app.root().join("dist"));
    let mut command = app.longshore_command();
    command.args(["build", "--version", "1.0.0"]).args(words);
    command.envs(variables.iter().copied());
    command.stdin(Stdio::null()).output().unwrap()
}

fn signed(app: &App, variables: &[(&str, &str)], words: &[&str]) {
    let output = build(app, variables, words);
    assert!(
        output.status.success(),
        "{variables:?} {words:?}: {}",
        said(&output)
    );
    assert!(app.is_signed("cortico-1.0.0"));
}

fn refused(app: &App, variables: &[(&str, &str)], words: &[&str], expected: &str) {
    let output = build(app, variables, words);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(expected), "{text}");
    assert!(!app.root().join("dist").exists());
}

const VARIABLE: &str = "LONGSHORE_SIGNING_KEY";

#[test]
fn the_variable_holds_a_path_or_the_key_itself() {
    let app = App::new();
    let key = fs::read_to_string(app.key()).unwrap();
    signed(&app, &[(VARIABLE, app.key().to_str().unwrap())], &[]);
    signed(&app, &[(VARIABLE, &key)], &[]);
    signed(
        &app,
        &[(VARIABLE, key.trim().replace('\n', "\r\n").as_str())],
        &[],
    );
    // A public key whose private half lies beside it, as ssh-keygen has it.
    signed(
        &app,
        &[(VARIABLE, app.path("id.pub").to_str().unwrap())],
        &[],
    );
}

#[test]
fn git_names_the_key_only_where_it_signs_with_ssh() {
    let app = App::new();
    app.git(&["config", "user.signingkey", "~/id"]);
    refused(&app, &[], &[], "no signing key");
    app.git(&["config", "gpg.format", "ssh"]);
    signed(&app, &[], &[]);
}

#[test]
fn the_agent_signs() {
    let app = App::new();
    let agent = Agent::start(&app);
    let socket = [("SSH_AUTH_SOCK", agent.socket.as_str())];
    refused(&app, &socket, &[], "ssh-agent holds none");
    let public = fs::read_to_string(app.path("id.pub")).unwrap();
    refused(
        &app,
        &[socket[0], (VARIABLE, &public)],
        &[],
        "does not hold the private half",
    );

    agent.add(&app, "id");
    // The agent alone has it from here on.
    fs::rename(app.key(), app.path("elsewhere")).unwrap();
    signed(&app, &socket, &[]);
    signed(
        &app,
        &socket,
        &["--key", app.path("id.pub").to_str().unwrap()],
    );
    signed(&app, &[socket[0], (VARIABLE, &public)], &[]);
    app.git(&["config", "gpg.format", "ssh"]);
    app.git(&[
        "config",
        "user.signingkey",
        &format!("key::{}", public.trim()),
    ]);
    signed(&app, &socket, &[]);
    app.git(&["config", "user.signingkey", public.trim()]);
    signed(&app, &socket, &[]);

    app.git(&["config", "--unset", "user.signingkey"]);
    app.generate_key("second", "ed25519", "");
    agent.add(&app, "second");
    refused(&app, &socket, &[], "ssh-agent holds 2");
}

#[test]
fn ecdsa_keys_sign_from_a_file_and_from_the_agent() {
    let app = App::new();
    app.generate_key("ecdsa", "ecdsa", "");
    app.trust("ecdsa");
    let key = app.path("ecdsa").to_str().unwrap().to_owned();
    signed(&app, &[], &["--key", &key]);
    let agent = Agent::start(&app);
    agent.add(&app, "ecdsa");
    fs::remove_file(&key).unwrap();
    let socket = [("SSH_AUTH_SOCK", agent.socket.as_str())];
    signed(&app, &socket, &["--key", &format!("{key}.pub")]);
}

#[test]
fn keys_that_cannot_sign_are_refused_with_the_reason() {
    let app = App::new();
    refused(&app, &[], &[], "no signing key");
    refused(
        &app,
        &[],
        &["--key", "/nowhere"],
        "cannot read the signing key /nowhere",
    );
    app.generate_key("rsa", "rsa", "");
    let key = app.path("rsa");
    let told = "is of type ssh-rsa";
    refused(&app, &[], &["--key", key.to_str().unwrap()], told);
    app.generate_key("locked", "ed25519", "a secret");
    let key = app.path("locked");
    refused(
        &app,
        &[],
        &["--key", key.to_str().unwrap()],
        "has a passphrase",
    );
    let rubbish = app.path("rubbish");
    fs::write(&rubbish, "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n").unwrap();
    refused(
        &app,
        &[],
        &["--key", rubbish.to_str().unwrap()],
        "no SSH key",
    );
}

#[test]
fn a_key_that_was_mangled_on_its_way_is_not_shown() {
    let app = App::new();
    let key = fs::read_to_string(app.key()).unwrap();
    let body: String = key
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    let lines: Vec<&str> = lines.collect();
    for value in [body.clone(), lines.join("\n"), format!("x{body}")] {
        let output = build(&app, &[("LONGSHORE_SIGNING_KEY", &value)], &[]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(
            said(&output).contains("its value is not shown"),
            "{}",
            said(&output)
        );
        for line in &lines {
            assert!(!said(&output).contains(&line[..20]), "{}", said(&output));
        }
    }
}
