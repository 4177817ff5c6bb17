//! The tree of a release: the sorted list of mode, size, SHA-256 and path that the manifest signs.
//!
//! The list is what a host rebuilds a release from, so its reader refuses whatever could reach
//! outside the release or hide in it. A host never parses an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use thiserror::Error;

use crate::digest::Sha256Digest;

/// The folder of a release that is the agent's own.
pub const RESERVED: &str = ".longshore";
/// More than this in one release is refused before anything is read into memory.
pub const MOST_ENTRIES: usize = 1_000_000;
const LONGEST_PATH: usize = 1024;
const LONGEST_PART: usize = 255;
const DEEPEST: usize = 64;
/// As many links as Linux follows in one path.
const MOST_HOPS: usize = 40;

/// What an entry is, with the mode that it gets and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Mode 0644.
    File,
    /// Mode 0755.
    Executable,
    /// Its content is its target, relative and inside the release.
    Symlink,
    /// A folder with nothing in it; others follow from the paths.
    EmptyFolder,
}

impl Kind {
    const fn mode(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::EmptyFolder => "040000",
        }
    }

    fn from_mode(mode: &str) -> Option<Self> {
        [
            Self::File,
            Self::Executable,
            Self::Symlink,
            Self::EmptyFolder,
        ]
        .into_iter()
        .find(|kind| kind.mode() == mode)
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub size: u64,
    pub digest: Sha256Digest,
    pub path: String,
}

/// A checked tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(Vec<Entry>);

/// Why a list is no tree. Paths are escaped, since they may be hostile.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TreeError {
    #[error("the release is empty")]
    Empty,
    #[error("the release has more than {MOST_ENTRIES} entries")]
    TooMany,
    #[error("line {line} of the tree is not `mode size sha256 path`")]
    Line { line: usize },
    #[error("the path {path:?} is refused: {why}")]
    Path { path: String, why: &'static str },
    #[error("{path:?} is out of order or there twice")]
    Order { path: String },
    #[error("{path:?} is a file and also the folder of another entry")]
    FileAsFolder { path: String },
    #[error("{path:?} has a size or digest that its kind cannot have")]
    Size { path: String },
    #[error("the sizes add up to more than can be")]
    Overflow,
}

impl Tree {
    /// Sorts and checks entries, as `build` and the reader of a tarball make them.
    pub fn from_entries(mut entries: Vec<Entry>) -> Result<Self, TreeError> {
        entries.sort_by(|one, other| one.path.as_bytes().cmp(other.path.as_bytes()));
        Self::check(entries)
    }

    /// Reads the text that [`Tree::render`] writes, and nothing else.
    pub fn parse(text: &str) -> Result<Self, TreeError> {
        let mut entries = Vec::new();
        let body = match text.strip_suffix('\n') {
            Some(body) => body,
            None if text.is_empty() => return Err(TreeError::Empty),
            None => {
                return Err(TreeError::Line {
                    line: text.lines().count(),
                });
            }
        };
        for (at, line) in body.split('\n').enumerate() {
            if at >= MOST_ENTRIES {
                return Err(TreeError::TooMany);
            }
            entries.push(parse_line(line).ok_or(TreeError::Line { line: at + 1 })?);
        }
        Self::check(entries)
    }

