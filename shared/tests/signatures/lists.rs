//! Lists of signers, rights and revoked keys.

use jiff::Timestamp;
use longshore_shared::name::EnvironmentName;
use longshore_shared::signature::{
    AllowedSigners, RELEASE_NAMESPACE, Revoked, SIGNERS_NAMESPACE, Trust, VerifyError, verify,
    verify_manifest,
};

use crate::ssh_keygen::Keys;
use crate::{is_accepted, refusal};

/// One line each: what stock OpenSSH refuses is refused here, and what it accepts is accepted, but
/// for what is named.
#[test]
fn lists_of_signers_mean_what_they_mean_to_ssh_keygen() {
    let keys = Keys::new();
    keys.generate("other", "ed25519");
    let signature = keys.sign("id", RELEASE_NAMESPACE, b"message");
    let other = format!("release@example.com {}", keys.public("other"));
    for (list, accepted) in [
        (keys.line(""), true),
        (keys.line("namespaces=\"longshore-release\""), true),
        (keys.line("namespaces=\"git,longshore-*\""), true),
        (
            keys.line("namespaces=\"longshore-*,!longshore-release\""),
            false,
        ),
        (keys.line("namespaces=\"git\""), false),
        (keys.line("valid-before=\"20200101\""), false),
        (keys.line("valid-before=\"29990101\""), true),
        (keys.line("valid-after=\"29990101\""), false),
        (
            keys.line("valid-after=\"20200101\",valid-before=\"29990101Z\""),
            true,
        ),
        (keys.line("cert-authority"), false),
        (keys.line("no-such-option"), false),
        (
            format!("{}\n{other}", keys.line("valid-before=\"20200101\"")),
            false,
        ),
        (format!("{other}\n{}", keys.line("")), true),
        (other.clone(), false),
        (String::new(), false),
        (
            keys.line("")
                .replace("release@", "\"a@x,release@")
                .replacen(".com ", ".com\" ", 1),
            true,
        ),
    ] {
        let stock = keys.stock_accepts(&list, "release@example.com", b"message", &signature);
        assert_eq!(stock, accepted, "ssh-keygen: {list}");
        let ours = AllowedSigners::parse(&list).is_ok_and(|allowed| {
            let trust = Trust {
                allowed,
                ..Trust::default()
            };
            is_accepted(&trust, b"message", &signature)
        });
        assert_eq!(ours, accepted, "{list}");
    }
}

#[test]
fn who_may_release_is_a_rule_of_the_environment() {
    let keys = Keys::new();
    let signature = keys.sign("id", RELEASE_NAMESPACE, b"message");
    let production = EnvironmentName::new("production").unwrap();
    let mut trust = keys.trust("");
    for (release_by, may) in [
        (None, true),
        (Some(vec![]), false),
        (Some(vec!["ci@example.com", "ops@example.com"]), false),
        (Some(vec!["ci@example.com", "release@example.com"]), true),
        (Some(vec!["*@example.com"]), true),
        (Some(vec!["*@other.example"]), false),
    ] {
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        trust.release_by = release_by.clone().map(owned);
        let now = Timestamp::now();
        let said = verify_manifest(&trust, Some(&production), b"message", &signature, now);
        let said = said.unwrap_err();
        assert_eq!(
            matches!(said, VerifyError::Manifest(_)),
            may,
            "{release_by:?}: {said}"
        );
        if release_by.is_some_and(|list| list.len() == 2) && !may {
            assert_eq!(
                said.to_string(),
                "signed by release@example.com, who may not release to production; \
                 allowed: ci@example.com, ops@example.com"
            );
        }
        // Who may change the signers is another matter, and has to be said.
        let own = keys.sign("id", SIGNERS_NAMESPACE, b"message");
        let said = verify(&trust, SIGNERS_NAMESPACE, b"message", &own, now);
        assert!(matches!(said, Err(VerifyError::OtherNamespaces { .. })));
        let mut named = keys.trust("namespaces=\"longshore-signers\"");
        named.release_by.clone_from(&trust.release_by);
        assert!(verify(&named, SIGNERS_NAMESPACE, b"message", &own, now).is_ok());
    }
}

#[test]
fn a_revoked_key_is_refused_whatever_else_is_said_of_it() {
    let keys = Keys::new();
    let signature = keys.sign("id", RELEASE_NAMESPACE, b"message");
    let mut trust = keys.trust("");
    trust.revoked = Revoked::parse(keys.public("id").as_bytes()).unwrap();
    let said = refusal(&trust, b"message", &signature);
    assert!(matches!(said, VerifyError::Revoked { .. }), "{said}");
    assert!(trust.revoked.reason(&signature).is_some());
    keys.generate("other", "ed25519");
    trust.revoked = Revoked::parse(keys.public("other").as_bytes()).unwrap();
    assert!(is_accepted(&trust, b"message", &signature));
    assert_eq!(trust.revoked.reason(&signature), None);
}
