//! An app's repository, a signing key, and the binary with an environment of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) const APP_FILE: &str = "\
[app]
name = \"cortico\"
[build]
run = [\"date > built-at\", \"mkdir -p wheels/empty\", \"umask >> built-at\"]
[web]
gunicorn = \"config.wsgi:application\"
health = { path = \"/healthz\" }
";

pub(crate) struct App {
    pub(crate) home: TempDir,
}

impl App {
    /// One commit with the usual kinds of entries.
    pub(crate) fn new() -> Self {
        let app = Self::empty();
        app.write(
            "longshore.toml",
            &APP_FILE.replace("date >", "date -d @0 >"),
        );
        app.write("manage.py", "print('hello')\n");
        app.write("static/café.css", "body {}\n");
        app.write(
            &format!("{}/{}.txt", "deep".repeat(30), "n".repeat(120)),
            "deep\n",
        );
        app.write("not-shipped/x", "x\n");
        app.write(".gitattributes", "not-shipped export-ignore\n");
        app.write("bin/run", "#!/bin/sh\n");
        let mode = PermissionsExt::from_mode(0o755);
        fs::set_permissions(app.root().join("bin/run"), mode).unwrap();
        std::os::unix::fs::symlink("../manage.py", app.root().join("bin/manage")).unwrap();
        app.commit("Begin");
        app
    }

    pub(crate) fn empty() -> Self {
        let app = Self {
            home: tempfile::tempdir().unwrap(),
        };
        app.generate_key("id", "ed25519", "");
        app.trust("id");
        fs::create_dir(app.root()).unwrap();
        app.git(&["init", "--quiet", "--initial-branch=main"]);
        app
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("app")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.path("id")
    }

    pub(crate) fn dist(&self, name: &str) -> PathBuf {
        self.root().join("dist").join(name)
    }

    /// From now on this key is the one that may sign.
    pub(crate) fn trust(&self, key: &str) {
        let public = fs::read_to_string(self.path(key).with_extension("pub")).unwrap();
        let allowed = format!("release@example.com namespaces=\"longshore-release\" {public}");
        fs::write(self.path("allowed_signers"), allowed).unwrap();
    }

    pub(crate) fn generate_key(&self, name: &str, kind: &str, passphrase: &str) {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"])
            .arg(self.path(name))
            .status()
            .unwrap();
        assert!(made.success());
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        let output = self
            .command("git", &self.root())
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A program with nothing of this machine in its environment but where programs are.
    pub(crate) fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("LONGSHORE_IDENTITY", "a key that no step may see")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.com")
            .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z");
        command
    }

    pub(crate) fn longshore(&self, words: &[&str]) -> Output {
        self.longshore_command().args(words).output().unwrap()
    }

    pub(crate) fn longshore_command(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_longshore"), &self.root())
    }

    /// Builds with the usual key.
    pub(crate) fn build(&self, words: &[&str]) -> Output {
        let key = self.key();
        let mut all = vec!["build", "--key", key.to_str().unwrap()];
        all.extend(words);
        self.longshore(&all)
    }

    pub(crate) fn build_well(&self, words: &[&str]) {
        let output = self.build(words);
        assert!(output.status.success(), "{}", said(&output));
    }

    /// What stock tar says is in a release's tarball.
    pub(crate) fn listing(&self, stem: &str) -> Vec<String> {
        let text = self.tar("-tzf", stem, &[]);
        text.lines().map(str::to_owned).collect()
    }

    /// The content of one file of a release.
    pub(crate) fn unpacked(&self, stem: &str, name: &str) -> String {
        self.tar("-xOzf", stem, &[name])
    }

    fn tar(&self, verb: &str, stem: &str, names: &[&str]) -> String {
        let output = Command::new("tar")
            .arg(verb)
            .arg(self.dist(&format!("{stem}.tar.gz")))
            .args(names)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn is_signed(&self, stem: &str) -> bool {
        let manifest = fs::File::open(self.dist(&format!("{stem}.json"))).unwrap();
        let output = self
            .command("ssh-keygen", &self.root())
            .args(["-Y", "verify", "-I", "release@example.com"])
            .args(["-n", "longshore-release", "-f"])
            .arg(self.path("allowed_signers"))
            .arg("-s")
            .arg(self.dist(&format!("{stem}.json.sig")))
            .stdin(manifest)
            .output()
            .unwrap();
        output.status.success()
    }
}

/// Everything that a program printed.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
