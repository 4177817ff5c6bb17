//! Certificates and the lists that revoke them, held against stock OpenSSH: what it refuses is refused.

use std::process::Command;

use jiff::Timestamp;
use longshore_shared::signature::{RELEASE_NAMESPACE, Revoked, SshSig, Trust, VerifyError};

use crate::ssh_keygen::Keys;
use crate::{is_accepted, refusal, trust};

const MESSAGE: &[u8] = b"message";
const NAME: &str = "release@example.com";

impl Keys {
    /// Has `ca` certify the public half of `key`.
    pub(crate) fn certify(&self, ca: &str, key: &str, words: &[&str]) {
        let made = Command::new("ssh-keygen")
            .arg("-q")
            .arg("-s")
            .arg(self.path(ca))
            .args(words)
            .arg(self.path(key).with_extension("pub"))
            .status()
            .unwrap();
        assert!(made.success());
    }

    /// A binary list made of these lines, or of whole keys where a line names a file of one.
    pub(crate) fn revoke(&self, ca: Option<&str>, lines: &str) -> Vec<u8> {
        let (list, spec) = (self.path("krl"), self.path("spec"));
        std::fs::write(&spec, lines).unwrap();
        let mut stock = Command::new("ssh-keygen");
        stock.args(["-q", "-k", "-f"]).arg(&list);
        if let Some(ca) = ca {
            stock.arg("-s").arg(self.path(ca).with_extension("pub"));
        }
        assert!(stock.arg(&spec).status().unwrap().success());
        std::fs::read(&list).unwrap()
    }

    pub(crate) fn stock_revokes(&self, allowed: &str, signature: &str) -> bool {
        !self.stock_accepts_but(allowed, NAME, MESSAGE, signature, Some(&self.path("krl")))
    }
}

#[test]
fn certificates_are_accepted_as_ssh_keygen_accepts_them() {
    let keys = Keys::new();
    keys.generate("ca", "ed25519");
    keys.generate("other-ca", "ecdsa");
    let line =
        |options: &str, ca: &str| format!("{NAME} cert-authority{options} {}", keys.public(ca));
    for (kind, ca) in [("ed25519", "ca"), ("ecdsa", "ca"), ("ed25519", "other-ca")] {
        for (words, accepted) in [
            (&["-n", NAME][..], true),
            (&["-n", NAME, "-V", "+1d", "-z", "7"], true),
            (&["-n", "a@x,release@example.com"], true),
            (&["-n", "other@example.com"], false),
            (&[], false),
            (&["-n", NAME, "-V", "20200101:20200102"], false),
            (&["-n", NAME, "-V", "29980101:29990101"], false),
            (&["-h", "-n", NAME], false),
        ] {
            let _ = std::fs::remove_file(keys.path("holder"));
            keys.generate("holder", kind);
            keys.certify(ca, "holder", &[&["-I", "an id"], words].concat());
            let signature = keys.sign("holder-cert.pub", RELEASE_NAMESPACE, MESSAGE);
            for (list, of_it) in [
                (line("", ca), true),
                (line(",namespaces=\"longshore-release\"", ca), true),
                (line(",namespaces=\"git\"", ca), false),
                (line(",valid-before=\"20200101\"", ca), false),
                (line("", if ca == "ca" { "other-ca" } else { "ca" }), false),
                // A certificate is not its plain key, and an authority does not sign by itself.
                (format!("{NAME} {}", keys.public(ca)), false),
            ] {
                let wanted = accepted && of_it;
                let stock = keys.stock_accepts(&list, NAME, MESSAGE, &signature);
                assert_eq!(stock, wanted, "ssh-keygen: {kind} {words:?} {list}");
                assert_eq!(
                    is_accepted(&trust(&list), MESSAGE, &signature),
                    wanted,
                    "{kind} {words:?} {list}"
                );
            }
        }
    }
    let own = keys.sign("ca", RELEASE_NAMESPACE, MESSAGE);
    assert!(!is_accepted(&trust(&line("", "ca")), MESSAGE, &own));
}

#[test]
fn a_critical_option_narrows_what_is_not_known_here() {
    let keys = Keys::new();
    keys.generate("ca", "ed25519");
    keys.certify(
        "ca",
        "id",
        &["-I", "x", "-n", NAME, "-O", "force-command=true"],
    );
    let signature = keys.sign("id-cert.pub", RELEASE_NAMESPACE, MESSAGE);
    assert!(SshSig::parse(&signature).is_err());
}

