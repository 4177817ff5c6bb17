//! Validly signed hostile archives, and honest ones that were tampered with.

use std::fs;
use std::io::Write;

use longshore::release::{OpenError, Release};

use crate::app::App;
use crate::crafted::{artifact, gzip, manifest, open_tar, release, sign};

const END: [u8; 1024] = [0; 1024];

struct Raw<'a> {
    name: &'a [u8],
    kind: u8,
    size: &'a [u8],
    link: &'a [u8],
    mode: &'a [u8],
    content: &'a [u8],
}

const FILE: Raw<'static> = Raw {
    name: b"a",
    kind: b'0',
    size: b"",
    link: b"",
    mode: b"0000644\0",
    content: b"",
};

impl Raw<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        {
            let old = header.as_old_mut();
            old.name[..self.name.len()].copy_from_slice(self.name);
            old.linkname[..self.link.len()].copy_from_slice(self.link);
            old.mode[..self.mode.len()].copy_from_slice(self.mode);
            old.linkflag = [self.kind];
        }
        if self.size.is_empty() {
            header.set_size(self.content.len() as u64);
        } else {
            header.as_old_mut().size[..self.size.len()].copy_from_slice(self.size);
        }
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(self.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

fn file(name: &str) -> Vec<u8> {
    Raw {
        name: name.as_bytes(),
        content: b"x",
        ..FILE
    }
    .bytes()
}

fn folder(name: &str) -> Vec<u8> {
    Raw {
        name: name.as_bytes(),
        kind: b'5',
        ..FILE
    }
    .bytes()
}

fn link(kind: u8, name: &str, target: &str) -> Vec<u8> {
    Raw {
        name: name.as_bytes(),
        kind,
        link: target.as_bytes(),
        ..FILE
    }
    .bytes()
}

fn pax(kind: u8, records: &[u8]) -> Vec<u8> {
    Raw {
        name: b"pax",
        kind,
        content: records,
        ..FILE
    }
    .bytes()
}

/// A pax record; its length counts its own digits.
fn record(key: &str, value: &str) -> Vec<u8> {
    let body = format!(" {key}={value}\n");
    let mut length = body.len() + 1;
    while length.to_string().len() + body.len() != length {
        length += 1;
    }
    format!("{length}{body}").into_bytes()
}

fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = members.concat();
    bytes.extend_from_slice(&END);
    bytes
}

fn why(app: &App, tar: &[u8]) -> String {
    match open_tar(app, tar) {
        Ok(_) => panic!("it was accepted"),
        Err(OpenError::Tar { source, .. }) => source.to_string(),
        Err(other) => panic!("refused for another reason: {other:?}"),
    }
}

#[test]
fn an_honest_tar_passes_so_that_the_others_can_fail() {
    let app = App::empty();
    // All is well but the tree's digest, which these archives are not signed with.
    let honest = tar(&[
        folder("d/"),
        file("d/a"),
        link(b'2', "l", "d/a"),
        folder("e/"),
    ]);
    let opened = open_tar(&app, &honest);
    assert!(
        matches!(opened, Err(OpenError::OtherTree { .. })),
        "{opened:?}"
    );
    let normalised = tar(&[
        Raw {
            name: b"s",
            mode: b"0007777\0",
            ..FILE
        }
        .bytes(),
        Raw {
            name: b"t",
            mode: b"0000000\0",
            ..FILE
        }
        .bytes(),
        pax(
            b'x',
            &record("SCHILY.xattr.security.capability", "whatever"),
        ),
        file("u"),
        pax(b'g', &record("comment", "abcd")),
        file("v"),
    ]);
    let opened = open_tar(&app, &normalised);
    assert!(
        matches!(opened, Err(OpenError::OtherTree { .. })),
        "{opened:?}"
    );
}

#[test]
fn names_and_links_that_leave() {
    let app = App::empty();
    for members in [
        vec![file("/tmp/moo")],
        vec![file("//tmp/moo")],
        vec![file("../moo")],
        vec![file("tmp/../../moo")],
        vec![file("a/..")],
        vec![file("./../x")],
        vec![link(b'2', "moo", "/tmp/moo"), file("moo")],
        vec![link(b'2', "tmp", "/tmp"), file("tmp/moo")],
        vec![
            link(b'2', "cur", "."),
            link(b'2', "par", "cur/.."),
            file("par/moo"),
        ],
        vec![
            link(b'2', "cur", "."),
            link(b'2', "cur/par", ".."),
            file("x"),
        ],
        vec![link(b'2', "d", "/outside"), folder("d/")],
        vec![link(b'2', "static", "/etc")],
        vec![link(b'2', "env", "../../other-app/.env")],
        vec![link(b'2', "loop", "loop")],
        vec![link(b'2', "one", "two"), link(b'2', "two", "../x")],
        vec![file("b/f"), link(b'1', "shadow", "/etc/shadow")],
        vec![file("b/f"), link(b'1', "inside", "b/f")],
        vec![link(b'3', "char", "")],
        vec![link(b'4', "block", "")],
        vec![link(b'6', "fifo", "")],
        vec![link(b'7', "contiguous", "")],
        vec![link(b'S', "sparse", "")],
        vec![link(b'A', "unknown", "")],
        vec![link(b'M', "continued", "")],
        vec![link(b'V', "volume", "")],
        vec![file("a"), file("a")],
        vec![file("a"), file("./a")],
        vec![file("a"), folder("a/")],
        vec![folder("a"), folder("a/")],
        vec![file("a"), file("a/b")],
        vec![folder("README/"), file("README")],
        vec![file("a\nb")],
        vec![file("a\u{1b}[2J")],
        vec![file("a\u{7}")],
        vec![
            Raw {
                name: b"a\xff",
                ..FILE
            }
            .bytes(),
        ],
        vec![file(".longshore/manifest")],
        vec![file("a\\b")],
        vec![],
    ] {
        let reason = why(&app, &tar(&members));
        assert!(!reason.contains('\u{1b}'), "{reason:?}");
    }
}

