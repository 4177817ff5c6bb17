//! A change of whom this host trusts: signed by somebody whom it trusts for that, for this
//! environment, newer than what stands, and never one after which nobody could change it again.

use std::sync::PoisonError;

use jiff::Timestamp;
use longshore_shared::signature::{SIGNERS_NAMESPACE, Signer, Trust, verify};
use longshore_shared::trust_file::{LARGEST_STEP, TrustFile};
use longshore_shared::wire::latest::{Reply, SignedTrust};

use super::{HostTrust, store};
use crate::host::Host;
use crate::ledger::Ledger;
use crate::operation::{Trouble, chain};

const MEND: &str =
    "mend the inventory or its signers file, then push again; what was trusted before still is";

/// What a change comes to.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) reply: Reply,
    pub(crate) signer: String,
    pub(crate) serial: u64,
}

/// Installs a trust file, or refuses it.
pub(crate) fn change(
    ledger: &Ledger,
    host: &Host,
    signed: &SignedTrust,
) -> Result<Changed, Trouble> {
    let now = HostTrust::now(ledger)?;
    let _alone = store::LISTS.write().unwrap_or_else(PoisonError::into_inner);
    // One that broke off would otherwise come back at the next start.
    store::finish_interrupted().map_err(|error| refused(&error))?;
    let installed = store::installed().map_err(|error| refused(&error))?;
    let trust = match &installed {
        Some(signed) => store::rules_of(signed).map_err(|error| refused(&error))?,
        None => HostTrust::of_files(&host.environment, now)?.trust,
    };
    let change = Change::check(host, &trust, installed.as_ref(), signed, now)?;
    if !change.unchanged {
        store::install(signed, &change.file.rules).map_err(|error| {
            Trouble::because(&error, "look at the disk of this host, then push again")
        })?;
    }
    Ok(Changed {
        reply: Reply::Trusted {
            serial: change.file.serial,
            unchanged: change.unchanged,
        },
        signer: change.signer.principals,
        serial: change.file.serial,
    })
}

/// A change that may be made.
#[derive(Debug)]
struct Change {
    file: TrustFile,
    signer: Signer,
    /// Whether it is what the host trusts already.
    unchanged: bool,
}

impl Change {
    /// Judges a change by what the host trusts now and what it installed last.
    fn check(
        host: &Host,
        trust: &Trust,
        installed: Option<&SignedTrust>,
        signed: &SignedTrust,
        now: Timestamp,
    ) -> Result<Self, Trouble> {
        let signer = verified(trust, signed, now)?;
        let file = TrustFile::parse(&signed.text).map_err(|error| refused(&error))?;
        if file.environment != host.environment {
            return Err(Trouble::refused(
                format!(
                    "the signers are those of {}, and this host belongs to {}",
                    file.environment, host.environment
                ),
                "push the signers of the host's own environment",
            ));
        }
        let unchanged = installed.is_some_and(|installed| installed.text == signed.text);
        if !unchanged {
            let serial = store::serial_of(installed).map_err(|error| refused(&error))?;
            rises(serial, file.serial)?;
            leaves_a_way_on(&file, now)?;
        }
        Ok(Self {
            file,
            signer,
            unchanged,
        })
    }
}

/// Neither an old list, nor one after which there would be no number left.
fn rises(from: u64, to: u64) -> Result<(), Trouble> {
    if to > from && to - from <= LARGEST_STEP {
        return Ok(());
    }
    Err(Trouble::refused(
        format!(
            "the signers have serial number {to}, and those of this host {from}: an old list brings nobody back, and none may jump ahead"
        ),
        "run `longshore signers push` again: it takes the next number",
    ))
}

fn verified(trust: &Trust, signed: &SignedTrust, now: Timestamp) -> Result<Signer, Trouble> {
    let text = signed.text.as_bytes();
    verify(trust, SIGNERS_NAMESPACE, text, &signed.signature, now).map_err(|error| {
        Trouble::refused(
            format!("the signers are not accepted: {}", chain(&error)),
            format!(
                "sign them with a key that this host's /etc/longshore/allowed_signers lists for {SIGNERS_NAMESPACE}"
            ),
        )
    })
}

/// Refuses rules that this agent could not read, or that nobody could change afterwards.
fn leaves_a_way_on(file: &TrustFile, now: Timestamp) -> Result<(), Trouble> {
    let trust = file.rules.read().map_err(|error| refused(&error))?;
    if trust
        .allowed
        .anyone_may(SIGNERS_NAMESPACE, &trust.revoked, now)
    {
        return Ok(());
    }
    Err(Trouble::refused(
        format!(
            "with these signers nobody could change them again: no key may sign for {SIGNERS_NAMESPACE}"
        ),
        MEND,
    ))
}

