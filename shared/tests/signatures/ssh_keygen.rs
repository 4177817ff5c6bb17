//! Stock OpenSSH: it makes the keys, signs, and says what it thinks of signatures.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use longshore_shared::signature::{AllowedSigners, RELEASE_NAMESPACE, Trust};

/// A folder of keys, and the tool itself.
pub(crate) struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let keys = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        keys.generate("id", "ed25519");
        keys
    }

    pub(crate) fn generate(&self, name: &str, kind: &str) {
        self.generate_sized(name, kind, if kind == "rsa" { "2048" } else { "256" });
    }

    pub(crate) fn generate_sized(&self, name: &str, kind: &str, bits: &str) {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"])
            .arg(self.path(name))
            .status()
            .unwrap();
        assert!(made.success());
    }

    /// As `ssh-keygen -l` prints it.
    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let said = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(self.path(name))
            .output()
            .unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        text.split(' ').nth(1).unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name).with_extension("pub")).unwrap()
    }

    /// The key, as one line of `allowed_signers`.
    pub(crate) fn line(&self, options: &str) -> String {
        format!("release@example.com {options} {}", self.public("id"))
    }

    pub(crate) fn trust(&self, options: &str) -> Trust {
        Trust {
            allowed: AllowedSigners::parse(&self.line(options)).unwrap(),
            ..Trust::default()
        }
    }

    /// What `ssh-keygen` says of a signature by somebody who calls themselves `name`.
    pub(crate) fn stock_accepts(
        &self,
        allowed: &str,
        name: &str,
        message: &[u8],
        signature: &str,
    ) -> bool {
        self.stock_accepts_but(allowed, name, message, signature, None)
    }

    /// The same where the keys of a list are revoked.
    pub(crate) fn stock_accepts_but(
        &self,
        allowed: &str,
        name: &str,
        message: &[u8],
        signature: &str,
        revoked: Option<&Path>,
    ) -> bool {
        let words = revoked.iter().flat_map(|list| [Path::new("-r"), list]);
        self.stock_verify(
            allowed,
            name,
            message,
            signature,
            words.map(Path::as_os_str),
        )
    }

    /// The same at a time such as `20240102030405`.
    pub(crate) fn stock_accepts_at(
        &self,
        allowed: &str,
        name: &str,
        message: &[u8],
        signature: &str,
        time: &str,
    ) -> bool {
        let time = format!("verify-time={time}Z");
        self.stock_verify(
            allowed,
            name,
            message,
            signature,
            ["-O", &time].map(OsStr::new),
        )
    }

    fn stock_verify<'a>(
        &self,
        allowed: &str,
        name: &str,
        message: &[u8],
        signature: &str,
        words: impl IntoIterator<Item = &'a OsStr>,
    ) -> bool {
        let (list, sig) = (self.path("allowed"), self.path("to-check.sig"));
        std::fs::write(&list, allowed).unwrap();
        std::fs::write(&sig, signature).unwrap();
        let mut stock = Command::new("ssh-keygen");
        let mut stock = stock
            .args(["-Y", "verify", "-I", name, "-n", RELEASE_NAMESPACE, "-f"])
            .arg(&list)
            .arg("-s")
            .arg(&sig)
            .args(words)
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It may have made up its mind before it has read the message.
        let _ = stock.stdin.take().unwrap().write_all(message);
        stock.wait().unwrap().success()
    }

    pub(crate) fn sign(&self, name: &str, namespace: &str, message: &[u8]) -> String {
        let file = self.path("message");
        std::fs::write(&file, message).unwrap();
        let signature = Path::new(&format!("{}.sig", file.display())).to_owned();
        let _ = std::fs::remove_file(&signature);
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
            .arg(self.path(name))
            .arg(&file)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(signed.success());
        std::fs::read_to_string(signature).unwrap()
    }
}
