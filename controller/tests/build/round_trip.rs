//! What a host gets is what was in the release.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use longshore::release::{ContentsError, Part, Question, Release, Wanted, find};
use longshore_shared::digest::Sha256Digest;
use longshore_shared::name::AppName;
use longshore_shared::tree::Kind;
use proptest::prelude::*;

use crate::app::{APP_FILE, App};

fn plainly(wanted: &[(u64, u64)]) -> Question {
    Question {
        wanted: Part::Entries(wanted.to_vec()),
        held: None,
    }
}

fn contents(release: &Release, wanted: &[(u64, u64)]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut reader = release.answer(&plainly(wanted)).unwrap();
    reader.read_to_end(&mut compressed).unwrap();
    let plain = zstd::decode_all(&compressed[..]).unwrap();
    assert_eq!(plain.len() as u64, reader.unpacked());
    // One frame and nothing after it.
    assert_eq!(
        zstd::zstd_safe::find_frame_compressed_size(&compressed),
        Ok(compressed.len())
    );
    plain
}

/// Takes the contents apart by the tree, as a host does.
fn check(release: &Release, wanted: &[(u64, u64)]) {
    let plain = contents(release, wanted);
    let mut rest = &plain[..];
    for (first, count) in wanted {
        let range = *first as usize..(first + count) as usize;
        for entry in &release.tree().entries()[range] {
            let (content, after) = rest.split_at(entry.size as usize);
            assert_eq!(Sha256Digest::of(content), entry.digest, "{}", entry.path);
            rest = after;
        }
    }
    assert!(rest.is_empty());
}

fn built(app: &App) -> Release {
    app.build_well(&["--version", "1.0.0"]);
    Release::open(&app.dist("cortico-1.0.0.json")).unwrap()
}

#[test]
fn contents_and_tree_are_those_of_the_commit() {
    let app = App::new();
    let release = built(&app);
    let all = release.tree().entries().len() as u64;
    check(&release, &[(0, all)]);
    check(&release, &[(0, 1), (2, 2), (4, 1)]);
    check(&release, &[]);
    let question = Question {
        wanted: Part::Tree,
        held: None,
    };
    let text = zstd::decode_all(release.answer(&question).unwrap()).unwrap();
    let tree = release
        .manifest()
        .read_tree(std::str::from_utf8(&text).unwrap());
    assert_eq!(&tree.unwrap(), release.tree());
    let kinds: BTreeMap<&str, Kind> = release
        .tree()
        .entries()
        .iter()
        .map(|entry| (entry.path.as_str(), entry.kind))
        .collect();
    assert_eq!(kinds["bin/run"], Kind::Executable);
    assert_eq!(kinds["bin/manage"], Kind::Symlink);
    assert_eq!(kinds["wheels/empty"], Kind::EmptyFolder);
    assert_eq!(kinds["static/café.css"], Kind::File);
}

#[test]
fn impossible_wishes_are_refused() {
    let app = App::new();
    let release = built(&app);
    let all = release.tree().entries().len() as u64;
    for wanted in [
        &[(0, all + 1)][..],
        &[(all, 1)],
        &[(0, 0)],
        &[(1, 1), (0, 1)],
        &[(0, 2), (1, 1)],
        &[(0, u64::MAX)],
        &[(u64::MAX, 1)],
        &[(1, u64::MAX)],
    ] {
        let refused = release.answer(&plainly(wanted));
        assert!(matches!(refused, Err(ContentsError::Ranges)), "{wanted:?}");
    }
}

#[test]
fn ten_hosts_read_one_compression_while_it_goes_on() {
    let app = App::new();
    let mut noise = 1u64;
    let bytes: Vec<u8> = (0..3_000_000)
        .map(|_| {
            noise = noise
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (noise >> 56) as u8
        })
        .collect();
    fs::write(app.root().join("noise.bin"), bytes).unwrap();
    app.commit("Noise");
    let release = Arc::new(built(&app));
    let all = release.tree().entries().len() as u64;
    let hosts: Vec<_> = (0..10)
        .map(|_| {
            let release = Arc::clone(&release);
            std::thread::spawn(move || Sha256Digest::of(&contents(&release, &[(0, all)])))
        })
        .collect();
    let digests: Vec<_> = hosts.into_iter().map(|host| host.join().unwrap()).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    // Many other wishes push the first one out, and it can still be had.
    for first in 0..all.min(9) {
        check(&release, &[(first, 1)]);
    }
    check(&release, &[(0, all)]);
}