    /// The text whose SHA-256 is the digest of the tree.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 128);
        for entry in &self.0 {
            let Entry {
                kind,
                size,
                digest,
                path,
            } = entry;
            let _infallible = writeln!(text, "{} {size} {digest} {path}", kind.mode());
        }
        text
    }

    /// The entries in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// All content, unpacked.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|entry| entry.size).sum()
    }

    /// Follows every symlink through every other one, as the kernel would: each has to end at
    /// something in this tree. `target` gives a symlink's content by its path.
    pub fn check_links(&self, targets: &BTreeMap<&str, String>) -> Result<(), TreeError> {
        if self.0.iter().all(|entry| entry.kind != Kind::Symlink) {
            return Ok(());
        }
        let mut places = BTreeSet::from([""]);
        for entry in &self.0 {
            places.insert(entry.path.as_str());
            for (slash, _) in entry.path.match_indices('/') {
                places.insert(entry.path.get(..slash).unwrap_or_default());
            }
        }
        for entry in self.0.iter().filter(|entry| entry.kind == Kind::Symlink) {
            follow(&entry.path, targets, &places).map_err(|why| TreeError::Path {
                path: entry.path.clone(),
                why,
            })?;
        }
        Ok(())
    }

    fn check(entries: Vec<Entry>) -> Result<Self, TreeError> {
        if entries.is_empty() {
            return Err(TreeError::Empty);
        }
        if entries.len() > MOST_ENTRIES {
            return Err(TreeError::TooMany);
        }
        let mut total: u64 = 0;
        let mut leaves = BTreeSet::new();
        for entry in &entries {
            check_path(&entry.path)?;
            let sized = match entry.kind {
                Kind::EmptyFolder => entry.size == 0 && entry.digest == Sha256Digest::of(b""),
                Kind::Symlink => (1..=LONGEST_PATH as u64).contains(&entry.size),
                Kind::File | Kind::Executable => true,
            };
            if !sized {
                return Err(TreeError::Size {
                    path: entry.path.clone(),
                });
            }
            total = total.checked_add(entry.size).ok_or(TreeError::Overflow)?;
            leaves.insert(entry.path.as_str());
        }
        for (one, next) in entries.iter().zip(entries.iter().skip(1)) {
            if one.path.as_bytes() >= next.path.as_bytes() {
                return Err(TreeError::Order {
                    path: next.path.clone(),
                });
            }
        }
        for entry in &entries {
            for (slash, _) in entry.path.match_indices('/') {
                let folder = entry.path.get(..slash).unwrap_or_default();
                if leaves.contains(folder) {
                    return Err(TreeError::FileAsFolder {
                        path: folder.to_owned(),
                    });
                }
            }
        }
        Ok(Self(entries))
    }
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut fields = line.splitn(4, ' ');
    let kind = Kind::from_mode(fields.next()?)?;
    let size = fields.next()?;
    let digest = Sha256Digest::parse(fields.next()?).ok()?;
    let path = fields.next()?.to_owned();
    // One number has one spelling, so that one tree has one digest.
    let number: u64 = size.parse().ok()?;
    (number.to_string() == size).then_some(Entry {
        kind,
        size: number,
        digest,
        path,
    })
}

/// Refuses every path that could leave the release, hide in a terminal or not be kept byte-exact.
pub fn check_path(path: &str) -> Result<(), TreeError> {
    let refuse = |why| {
        Err(TreeError::Path {
            path: path.chars().take(200).collect(),
            why,
        })
    };
    if path.is_empty() || path.starts_with('/') {
        return refuse("it is not relative");
    }
    if path.len() > LONGEST_PATH {
        return refuse("it is longer than 1024 bytes");
    }
    if path.contains(|c: char| c.is_control() || c == '\\') {
        return refuse("it holds a control character or a backslash");
    }
    for (depth, part) in path.split('/').enumerate() {
        match part {
            "" | "." | ".." => return refuse("it has an empty, \".\" or \"..\" part"),
            _ if part.len() > LONGEST_PART => return refuse("a part is longer than 255 bytes"),
            RESERVED if depth == 0 => return refuse("\".longshore\" is the agent's own"),
            _ if depth >= DEEPEST => return refuse("it is deeper than 64 folders"),
            _ => {}
        }
    }
    Ok(())
}

/// Walks `path` part by part; strings alone cannot tell where a chain of links ends.
fn follow(
    path: &str,
    targets: &BTreeMap<&str, String>,
    places: &BTreeSet<&str>,
) -> Result<(), &'static str> {
    let mut ahead: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut here: Vec<String> = Vec::new();
    let mut hops = 0;
    while let Some(part) = ahead.pop() {
        match part.as_str() {
            "." => continue,
            ".." => {
                here.pop().ok_or("its target leaves the release")?;
                continue;
            }
            _ => here.push(part),
        }
        let place = here.join("/");
        if !places.contains(place.as_str()) {
            return Err("its target is not in the release");
        }
        let Some(target) = targets.get(place.as_str()) else {
            continue;
        };
        check_target(target)?;
        hops += 1;
        if hops > MOST_HOPS {
            return Err("it is one of a loop of links");
        }
        here.pop();
        ahead.extend(
            target
                .split('/')
                .rev()
                .filter(|part| !part.is_empty())
                .map(str::to_owned),
        );
    }
    Ok(())
}