fn refused(error: &dyn std::error::Error) -> Trouble {
    Trouble::refused(
        format!("the signers are not accepted: {}", chain(error)),
        MEND,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};
    use longshore_shared::signature::{armor, signed_data};
    use longshore_shared::trust_file::TrustRules;

    /// The blob of something that SSH writes as a kind and one string.
    fn blob(content: &[u8]) -> Vec<u8> {
        let string = |bytes: &[u8]| {
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            [&length, bytes].concat()
        };
        [string(b"ssh-ed25519"), string(content)].concat()
    }

    struct Key(SigningKey);

    impl Key {
        fn new(seed: u8) -> Self {
            Self(SigningKey::from_bytes(&[seed; 32]))
        }

        fn line(&self, options: &str) -> String {
            use base64::Engine as _;
            let key = blob(self.0.verifying_key().as_bytes());
            let key = base64::prelude::BASE64_STANDARD.encode(key);
            let options = match options {
                "" => "namespaces=\"longshore-release,longshore-signers\"",
                "nothing said" => "",
                options => options,
            };
            format!("ops@example.com {options} ssh-ed25519 {key}\n")
        }

        fn sign(&self, namespace: &str, file: &TrustFile) -> SignedTrust {
            let text = file.to_text().unwrap();
            let made = self.0.sign(&signed_data(namespace, text.as_bytes()));
            let key = blob(self.0.verifying_key().as_bytes());
            SignedTrust {
                signature: armor(&key, namespace, &blob(&made.to_bytes())),
                text,
            }
        }
    }

    fn host() -> Host {
        toml::from_str("environment = \"production\"\nhost = \"web-1\"\n").unwrap()
    }

    fn rules(allowed: String) -> TrustRules {
        TrustRules::new(allowed, b"", None, true)
    }

    fn file(environment: &str, serial: u64, allowed: String) -> TrustFile {
        let environment = longshore_shared::name::EnvironmentName::new(environment).unwrap();
        TrustFile::new(environment, serial, rules(allowed))
    }

    /// What is refused, in a word of the reason; nothing where it is accepted.
    fn refusal(
        trusted: String,
        installed: Option<&SignedTrust>,
        signed: &SignedTrust,
    ) -> Option<String> {
        let trust = rules(trusted).read().unwrap();
        let checked = Change::check(&host(), &trust, installed, signed, Timestamp::now());
        checked.err().map(|trouble| trouble.message())
    }

    #[test]
    fn rotation_goes_forward_and_by_trusted_hands_alone() {
        let (old, new) = (Key::new(1), Key::new(2));
        let first = old.sign(SIGNERS_NAMESPACE, &file("production", 1, old.line("")));
        assert_eq!(refusal(old.line(""), None, &first), None);
        // From the old key to the new one.
        let second = old.sign(SIGNERS_NAMESPACE, &file("production", 2, new.line("")));
        assert_eq!(refusal(old.line(""), Some(&first), &second), None);
        // The old key is out, also with the first file played again.
        let third = old.sign(SIGNERS_NAMESPACE, &file("production", 3, old.line("")));
        for replayed in [&third, &first] {
            let said = refusal(new.line(""), Some(&second), replayed).unwrap();
            assert!(said.contains("not among the signers"), "{said}");
        }
        // A key that is trusted still brings back nothing old, and the same with other content.
        for serial in [0, 1, 2] {
            let replayed = new.sign(SIGNERS_NAMESPACE, &file("production", serial, old.line("")));
            let said = refusal(new.line(""), Some(&second), &replayed).unwrap();
            assert!(said.contains("serial number"), "{said}");
        }
        let ahead = file("production", 1 << 63, new.line(""));
        let ahead = new.sign(SIGNERS_NAMESPACE, &ahead);
        assert!(refusal(new.line(""), Some(&second), &ahead).is_some());
    }

    #[test]
    fn only_what_was_signed_for_it_and_for_here() {
        let key = Key::new(1);
        let good = file("production", 1, key.line(""));
        let said = |trusted: &str, signed: &SignedTrust| {
            refusal(key.line(trusted), None, signed).unwrap_or_default()
        };
        let signed = key.sign(SIGNERS_NAMESPACE, &good);
        let releases = "namespaces=\"longshore-release\"";
        for narrow in [releases, "nothing said"] {
            assert!(said(narrow, &signed).contains("may not sign for longshore-signers"));
        }
        let release = key.sign("longshore-release", &good);
        assert!(said("", &release).contains("was made for"));
        let elsewhere = key.sign(SIGNERS_NAMESPACE, &file("staging", 1, key.line("")));
        assert!(said("", &elsewhere).contains("those of staging"));
        let nobody = file("production", 1, key.line(releases));
        assert!(said("", &key.sign(SIGNERS_NAMESPACE, &nobody)).contains("nobody could change"));
        let empty = key.sign(SIGNERS_NAMESPACE, &file("production", 1, String::new()));
        assert!(said("", &empty).contains("names no signer"));
        let mut changed = signed;
        changed.text = changed.text.replace("true", "false");
        assert!(said("", &changed).contains("does not fit"));
    }
}
