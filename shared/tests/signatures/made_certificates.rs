//! Certificates that `ssh-keygen -s` does not make, really signed by an authority that is trusted.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use longshore_shared::signature::{
    RELEASE_NAMESPACE, Revoked, SshSigError, VerifyError, armor, signed_data, verify,
};

use crate::ssh_keygen::Keys;
use crate::token::{MESSAGE, string};
use crate::{is_accepted, refusal, trust};

const NAME: &str = "release@example.com";

/// The fields of a certificate, good ones to begin with.
#[derive(Clone)]
struct Made {
    serial: u64,
    class: u32,
    key_id: Vec<u8>,
    names: Vec<Vec<u8>>,
    after: u64,
    before: u64,
    critical: Vec<u8>,
    extensions: Vec<u8>,
    behind: Vec<u8>,
}

fn good() -> Made {
    Made {
        serial: 7,
        class: 1,
        key_id: b"the id".to_vec(),
        names: vec![NAME.as_bytes().to_vec()],
        after: 0,
        before: u64::MAX,
        critical: Vec::new(),
        extensions: [string(b"permit-pty"), string(b"")].concat(),
        behind: Vec::new(),
    }
}

fn public(key: &SigningKey) -> Vec<u8> {
    let point = key.verifying_key();
    [string(b"ssh-ed25519"), string(point.as_bytes())].concat()
}

fn made(key: &SigningKey, data: &[u8]) -> Vec<u8> {
    let signature = key.sign(data).to_bytes();
    [string(b"ssh-ed25519"), string(&signature)].concat()
}

impl Made {
    fn authority() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    /// Whom the authority may certify.
    fn list() -> String {
        let authority = BASE64_STANDARD.encode(public(&Self::authority()));
        format!("{NAME} cert-authority ssh-ed25519 {authority}")
    }

    /// A signature by the holder of such a certificate.
    fn signature(&self) -> String {
        let holder = SigningKey::from_bytes(&[2; 32]);
        let names: Vec<u8> = self.names.iter().flat_map(|name| string(name)).collect();
        let mut blob = [
            string(b"ssh-ed25519-cert-v01@openssh.com"),
            string(b"some nonce"),
            string(holder.verifying_key().as_bytes()),
            self.serial.to_be_bytes().to_vec(),
            self.class.to_be_bytes().to_vec(),
            string(&self.key_id),
            string(&names),
            self.after.to_be_bytes().to_vec(),
            self.before.to_be_bytes().to_vec(),
            string(&self.critical),
            string(&self.extensions),
            string(b""),
            string(&public(&Self::authority())),
        ]
        .concat();
        blob.extend(string(&made(&Self::authority(), &blob)));
        blob.extend(&self.behind);
        let data = signed_data(RELEASE_NAMESPACE, MESSAGE);
        armor(&blob, RELEASE_NAMESPACE, &made(&holder, &data))
    }
}

#[test]
fn each_reason_against_a_certificate_is_told() {
    let keys = Keys::new();
    let trust = trust(&Made::list());
    let accepted = |made: &Made| {
        let signature = made.signature();
        let stock = keys.stock_accepts(&Made::list(), NAME, MESSAGE, &signature);
        (is_accepted(&trust, MESSAGE, &signature), stock)
    };
    assert_eq!(accepted(&good()), (true, true));
    let names = |names: &[&[u8]]| names.iter().map(|name| name.to_vec()).collect();
    let many = vec![b"a".to_vec(); 257];
    let certificate = SshSigError::Certificate;
    for (what, spoil, reason) in [
        (
            "half an extension",
            Made {
                extensions: string(b"permit-pty"),
                ..good()
            },
            certificate,
        ),
        (
            "an id with an end in it",
            Made {
                key_id: b"the id\0".to_vec(),
                ..good()
            },
            SshSigError::Certificate,
        ),
        (
            "an id that is no text",
            Made {
                key_id: b"\xff".to_vec(),
                ..good()
            },
            SshSigError::Certificate,
        ),
        (
            "a byte behind",
            Made {
                behind: vec![0],
                ..good()
            },
            SshSigError::Certificate,
        ),
        (
            "an end before there was time",
            Made {
                before: 0,
                ..good()
            },
            SshSigError::Certificate,
        ),
        (
            "a host",
            Made { class: 2, ..good() },
            SshSigError::NotOfUser,
        ),
        (
            "a class of its own",
            Made { class: 3, ..good() },
            SshSigError::NotOfUser,
        ),
        (
            "a critical option",
            Made {
                critical: [string(b"verify-required"), string(b"")].concat(),
                ..good()
            },
            SshSigError::CriticalOption,
        ),
        (
            "nobody",
            Made {
                names: names(&[]),
                ..good()
            },
            SshSigError::CertificateNames,
        ),
        (
            "an empty name",
            Made {
                names: names(&[b"", NAME.as_bytes()]),
                ..good()
            },
            SshSigError::CertificateNames,
        ),
        (
            "a name with an end in it",
            Made {
                names: names(&[b"release@example.com\0"]),
                ..good()
            },
            SshSigError::CertificateNames,
        ),
        (
            "a name that a terminal obeys",
            Made {
                names: names(&[NAME.as_bytes(), b"\x1b[2J"]),
                ..good()
            },
            SshSigError::CertificateNames,
        ),
        (
            "a name that is two",
            Made {
                names: names(&[b"release@example.com,ci@example.com"]),
                ..good()
            },
            SshSigError::CertificateNames,
        ),
        (
            "a pattern",
            Made {
                names: names(&[b"*@example.com"]),
                ..good()
            },
            SshSigError::CertificateNames,
        ),
        (
            "too many names",
            Made {
                names: many,
                ..good()
            },
            SshSigError::CertificateNames,
        ),
    ] {
        let said = refusal(&trust, MESSAGE, &spoil.signature());
        let VerifyError::Format(said) = said else {
            unreachable!("{what}: {said}");
        };
        assert_eq!(said, reason, "{what}");
    }
}