#[test]
fn releases_are_found_by_version_and_commit() {
    let app = App::new();
    let first = app.git(&["rev-parse", "HEAD"]);
    app.build_well(&["--version", "1.9.0"]);
    app.build_well(&["--version", "1.10.0"]);
    app.write("manage.py", "changed\n");
    app.build_well(&["--version", "2.0.0", "--allow-dirty"]);
    let dist = app.root().join("dist");
    let name = AppName::new("cortico").unwrap();
    let tarball = |wanted| find(&dist, &name, wanted).map(|files| files.tarball);
    assert_eq!(
        tarball(Wanted::Commit(&first)),
        Some(app.dist("cortico-1.10.0.tar.gz"))
    );
    let version = semver::Version::new(1, 9, 0);
    assert_eq!(
        tarball(Wanted::Version(&version)),
        Some(app.dist("cortico-1.9.0.tar.gz"))
    );
    let unknown = "0".repeat(40);
    assert_eq!(tarball(Wanted::Commit(&unknown)), None);
    assert!(
        find(
            &dist,
            &AppName::new("other").unwrap(),
            Wanted::Version(&version)
        )
        .is_none()
    );
    fs::remove_file(app.dist("cortico-1.9.0.json.sig")).unwrap();
    assert_eq!(tarball(Wanted::Version(&version)), None);
}

#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, bool),
    Folder(BTreeMap<String, Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = (
        proptest::collection::vec(any::<u8>(), 0..2000),
        any::<bool>(),
    )
        .prop_map(|(bytes, executable)| Node::File(bytes, executable));
    leaf.prop_recursive(4, 40, 6, |inner| {
        proptest::collection::btree_map("[a-zé .-]{0,20}x{1,90}", inner, 0..6)
            .prop_map(Node::Folder)
    })
}

fn write(node: &Node, path: &std::path::Path) {
    match node {
        Node::File(bytes, executable) => {
            fs::write(path, bytes).unwrap();
            let mode = if *executable { 0o700 } else { 0o600 };
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
        Node::Folder(children) => {
            fs::create_dir_all(path).unwrap();
            for (name, child) in children {
                write(child, &path.join(name));
            }
        }
    }
}

fn expect(node: &Node, path: &str, expected: &mut BTreeMap<String, (Kind, Sha256Digest)>) {
    match node {
        Node::File(bytes, executable) => {
            let kind = if *executable {
                Kind::Executable
            } else {
                Kind::File
            };
            expected.insert(path.to_owned(), (kind, Sha256Digest::of(bytes)));
        }
        Node::Folder(children) if children.is_empty() => {
            let empty = (Kind::EmptyFolder, Sha256Digest::of(b""));
            expected.insert(path.to_owned(), empty);
        }
        Node::Folder(children) => {
            for (name, child) in children {
                expect(child, &format!("{path}/{name}"), expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_built_tree_arrives_as_it_was(node in node()) {
        let app = App::empty();
        let made = app.path("made");
        write(&Node::Folder(BTreeMap::from([("tree".to_owned(), node.clone())])), &made);
        let step = format!("cp -a {}/tree tree", made.display());
        app.write("longshore.toml", &APP_FILE.replace("date > built-at", &step));
        app.commit("Begin");
        let release = built(&app);
        let mut expected = BTreeMap::new();
        expect(&node, "tree", &mut expected);
        let got: BTreeMap<String, (Kind, Sha256Digest)> = release
            .tree()
            .entries()
            .iter()
            .filter(|entry| entry.path.starts_with("tree"))
            .map(|entry| (entry.path.clone(), (entry.kind, entry.digest)))
            .collect();
        prop_assert_eq!(got, expected);
        check(&release, &[(0, release.tree().entries().len() as u64)]);
    }
}