fn check_target(target: &str) -> Result<(), &'static str> {
    if target.is_empty() || target.starts_with('/') || target.len() > LONGEST_PATH {
        return Err("its target is not relative");
    }
    if target.contains(|c: char| c.is_control() || c == '\\') {
        return Err("its target holds a control character or a backslash");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(kind: Kind, path: &str) -> Entry {
        let digest = Sha256Digest::of(b"");
        let size = u64::from(kind == Kind::Symlink);
        Entry {
            kind,
            size,
            digest,
            path: path.to_owned(),
        }
    }

    fn links(entries: &[(&str, &str)]) -> Result<(), TreeError> {
        let tree = Tree::from_entries(
            entries
                .iter()
                .map(|(path, target)| {
                    entry(
                        if target.is_empty() {
                            Kind::File
                        } else {
                            Kind::Symlink
                        },
                        path,
                    )
                })
                .collect(),
        )
        .unwrap();
        let targets = entries
            .iter()
            .filter(|(_, target)| !target.is_empty())
            .map(|(path, target)| (*path, (*target).to_owned()))
            .collect();
        tree.check_links(&targets)
    }

    #[test]
    fn hostile_paths_are_refused() {
        let long_part = "a".repeat(256);
        let long_path = "a/".repeat(600) + "a";
        let deep = "a/".repeat(64) + "a";
        for path in [
            "",
            "/tmp/moo",
            "//tmp/moo",
            "../moo",
            "tmp/../../moo",
            "a/..",
            "./../x",
            "./a",
            "a/",
            "a//b",
            "a\nb",
            "a\u{1b}[0m",
            "a\u{7}",
            "a\\b",
            "a\0b",
            ".longshore",
            ".longshore/env",
            &long_part,
            &long_path,
            &deep,
        ] {
            let made = Tree::from_entries(vec![entry(Kind::File, path)]);
            assert!(
                matches!(made, Err(TreeError::Path { .. })),
                "{path:?} gave {made:?}"
            );
        }
    }

    #[test]
    fn one_path_is_one_thing() {
        let twice = Tree::from_entries(vec![entry(Kind::File, "a"), entry(Kind::Executable, "a")]);
        assert!(matches!(twice, Err(TreeError::Order { .. })));
        let parent = Tree::from_entries(vec![entry(Kind::File, "a"), entry(Kind::File, "a/b")]);
        assert!(matches!(parent, Err(TreeError::FileAsFolder { .. })));
        let beside = vec![
            entry(Kind::File, "a"),
            entry(Kind::File, "a.b"),
            entry(Kind::File, "a/b"),
        ];
        assert!(matches!(
            Tree::from_entries(beside),
            Err(TreeError::FileAsFolder { .. })
        ));
        let case = Tree::from_entries(vec![
            entry(Kind::File, "README"),
            entry(Kind::File, "readme"),
        ]);
        assert!(case.is_ok());
    }

    #[test]
    fn links_end_inside() {
        links(&[
            ("a/file", ""),
            ("b/link", "../a/file"),
            ("c", "b/link"),
            ("d", "a"),
        ])
        .unwrap();
    }

    #[test]
    fn links_that_leave_are_refused_through_any_chain() {
        for hostile in [
            &[("static", "/etc")][..],
            &[("env", "../../other-app/.env")],
            &[("loop", "loop")],
            &[("a", "b"), ("b", "a")],
            &[("dangling", "nowhere")],
            // Each target is harmless as a string; together they leave.
            &[
                ("a/b/c/file", ""),
                ("a/b/c/up", "../.."),
                ("a/b/escape", "c/up/../.."),
            ],
            &[("par", "cur/.."), ("cur", "."), ("x", "")],
        ] {
            assert!(links(hostile).is_err(), "{hostile:?} passed");
        }
    }

    #[test]
    fn a_list_has_one_spelling() {
        let digest = Sha256Digest::of(b"");
        for text in [
            String::new(),
            format!("100644 0 {digest} a"),
            format!("100644 00 {digest} a\n"),
            format!("100644 +0 {digest} a\n"),
            format!("100777 0 {digest} a\n"),
            format!("100644  0 {digest} a\n"),
            format!("100644 0 {digest} b\n100644 0 {digest} a\n"),
            format!("100644 0 {digest} a\n\n"),
            format!("100644 0 {digest} a\r\n"),
            format!("040000 1 {digest} a\n"),
            format!("100644 18446744073709551615 {digest} a\n100644 1 {digest} b\n"),
        ] {
            assert!(Tree::parse(&text).is_err(), "{text:?} passed");
        }
    }

    proptest! {
        #[test]
        fn render_and_parse_are_inverse(paths in proptest::collection::btree_set("[a-z]{1,8}(/[a-z.]{3,8}x){0,3}", 1..40)) {
            let entries = paths.iter().map(|path| entry(Kind::File, path)).collect();
            if let Ok(tree) = Tree::from_entries(entries) {
                prop_assert_eq!(Tree::parse(&tree.render()).unwrap(), tree);
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,300}") {
            let _ = Tree::parse(&text);
        }
    }
}