#[test]
fn serial_numbers_ids_and_any_authority_in_binary_lists() {
    let trust = trust(&Made::list());
    let header = [&b"SSHKRL\n\0\0\0\0\x01"[..], &[0; 24], &[0; 8]].concat();
    let authority = public(&Made::authority());
    let other = public(&SigningKey::from_bytes(&[3; 32]));
    let id = string(b"the id");
    let serial = |number: u64| number.to_be_bytes();
    for (of, kind, body, serial_of_it, revoked) in [
        (&authority[..], 0x20, &serial(7)[..], 7, true),
        (&[], 0x20, &serial(7), 7, true),
        (&other, 0x20, &serial(7), 7, false),
        (&authority, 0x20, &serial(8), 7, false),
        (
            &authority,
            0x21,
            &[serial(1), serial(u64::MAX)].concat(),
            7,
            true,
        ),
        // Without a serial number, none that is listed is its own.
        (
            &authority,
            0x21,
            &[serial(1), serial(u64::MAX)].concat(),
            0,
            false,
        ),
        (&authority, 0x23, &id, 0, true),
        (&[], 0x23, &id, 7, true),
        (&authority, 0x23, &string(b"the i"), 7, false),
    ] {
        let section = [string(of), string(b""), vec![kind], string(body)].concat();
        let list = [&header[..], &[1], &string(&section)].concat();
        let mut trust = trust.clone();
        trust.revoked = Revoked::parse(&list).unwrap();
        let made = Made {
            serial: serial_of_it,
            ..good()
        };
        let accepted = is_accepted(&trust, MESSAGE, &made.signature());
        assert_eq!(accepted, !revoked, "{kind:x} {body:?} of {of:?}");
    }
}

/// To the second, and where nothing is refused that `ssh-keygen` accepts at that second.
#[test]
fn the_ends_of_times_are_those_of_ssh_keygen() {
    const BEGIN: &str = "20240102030405";
    const END: &str = "20240203040506";
    let at = |time: &str| {
        let [year, month, day, hour, minute, second] =
            [0..4, 4..6, 6..8, 8..10, 10..12, 12..14].map(|part| &time[part]);
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
        text.parse::<Timestamp>().unwrap()
    };
    let seconds = |time: &str| u64::try_from(at(time).as_second()).unwrap();
    let keys = Keys::new();
    let plain = keys.sign("id", RELEASE_NAMESPACE, MESSAGE);
    let narrow = keys.line(&format!("valid-after=\"{BEGIN}Z\",valid-before=\"{END}\""));
    let certified = Made {
        after: seconds(BEGIN),
        before: seconds(END),
        ..good()
    };
    let mut changes = 0;
    for (list, signature) in [(narrow, plain), (Made::list(), certified.signature())] {
        let mut before = false;
        for time in [
            "20240102030404",
            BEGIN,
            "20240102030406",
            "20240203040505",
            END,
            "20240203040507",
        ] {
            let ours = verify(
                &trust(&list),
                RELEASE_NAMESPACE,
                MESSAGE,
                &signature,
                at(time),
            );
            let stock = keys.stock_accepts_at(&list, NAME, MESSAGE, &signature, time);
            assert_eq!(ours.is_ok(), stock, "{time} {list}: {ours:?}");
            changes += u32::from(before != stock);
            before = stock;
            if let Err(error) = ours {
                let said = error.to_string();
                assert!(said.starts_with(&format!("signed by {NAME}, ")), "{said}");
                assert!(said.contains("(valid-"), "{said}");
            }
        }
    }
    assert_eq!(changes, 4, "each begins and ends");
}