#[test]
fn who_a_certificate_names_is_who_may_release() {
    let keys = Keys::new();
    keys.generate("ca", "ed25519");
    keys.certify(
        "ca",
        "id",
        &["-I", "x", "-n", "ci@example.com,root@elsewhere"],
    );
    let signature = keys.sign("id-cert.pub", RELEASE_NAMESPACE, MESSAGE);
    let line = format!("*@example.com cert-authority {}", keys.public("ca"));
    let mut trust = trust(&line);
    let production = longshore_shared::name::EnvironmentName::new("production").unwrap();
    for (entry, may) in [
        ("ci@example.com", true),
        ("ops@example.com", false),
        // The authority does not speak for those.
        ("root@elsewhere", false),
    ] {
        trust.release_by = Some(vec![entry.to_owned()]);
        let said = longshore_shared::signature::verify_manifest(
            &trust,
            Some(&production),
            MESSAGE,
            &signature,
            Timestamp::now(),
        )
        .unwrap_err();
        assert_eq!(
            matches!(said, VerifyError::Manifest(_)),
            may,
            "{entry}: {said}"
        );
    }
}

#[test]
fn binary_lists_revoke_what_they_revoke_for_ssh_keygen() {
    let keys = Keys::new();
    keys.generate("ca", "ed25519");
    keys.generate("other", "ed25519");
    keys.certify("ca", "id", &["-I", "the id", "-n", NAME, "-z", "42"]);
    let certified = keys.sign("id-cert.pub", RELEASE_NAMESPACE, MESSAGE);
    let plain = keys.sign("id", RELEASE_NAMESPACE, MESSAGE);
    let by_ca = format!("{NAME} cert-authority {}", keys.public("ca"));
    let by_key = format!("{NAME} {}", keys.public("id"));
    let (id, other, ca) = (keys.public("id"), keys.public("other"), keys.public("ca"));
    let print = keys.fingerprint("id");
    for (authority, lines, certificate, key) in [
        (None, id.clone(), true, true),
        (None, other, false, false),
        (None, ca, true, false),
        (None, format!("hash: {print}\n"), true, true),
        (Some("ca"), "serial: 42\n".to_owned(), true, false),
        (Some("ca"), "serial: 40-45\n".to_owned(), true, false),
        (
            Some("ca"),
            "serial: 41\nserial: 43\n".to_owned(),
            false,
            false,
        ),
        (
            Some("ca"),
            "serial: 2\nserial: 42\nserial: 44\nserial: 46\nserial: 47\nserial: 49\n".to_owned(),
            true,
            false,
        ),
        (Some("ca"), "id: the id\n".to_owned(), true, false),
        (Some("ca"), "id: another\n".to_owned(), false, false),
        (Some("other"), "serial: 42\n".to_owned(), false, false),
    ] {
        let list = keys.revoke(authority, &lines);
        let revoked = Revoked::parse(&list).unwrap();
        for (allowed, signature, wanted) in
            [(&by_ca, &certified, certificate), (&by_key, &plain, key)]
        {
            assert_eq!(
                keys.stock_revokes(allowed, signature),
                wanted,
                "ssh-keygen: {lines}"
            );
            let trust = Trust {
                revoked: revoked.clone(),
                ..trust(allowed)
            };
            let said = refusal(&trust, MESSAGE, signature);
            assert_eq!(
                matches!(said, VerifyError::Revoked { .. }),
                wanted,
                "{lines}: {said}"
            );
        }
        // A list that was cut short revokes nobody, so it must not pass for one.
        for end in 8..list.len() {
            let cut = Revoked::parse(&list[..end]);
            assert!(
                cut.is_err()
                    || end < list.len()
                        && cut.is_ok_and(|cut| ends_between_sections(&list, end, &cut)),
                "{lines}: {end}"
            );
        }
    }
    // A kind that is not understood refuses the whole.
    let sha1 = keys.revoke(None, &format!("sha1: {id}"));
    assert!(Revoked::parse(&sha1).is_err());
}

/// Sections follow one another without a count, so a cut between two of them cannot be told.
fn ends_between_sections(list: &[u8], end: usize, cut: &Revoked) -> bool {
    end < list.len() && *cut != Revoked::parse(list).unwrap()
}
