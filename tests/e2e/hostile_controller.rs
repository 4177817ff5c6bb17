//! Whoever may log in and deploy, and sends what was never signed: nothing of it becomes a release.
//!
//! The agent is spoken to frame by frame, since no `longshore` would say any of this.

use std::error::Error;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use longshore_lab::host::Host;
use longshore_lab::process;
use longshore_lab::sample::{Behaviour, Sample};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::stage::{ENVIRONMENT, Lease, lease};
use crate::told::{Story, Told};
use crate::wire::{Shipment, Wire};

pub(crate) const STORIES: &[Story] = &[
    Story {
        name: "hostile_controller::signs_with_what_nobody_listed",
        tell: foreign_signatures,
    },
    Story {
        name: "hostile_controller::sends_other_content_than_was_signed",
        tell: other_content,
    },
];

const TINY: Sample = Sample::Tiny;
const APP: &str = "tiny";

/// A release as its builder has it, taken apart with stock tools.
fn shipment(lease: &Lease, tarball: &str) -> Result<Shipment, Box<dyn Error>> {
    let folder = tempfile::tempdir_in(lease.folder())?;
    let words = ["--extract", "--gzip", "--file", tarball, "--directory"];
    process::run(Command::new("tar").args(words).arg(folder.path()))?;
    let mut files = Vec::new();
    list(folder.path(), folder.path(), &mut files)?;
    files.sort();
    let (mut tree, mut contents) = (String::new(), Vec::new());
    for path in files {
        let file = folder.path().join(&path);
        let content = fs_err::read(&file)?;
        let mode = match fs_err::metadata(&file)?.permissions().mode() & 0o111 {
            0 => "100644",
            _ => "100755",
        };
        let digest = hex(&content);
        tree.push_str(&format!("{mode} {} {digest} {path}\n", content.len()));
        contents.extend(content);
    }
    let manifest = tarball.replace(".tar.gz", ".json");
    let shipment = Shipment {
        signature: fs_err::read_to_string(format!("{manifest}.sig"))?,
        manifest: fs_err::read_to_string(manifest)?,
        tree: tree.into_bytes(),
        contents,
    };
    let signed: Value = serde_json::from_str(&shipment.manifest)?;
    assert_eq!(signed["tree"]["sha256"], hex(&shipment.tree));
    Ok(shipment)
}

fn list(root: &Path, folder: &Path, files: &mut Vec<String>) -> Told {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else {
            files.push(path.strip_prefix(root)?.display().to_string());
        }
    }
    Ok(())
}

fn hex(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same bits in every run, spread over all of `bytes`.
struct Bits(u64);

impl Bits {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn flip(&mut self, mut bytes: Vec<u8>, bits: usize) -> Vec<u8> {
        let at = self.below(bytes.len());
        bytes[at] ^= 1 << self.below(bits);
        bytes
    }
}

/// A connection for each try that the agent ended; the app stays locked.
struct Tries<'a> {
    host: &'a Host,
    wire: Wire,
}

impl<'a> Tries<'a> {
    fn begin(host: &'a Host) -> Result<Self, Box<dyn Error>> {
        let mut wire = Wire::open(host)?;
        wire.lock(ENVIRONMENT, APP)?;
        Ok(Self { host, wire })
    }

    /// Nothing but a reply that refuses, or the end of the connection, will do.
    fn refused(
        &mut self,
        what: &str,
        shipment: &Shipment,
        spoil: impl Fn(Vec<u8>) -> Vec<u8>,
    ) -> Told {
        match self.wire.stage(APP, shipment, spoil) {
            Ok(reply) => {
                let kind = reply["reply"].as_str();
                assert!(
                    matches!(kind, Some("refused" | "failed")),
                    "{what}: {reply}"
                );
            }
            Err(_) => *self = Self::begin(self.host)?,
        }
        Ok(())
    }
}

