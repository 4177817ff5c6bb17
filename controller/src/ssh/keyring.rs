//! The person's private keys from files: read once for all hosts, and a passphrase asked once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use russh::keys::{self, PrivateKey, PublicKey};
use tokio::sync::Mutex;

/// How often a wrong passphrase may be typed.
const PASSPHRASE_TRIES: usize = 3;

/// Asks the person for a passphrase. `None` when there is nobody to ask.
pub trait AskPassphrase: Debug + Send + Sync {
    fn ask(&self, file: &Path) -> Option<String>;
}

/// Asks nobody.
#[derive(Debug)]
pub struct NobodyToAsk;

impl AskPassphrase for NobodyToAsk {
    fn ask(&self, _file: &Path) -> Option<String> {
        None
    }
}

#[derive(Debug)]
pub struct Keyring {
    person: Arc<dyn AskPassphrase>,
    loaded: Mutex<HashMap<PathBuf, Loaded>>,
}

/// What came of reading one file.
#[derive(Debug, Clone)]
pub enum Loaded {
    Key(Arc<PrivateKey>),
    Missing,
    /// In words that complete "the key FILE …".
    Unusable(String),
}

impl Keyring {
    pub fn new(person: Arc<dyn AskPassphrase>) -> Self {
        Keyring {
            person,
            loaded: Mutex::default(),
        }
    }

    /// The private key in `file`. The lock is held while the person types, so that many hosts do not
    /// ask for the same passphrase at once.
    pub async fn private(&self, file: &Path) -> Loaded {
        let mut loaded = self.loaded.lock().await;
        if let Some(known) = loaded.get(file) {
            return known.clone();
        }
        let person = Arc::clone(&self.person);
        let path = file.to_owned();
        let result = tokio::task::spawn_blocking(move || load(&path, person.as_ref()))
            .await
            .unwrap_or_else(|_| Loaded::Unusable("could not be read".to_owned()));
        loaded.insert(file.to_owned(), result.clone());
        result
    }

    /// The public half of `file`, from the file itself or the `.pub` beside it; asks nobody.
    pub fn public(file: &Path) -> Option<PublicKey> {
        let mut beside = file.as_os_str().to_owned();
        beside.push(".pub");
        [file.to_owned(), PathBuf::from(beside)]
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .find_map(|text| PublicKey::from_openssh(text.trim()).ok())
    }
}

fn load(file: &Path, person: &dyn AskPassphrase) -> Loaded {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Loaded::Missing,
        Err(error) => return Loaded::Unusable(format!("cannot be read: {error}")),
    };
    if PublicKey::from_openssh(text.trim()).is_ok() {
        return Loaded::Unusable(
            "is a public key, and no agent holds the private half of it".to_owned(),
        );
    }
    match keys::decode_secret_key(&text, None) {
        Ok(key) => usable(key),
        Err(keys::Error::KeyIsEncrypted) => unlock(file, &text, person),
        Err(error) => Loaded::Unusable(format!("cannot be used: {error}")),
    }
}

fn usable(key: PrivateKey) -> Loaded {
    if key.algorithm().is_rsa() {
        // The RSA code at hand leaks timing, so it is left out of this program.
        return Loaded::Unusable(
            "is an RSA key: add it to ssh-agent, which signs with it, or use an Ed25519 key"
                .to_owned(),
        );
    }
    Loaded::Key(Arc::new(key))
}

fn unlock(file: &Path, text: &str, person: &dyn AskPassphrase) -> Loaded {
    for _ in 0..PASSPHRASE_TRIES {
        let Some(passphrase) = person.ask(file) else {
            return Loaded::Unusable(
                "has a passphrase, and there is no terminal to ask for it: add it to ssh-agent"
                    .to_owned(),
            );
        };
        if let Ok(key) = keys::decode_secret_key(text, Some(&passphrase)) {
            return usable(key);
        }
    }
    Loaded::Unusable("has another passphrase than those typed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The passphrase is "test".
    const LOCKED: &str = include_str!("testdata/locked_ed25519");

    #[derive(Debug)]
    struct Says(&'static str, AtomicUsize);

    impl AskPassphrase for Says {
        fn ask(&self, _file: &Path) -> Option<String> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Some(self.0.to_owned())
        }
    }

    fn locked() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        std::fs::write(&file, LOCKED).unwrap();
        (folder, file)
    }

    #[tokio::test]
    async fn a_passphrase_is_asked_once_for_all_hosts() {
        let (_folder, file) = locked();
        let person = Arc::new(Says("test", AtomicUsize::new(0)));
        let ring = Keyring::new(person.clone());
        let (a, b) = tokio::join!(ring.private(&file), ring.private(&file));
        assert!(matches!((a, b), (Loaded::Key(_), Loaded::Key(_))));
        assert_eq!(person.1.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_said_in_words() {
        let (folder, file) = locked();
        let says = |loaded: Loaded| match loaded {
            Loaded::Unusable(why) => why,
            other => panic!("{other:?}"),
        };
        let nobody = Keyring::new(Arc::new(NobodyToAsk));
        assert!(says(nobody.private(&file).await).contains("add it to ssh-agent"));
        let wrong = Keyring::new(Arc::new(Says("no", AtomicUsize::new(0))));
        assert!(says(wrong.private(&file).await).contains("another passphrase"));
        let rubbish = folder.path().join("rubbish");
        std::fs::write(&rubbish, "rubbish").unwrap();
        assert!(says(nobody.private(&rubbish).await).contains("cannot be used"));
        let missing = folder.path().join("missing");
        assert!(matches!(nobody.private(&missing).await, Loaded::Missing));
    }
}
