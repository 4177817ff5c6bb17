//! `longshore inventory import` from end to end: the real binary, files and standard input.

#![expect(
    clippy::unwrap_used,
    reason = "what stands in the way of a test fails it"
)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use longshore::inventory::Inventory;
use serde_json::{Value, json};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("inventory.toml")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn import(&self, words: &[&str], input: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command
            .args(["inventory", "import", "--env", "production"])
            .args(words)
            .current_dir(self.0.path())
            .env_remove("LONGSHORE_INVENTORY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Whoever was given a file does not read what is piped in.
        let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }
}

fn data(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/testdata");
    folder.join(name)
}

fn content(name: &str) -> String {
    fs::read_to_string(data(name)).unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn all(output: &Output) -> String {
    out(output) + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_first_hosts_begin_an_inventory_and_a_second_run_adds_none() {
    let folder = Folder::new();
    let state = content("terraform_show.json");
    let output = folder.import(&["--role", "app,web"], Some(&state));
    assert_eq!(output.status.code(), Some(0), "{}", all(&output));
    let said = out(&output);
    for line in [
        "+ web-1  203.0.113.10  (app, web)\n",
        "+ i-0def  2001:db8:2::7  (app, web)\n",
        "note: inner-1: it has only a private address",
        "not mapped: tag or group Production: it is no role",
        "not mapped: hcloud_server.other: resources of type hcloud_server are not known\n",
        "7 hosts added to ",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let inventory = Inventory::read(&folder.path()).unwrap();
    let production = inventory.environment("production").unwrap();
    assert_eq!(production.hosts.len(), 7);
    assert_eq!(production.hosts[6].roles, ["app", "web"]);
    assert_eq!(production.hosts[5].roles, ["app", "web", "api", "worker"]);

    let before = folder.text();
    let output = folder.import(&["-"], Some(&state));
    assert_eq!(output.status.code(), Some(0), "{}", all(&output));
    assert!(
        out(&output).contains("0 hosts added to "),
        "{}",
        all(&output)
    );
    assert!(out(&output).ends_with("; 7 there already\n"));
    assert_eq!(folder.text(), before);
}

#[test]
fn what_is_there_stays_byte_by_byte_and_a_moved_host_is_only_named() {
    let folder = Folder::new();
    let ours = "# ours\r\n[environments.production]   # so\r\n[[environments.production.hosts]]\r\nname = 'web-1'\r\naddress = \"192.0.2.9\" # old\r\n";
    folder.write(ours);
    let path = data("doctl.json");
    let output = folder.import(&[path.to_str().unwrap(), "--json"], None);
    assert_eq!(output.status.code(), Some(0), "{}", all(&output));
    let line: Value = serde_json::from_str(&out(&output)).unwrap();
    let expected = json!({
        "event": "result", "verb": "inventory import", "ok": true, "exit": 0,
        "environment": "production", "inventory": folder.path().canonicalize().unwrap(), "dry_run": false,
        "added": [
            {"host": "six", "address": "2001:db8::5", "user": null, "roles": []},
            {"host": "inner", "address": "10.114.0.3", "user": null, "roles": []}
        ],
        "known": [],
        "unmapped": [
            {"what": "making", "why": "it has no address yet"},
            {"what": "web-1", "why": "web-1 is in the inventory with the address 192.0.2.9, and here with 203.0.113.5; change it there if it moved"}
        ],
        "notes": [
            {"what": "inner", "why": "it has only a private address: you need to be in its network, or a ProxyJump in ~/.ssh/config"}
        ]
    });
    assert_eq!(line, expected);
    let text = folder.text();
    assert!(text.starts_with(ours), "{text:?}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = Folder::new();
    let ini = data("hosts.ini");
    let output = folder.import(&[ini.to_str().unwrap(), "--dry-run"], None);
    assert_eq!(output.status.code(), Some(0), "{}", all(&output));
    assert!(out(&output).contains("8 hosts would be added to "));
    assert!(
        out(&output).contains(
            "+ host-2001-db8-7  [2001:db8::7]:2200  user deploy  (db, site)  from 2001:db8::7\n"
        ),
        "{}",
        all(&output)
    );
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 0);
}

#[test]
fn no_secret_of_any_source_is_shown_or_written() {
    for name in [
        "terraform_show.json",
        "terraform_output.json",
        "scw.json",
        "hosts.ini",
        "hosts.yaml",
    ] {
        let folder = Folder::new();
        let text = content(name);
        assert!(text.contains("s3cret"), "{name}");
        let mut first = None;
        for words in [["--json", "-v"], ["-v", "-v"]] {
            let output = folder.import(&words, Some(&text));
            assert_eq!(output.status.code(), Some(0), "{}", all(&output));
            assert!(!all(&output).contains("s3cret"), "{}", all(&output));
            assert!(!folder.text().contains("s3cret"), "{}", folder.text());
            // Whatever the source, a second run changes nothing.
            assert_eq!(*first.get_or_insert_with(|| folder.text()), folder.text());
        }
    }
    // A state that was cut off is not taken for a list of hosts.
    let folder = Folder::new();
    let state = content("terraform_show.json");
    let compact: String = state.split_whitespace().collect();
    for text in [&state[..2500], &compact[..2000]] {
        let output = folder.import(&[], Some(text));
        assert_eq!(output.status.code(), Some(2), "{}", all(&output));
        assert!(text.contains("s3cret") && !all(&output).contains("s3cret"));
        assert!(
            all(&output).contains("it is no JSON, from line "),
            "{}",
            all(&output)
        );
    }
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_done_is_exit_2_and_changes_nothing() {
    let folder = Folder::new();
    let refused = |words: &[&str], input: &str, told: &str| {
        let output = folder.import(words, Some(input));
        assert_eq!(output.status.code(), Some(2), "{}", all(&output));
        assert!(all(&output).contains(told), "{told}\n{}", all(&output));
    };
    refused(&[], "", "it is none of: terraform show -json");
    refused(&["--role", "@web"], "[web]\na\n", "`@web` is not a role");
    refused(&["--format", "doctl"], "{}", "it is no list of droplets");
    refused(&["/nowhere"], "", "cannot read /nowhere");
    assert!(!folder.path().exists());
    let wrong = "[environment.production]\n";
    folder.write(wrong);
    refused(
        &[],
        "[web]\na\n",
        "inventory.toml:1: unknown key `environment`",
    );
    assert_eq!(folder.text(), wrong);
    let dotted = "environments.production.forward_only = true\n";
    folder.write(dotted);
    refused(&["--dry-run"], "[web]\na\n", "only a person can add to");
    assert_eq!(folder.text(), dotted);
}