fn as_it_is(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Nothing is there but an empty home, and the very same release is still welcome.
fn ends_well(mut tries: Tries<'_>, good: &Shipment) -> Told {
    let left =
        "find /srv/longshore/tiny/releases /srv/longshore/tiny/staging -mindepth 1 2>/dev/null";
    let left = tries.host.sh(&format!("{left} || true"))?;
    assert_eq!(left, "");
    let reply = tries.wire.stage(APP, good, as_it_is)?;
    assert_eq!(reply["reply"], "staged", "{reply}");
    Ok(())
}

fn foreign_signatures() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let good = shipment(&lease, &first)?;
    let other = shipment(&lease, &second)?;
    let mut tries = Tries::begin(host)?;
    let signed = |signature: String| Shipment {
        signature,
        ..good.clone()
    };

    tries.refused(
        "another's signature",
        &signed(other.signature.clone()),
        as_it_is,
    )?;
    tries.refused("none", &signed(String::new()), as_it_is)?;
    let twice = format!("{0}{0}", good.signature);
    tries.refused("two good ones", &signed(twice), as_it_is)?;

    // A key of nobody, one that logs in on this very host, and the host's own.
    let manifest = lease.folder().join("manifest.json");
    fs_err::write(&manifest, &good.manifest)?;
    let sign = |key: &str, namespace: &str| -> Result<String, Box<dyn Error>> {
        let signature = format!("{}.sig", manifest.display());
        let _ = fs_err::remove_file(&signature);
        let words = ["-q", "-Y", "sign", "-n", namespace, "-f", key];
        process::run(Command::new("ssh-keygen").args(words).arg(&manifest))?;
        Ok(fs_err::read_to_string(signature)?)
    };
    let login = lease.folder().join("login").display().to_string();
    let words = ["-q", "-t", "ed25519", "-N", "", "-C", "login", "-f", &login];
    process::run(Command::new("ssh-keygen").args(words))?;
    tries.refused(
        "a stranger's",
        &signed(sign(&login, "longshore-release")?),
        as_it_is,
    )?;
    let public = fs_err::read_to_string(format!("{login}.pub"))?;
    let public = public.trim();
    host.sh(&format!("echo '{public}' >> /root/.ssh/authorized_keys"))?;
    tries.refused(
        "a login key's",
        &signed(sign(&login, "longshore-release")?),
        as_it_is,
    )?;
    let own = lease.folder().join("host_key").display().to_string();
    fs_err::copy(host.path("/etc/ssh/ssh_host_ed25519_key")?, &own)?;
    fs_err::set_permissions(&own, std::fs::Permissions::from_mode(0o600))?;
    tries.refused(
        "the host key's",
        &signed(sign(&own, "longshore-release")?),
        as_it_is,
    )?;
    for namespace in ["file", "git", "longshore-signers", "Longshore-release"] {
        let signature = sign(&lease.signing_key(), namespace)?;
        tries.refused(namespace, &signed(signature), as_it_is)?;
    }

    // Really signed, but as another app's.
    let mut wire = Wire::open(host)?;
    wire.lock(ENVIRONMENT, "cortico")?;
    let reply = wire.stage("cortico", &good, as_it_is)?;
    assert_eq!(reply["reply"], "refused", "{reply}");
    assert!(
        reply.to_string().contains("of tiny, not of cortico"),
        "{reply}"
    );

    let mut bits = Bits(0x10f7_5403);
    for round in 0..60 {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|error| error.to_string());
        let flipped = signed(text(bits.flip(good.signature.clone().into_bytes(), 7))?);
        tries.refused(&format!("signature, flip {round}"), &flipped, as_it_is)?;
        let flipped = Shipment {
            manifest: text(bits.flip(good.manifest.clone().into_bytes(), 7))?,
            ..good.clone()
        };
        tries.refused(&format!("manifest, flip {round}"), &flipped, as_it_is)?;
    }
    let history = host.sh("longshore-agent history")?;
    assert!(history.contains("Refused"), "{history}");
    host.sh("test ! -e /srv/longshore/cortico")?;
    ends_well(tries, &good)
}

fn other_content() -> Told {
    let lease = lease(1)?;
    let host = &lease.hosts[0];
    let repository = lease.repository(TINY)?;
    let first = lease.release(&repository, "1.0.0", &Behaviour::Good)?;
    let second = lease.release(&repository, "1.1.0", &Behaviour::Good)?;
    let good = shipment(&lease, &first)?;
    let other = shipment(&lease, &second)?;
    assert_ne!(good.contents, other.contents);
    let mut tries = Tries::begin(host)?;

    let with_tree = |tree: Vec<u8>| Shipment {
        tree,
        ..good.clone()
    };
    let with_contents = |contents: Vec<u8>| Shipment {
        contents,
        ..good.clone()
    };
    // Both were really signed.
    tries.refused("the other's tree", &with_tree(other.tree.clone()), as_it_is)?;
    tries.refused(
        "the other's contents",
        &with_contents(other.contents.clone()),
        as_it_is,
    )?;
    let mut both = with_tree(other.tree.clone());
    both.contents.clone_from(&other.contents);
    tries.refused("all of the other's", &both, as_it_is)?;

    let last = good.contents.len() - 1;
    tries.refused(
        "a byte less",
        &with_contents(good.contents[..last].to_vec()),
        as_it_is,
    )?;
    let more = [&good.contents[..], b"x"].concat();
    tries.refused("a byte more", &with_contents(more), as_it_is)?;
    let zeros = vec![0; good.contents.len()];
    tries.refused("as many zeros", &with_contents(zeros), as_it_is)?;
    let more = [&good.tree[..], b"\n"].concat();
    tries.refused("a line more", &with_tree(more), as_it_is)?;
    tries.refused("no frame at all", &good, |_| Vec::new())?;
    tries.refused("a byte behind a frame", &good, |frame| {
        [&frame[..], b"x"].concat()
    })?;
    tries.refused("half a frame", &good, |frame| {
        frame[..frame.len() / 2].to_vec()
    })?;

    let mut bits = Bits(0x5eed_1047);
    for round in 0..60 {
        let tree = bits.flip(good.tree.clone(), 8);
        tries.refused(&format!("tree, flip {round}"), &with_tree(tree), as_it_is)?;
        let contents = bits.flip(good.contents.clone(), 8);
        tries.refused(
            &format!("contents, flip {round}"),
            &with_contents(contents),
            as_it_is,
        )?;
    }
    // While it comes in, nobody but root comes near it.
    host.sh("test \"$(stat -c %a:%U /srv/longshore/tiny/staging)\" = 700:root")?;
    ends_well(tries, &good)
}