#[test]
fn long_and_deep_names() {
    let app = App::empty();
    for (path, reason) in [
        ("n".repeat(256), "255 bytes"),
        (format!("{}a", "abcdefg/".repeat(512)), "1024 bytes"),
        (format!("{}a", "d/".repeat(64)), "64 folders"),
        (format!("{}a", "d/".repeat(10_000)), "1024 bytes"),
    ] {
        let mut name = path.clone().into_bytes();
        name.push(0);
        for long in [pax(b'x', &record("path", &path)), pax(b'L', &name)] {
            let text = why(&app, &tar(&[long, file("a")]));
            assert!(text.contains(reason), "{reason}: {text}");
        }
    }
}

#[test]
fn extended_headers_that_mislead() {
    let app = App::empty();
    let inner = tar(&[file("phantom")]);
    let hidden = Raw {
        content: &inner,
        ..FILE
    }
    .bytes();
    let with_body = Raw {
        size: b"00000000000\0",
        content: &inner,
        ..FILE
    }
    .bytes();
    let x = |key: &str, value: &str| pax(b'x', &record(key, value));
    let comment = || pax(b'g', &record("comment", "abcd"));
    let twice = |key: &str| pax(b'x', &[record(key, "1"), record(key, "1")].concat());
    let long = || pax(b'L', b"b\0");
    let huge = Raw {
        name: b"g",
        kind: b'g',
        size: b"37777777777\0",
        ..FILE
    };
    let misleading = "malformed or misleading";
    for (members, reason) in [
        (vec![x("path", "../moo/x"), file("a")], "\"..\" part"),
        (vec![x("path", "/moo"), file("a")], "not relative"),
        (
            vec![x("linkpath", "/etc/x"), link(b'2', "l", "a"), file("a")],
            "target is not relative",
        ),
        (vec![pax(b'g', &record("path", "b")), file("a")], misleading),
        (vec![pax(b'g', &record("size", "1")), file("a")], misleading),
        (vec![x("size", "2048"), with_body], "read in two"),
        (vec![x("size", "0"), hidden], "read in two"),
        (vec![twice("size"), file("a")], misleading),
        (vec![twice("path"), file("a")], misleading),
        (vec![x("path", "b"), long(), file("a")], misleading),
        (vec![long(), x("path", "b"), file("a")], misleading),
        (vec![long(), long(), file("a")], misleading),
        (vec![x("path", "b"), x("path", "c"), file("a")], misleading),
        (
            vec![x("path", "b"), comment(), file("a")],
            "in the middle of an entry",
        ),
        (vec![pax(b'x', b"99 path=b\n"), file("a")], misleading),
        (vec![pax(b'x', b"9 path=b"), file("a")], misleading),
        (vec![pax(b'x', b"8 pathb\n"), file("a")], misleading),
        (vec![x("path", "b\0"), file("a")], misleading),
        (vec![x("path", "b")], misleading),
        (vec![x("GNU.sparse.major", "1"), file("a")], misleading),
        (vec![x("SUN.holesdata", "1 2"), file("a")], misleading),
        (vec![pax(b'x', &vec![b'1'; 8 << 20]), file("a")], misleading),
        (vec![huge.bytes()], misleading),
    ] {
        let text = why(&app, &tar(&members));
        assert!(text.contains(reason), "{reason}: {text}");
    }
    let opened = open_tar(&app, &tar(&[comment(), x("path", "b"), file("a")]));
    assert!(
        matches!(opened, Err(OpenError::OtherTree { .. })),
        "{opened:?}"
    );
}

#[test]
fn sizes_that_lie() {
    let app = App::empty();
    for size in [
        &b"-0000000001\0"[..],
        b"\x80\0\0\0\0\0\0\0\0\0\0\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"0000000009\0\0",
        b"abcdefghijk\0",
        b"77777777777\0",
        b"           \0",
        b"1 2        \0",
    ] {
        why(&app, &tar(&[Raw { size, ..FILE }.bytes()]));
    }
    let padded = Raw {
        name: b"d/",
        kind: b'5',
        content: b"x",
        ..FILE
    }
    .bytes();
    why(&app, &tar(&[padded]));
    let padded = Raw {
        name: b"l",
        kind: b'2',
        link: b"a",
        content: b"x",
        ..FILE
    }
    .bytes();
    why(&app, &tar(&[padded, file("a")]));
    let mut damaged = file("a");
    damaged[0] = b'b';
    assert!(why(&app, &tar(&[damaged])).contains("damaged"));
}

#[test]
fn ends_that_are_none() {
    let app = App::empty();
    let whole = tar(&[file("a")]);
    why(&app, &file("a"));
    why(&app, &[file("a"), vec![0; 512]].concat());
    why(&app, &whole[..700]);
    why(&app, &[whole.clone(), whole.clone()].concat());
    why(&app, &[whole.clone(), vec![0; 512], vec![1]].concat());
    why(
        &app,
        &[file("a"), vec![0; 512], file("b"), END.to_vec()].concat(),
    );
    why(&app, &[]);
    why(&app, b"PK\x03\x04 not a tar at all");
    let padded = open_tar(&app, &[whole, vec![0; 10240]].concat());
    assert!(matches!(padded, Err(OpenError::OtherTree { .. })));
}

#[test]
fn gzip_streams_that_are_more_or_less_than_one() {
    let app = App::empty();
    let plain = tar(&[file("a")]);
    let good = gzip(&plain);
    let mut named = flate2::GzBuilder::new()
        .filename("x")
        .write(Vec::new(), flate2::Compression::fast());
    named.write_all(&plain).unwrap();
    let mut crc = good.clone();
    let at = crc.len() - 6;
    crc[at] ^= 1;
    let mut isize = good.clone();
    let at = isize.len() - 1;
    isize[at] ^= 1;
    for tarball in [
        [good.clone(), gzip(b"")].concat(),
        [good.clone(), good.clone()].concat(),
        [good.clone(), b"text".to_vec()].concat(),
        [good.clone(), vec![0]].concat(),
        good[..good.len() - 1].to_vec(),
        good[..good.len() / 2].to_vec(),
        named.finish().unwrap(),
        gzip(&good),
        crc,
        isize,
        plain.clone(),
        Vec::new(),
    ] {
        let path = release(&app, &tarball, &manifest(&tarball, &plain, None));
        let opened = Release::open(&path);
        assert!(
            matches!(opened, Err(OpenError::Tarball { .. })),
            "{opened:?}"
        );
    }
}

#[test]
fn a_bomb_stops_at_the_signed_size() {
    let app = App::empty();
    let bomb = gzip(&vec![0; 64 << 20]);
    let mut signed = manifest(&bomb, b"", None);
    signed.tar.size = 4096;
    let begun = std::time::Instant::now();
    assert!(Release::open(&release(&app, &bomb, &signed)).is_err());
    assert!(begun.elapsed().as_secs() < 20);
}

#[test]
fn what_was_tampered_with_after_signing() {
    let app = App::new();
    app.build_well(&["--version", "1.0.0"]);
    let path = app.dist("cortico-1.0.0.tar.gz");
    Release::open(&path).unwrap();
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for tampered in [
        flipped,
        good[..good.len() - 1].to_vec(),
        [good.clone(), vec![0]].concat(),
        Vec::new(),
    ] {
        fs::write(&path, tampered).unwrap();
        let opened = Release::open(&path);
        assert!(
            matches!(opened, Err(OpenError::Tarball { .. })),
            "{opened:?}"
        );
    }
    fs::write(&path, &good).unwrap();

    let file = app.dist("cortico-1.0.0.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"clean\": true", "\"clean\": false")).unwrap();
    assert!(matches!(
        Release::open(&path),
        Err(OpenError::Mismatch { .. })
    ));
    fs::write(&file, &text).unwrap();
    sign(&app, &file, "git");
    assert!(matches!(
        Release::open(&path),
        Err(OpenError::Mismatch { .. })
    ));
    fs::write(app.dist("cortico-1.0.0.json.sig"), "").unwrap();
    assert!(matches!(
        Release::open(&path),
        Err(OpenError::Signature { .. })
    ));
    fs::remove_file(app.dist("cortico-1.0.0.json.sig")).unwrap();
    assert!(matches!(Release::open(&path), Err(OpenError::Part(_))));
}

#[test]
fn a_tree_that_was_not_signed() {
    let app = App::empty();
    let plain = tar(&[file("a")]);
    let tarball = gzip(&plain);
    let mut signed = manifest(&tarball, &plain, None);
    signed.tree.sha256 = artifact(b"other").sha256;
    let opened = Release::open(&release(&app, &tarball, &signed));
    assert!(matches!(opened, Err(OpenError::OtherTree { .. })));
}
