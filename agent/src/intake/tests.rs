//! Whatever a host holds, and however much of it is damaged: what is rebuilt is the signed tree.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use longshore_shared::digest::Sha256Digest;
use longshore_shared::pieces::{HeldPieces, RecipeWriter};
use longshore_shared::tree::{Entry, Kind, Tree};
use longshore_shared::wire::codec::{CHUNK, Decoder, Frame};
use longshore_shared::wire::latest::{Ask, FromAgent, ToAgent};
use proptest::prelude::*;

use super::Dialog;
use super::attempt::Attempt;
use super::base::Base;
use super::rebuild::Rebuild;
use crate::events::Cursor;
use crate::layout::AppLayout;
use crate::ledger::{Ledger, NewOperation};
use crate::locks::Claimant;
use crate::operation::{Operation, Operations, Trouble};
use crate::peer::Peer;

/// Contents as lines, so that they are like each other. Each tree has a link to the first of them too,
/// and a folder with nothing in it.
type Files = BTreeMap<String, (bool, Vec<u32>)>;

fn content(lines: &[u32]) -> Vec<u8> {
    let line = |line: &u32| format!("line {line} {}\n", "x".repeat(*line as usize % 50));
    lines.iter().map(line).collect::<String>().into_bytes()
}

fn tree(files: &Files) -> Tree {
    let entry = |(path, (executable, lines)): (&String, &(bool, Vec<u32>))| {
        let content = content(lines);
        Entry {
            kind: match executable {
                true => Kind::Executable,
                false => Kind::File,
            },
            size: content.len() as u64,
            digest: Sha256Digest::of(&content),
            path: path.clone(),
        }
    };
    let other = |kind, path: &str, content: &[u8]| Entry {
        kind,
        size: content.len() as u64,
        digest: Sha256Digest::of(content),
        path: path.to_owned(),
    };
    let mut entries: Vec<Entry> = files.iter().map(entry).collect();
    entries.push(other(Kind::Symlink, LINK, target(files).as_bytes()));
    entries.push(other(Kind::EmptyFolder, EMPTY, b""));
    Tree::from_entries(entries).unwrap()
}

const LINK: &str = "link";
const EMPTY: &str = "empty";

fn target(files: &Files) -> &str {
    files.keys().next().unwrap()
}

fn write(folder: &Path, files: &Files) {
    for (path, (executable, lines)) in files {
        let path = folder.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content(lines)).unwrap();
        let mode = if *executable { 0o755 } else { 0o644 };
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// All files below `folder`, as they are on disk.
fn found(folder: &Path) -> BTreeMap<String, (bool, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() || path == folder.join(EMPTY) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mode = fs_err::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert!([0o644, 0o755].contains(&mode), "{mode:o}");
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            let content = fs_err::read(&path).unwrap();
            files.insert(name.to_owned(), (mode == 0o755, content));
        }
    }
    files
}

/// What the controller does with questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    /// It answers all of them.
    Answers,
    /// It takes pieces for others, as if their fingerprints were the same.
    Mistakes,
    /// It goes after so many bytes.
    LeavesAfter(usize),
}

/// Answers until the agent ends the conversation. Gives back how many bytes of answers it sent.
fn answer(mut stream: UnixStream, files: &Files, other: Other) -> usize {
    let entries = tree(files);
    let contents: Vec<Vec<u8>> = entries
        .entries()
        .iter()
        .map(|entry| match files.get(&entry.path) {
            Some((_, lines)) => content(lines),
            None if entry.kind == Kind::Symlink => target(files).as_bytes().to_vec(),
            None => Vec::new(),
        })
        .collect();
    let mut left = match other {
        Other::LeavesAfter(bytes) => bytes,
        _ => usize::MAX,
    };
    let mut sent = 0;
    let (mut decoder, mut buffer) = (Decoder::new(), vec![0; 64 * 1024]);
    loop {
        let message = loop {
            if let Some(frame) = decoder.next_frame().unwrap() {
                break frame.parse::<FromAgent>().unwrap();
            }
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return sent,
                Ok(read) => decoder.feed(&buffer[..read]),
            }
        };
        let FromAgent::Ask(Ask::Contents { wanted, held, .. }) = message else {
            continue;
        };
        let wanted = wanted
            .iter()
            .flat_map(|(first, count)| &contents[*first as usize..(first + count) as usize]);
        let frame = packed(wanted, held.as_ref(), other == Other::Mistakes);
        let now = frame.len().min(left);
        let mut out = Vec::new();
        for chunk in frame[..now].chunks(CHUNK) {
            Frame::Data(chunk.to_vec()).encode(&mut out).unwrap();
        }
        if now < frame.len() {
            let _gone = stream.write_all(&out);
            return sent;
        }
        Frame::message(&ToAgent::End)
            .unwrap()
            .encode(&mut out)
            .unwrap();
        (sent, left) = (sent + now, left - now);
        if stream.write_all(&out).is_err() {
            return sent;
        }
    }
}

fn packed<'a>(
    contents: impl Iterator<Item = &'a Vec<u8>>,
    held: Option<&HeldPieces>,
    mistake: bool,
) -> Vec<u8> {
    let mut frame = zstd::Encoder::new(Vec::new(), 3).unwrap();
    let Some(held) = held else {
        contents.for_each(|content| frame.write_all(content).unwrap());
        return frame.finish().unwrap();
    };
    let (size, mut numbers) = held.read().unwrap();
    if mistake {
        let shifted: HashMap<_, _> = numbers.iter().map(|(print, n)| (*print, n ^ 1)).collect();
        let all = numbers.len() as u32;
        numbers = shifted.into_iter().filter(|(_, n)| *n < all).collect();
    }
    let mut recipes = RecipeWriter::new(frame, size, &numbers);
    for content in contents {
        recipes.tell(&content[..], content.len() as u64).unwrap();
    }
    recipes.into_inner().finish().unwrap()
}

struct Host {
    folder: tempfile::TempDir,
    layout: AppLayout,
    operation: Arc<Operation>,
}

impl Host {
    fn new() -> Self {
        let app: longshore_shared::instance::Instance = "cortico".parse().unwrap();
        let new = NewOperation {
            app: app.clone(),
            verb: "stage",
            version: None,
            previous: None,
            slot: None,
            why: None,
            who: "ann".to_owned(),
        };
        let ledger = Arc::new(Ledger::in_memory());
        Self {
            folder: tempfile::tempdir().unwrap(),
            layout: AppLayout::new(&app),
            operation: Operations::default()
                .begin(&ledger, &new, Claimant(1))
                .unwrap(),
        }
    }

    fn base(&self, name: &str, files: &Files) -> Base {
        let folder = self.folder.path().join(name);
        fs_err::create_dir_all(&folder).unwrap();
        write(&folder, files);
        let list = self.folder.path().join(format!("{name}.tree"));
        fs_err::write(&list, tree(files).render()).unwrap();
        Base::open(&folder, &list, true).unwrap()
    }

    /// What came of a try that broke off.
    fn part(&self, attempt: &Attempt, files: &Files, number: usize) -> Base {
        let came = self.folder.path().join(format!("part-{number}"));
        fs_err::rename(attempt.release(), &came).unwrap();
        let list = self.folder.path().join(format!("part-{number}.tree"));
        fs_err::write(&list, tree(files).render()).unwrap();
        Base::open(&came, &list, false).unwrap()
    }

    /// One try; also how many bytes were sent for it.
    fn rebuild(
        &self,
        bases: &[Base],
        files: &Files,
        recipes: bool,
        other: Other,
    ) -> (Attempt, Result<u64, Trouble>, usize) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut peer = Peer::new(ours).unwrap();
        let attempt = Attempt::in_folder(self.folder.path(), 1);
        fs_err::create_dir_all(self.folder.path().join("1")).unwrap();
        let tree = tree(files);
        let rebuild = Rebuild {
            layout: &self.layout,
            tree: &tree,
            bases,
            attempt: &attempt,
            operation: &self.operation,
        };
        std::thread::scope(|scope| {
            let controller = scope.spawn(|| answer(theirs, files, other));
            let mut dialog = Dialog {
                peer: &mut peer,
                cursor: &mut Cursor::default(),
                recipes,
            };
            let rebuilt = rebuild.run(&mut dialog);
            drop(peer);
            (attempt.clone(), rebuilt, controller.join().unwrap())
        })
    }
}

fn assert_is(attempt: &Attempt, files: &Files) {
    let wanted: BTreeMap<String, (bool, Vec<u8>)> = files
        .iter()
        .map(|(path, (executable, lines))| (path.clone(), (*executable, content(lines))))
        .collect();
    let release = attempt.release();
    assert_eq!(found(&release), wanted);
    let link = fs_err::read_link(release.join(LINK)).unwrap();
    assert_eq!(link.to_str(), Some(target(files)));
    let empty = fs_err::read_dir(release.join(EMPTY)).unwrap();
    assert_eq!(empty.count(), 0);
}

fn files() -> impl Strategy<Value = Files> {
    let lines = proptest::collection::vec(0u32..400, 0..60);
    // A folder is never the name of a file too.
    let path = "[ab]/[a-f]{1,2}\\.x|[a-d]{1,2}\\.y";
    proptest::collection::btree_map(path, (any::<bool>(), lines), 1..12)
}

#[derive(Debug, Clone, Copy)]
struct Harm {
    file: prop::sample::Index,
    at: prop::sample::Index,
    how: u8,
}

fn harms() -> impl Strategy<Value = Vec<Harm>> {
    let harm = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0u8..4,
    );
    let harm = harm.prop_map(|(file, at, how)| Harm { file, at, how });
    proptest::collection::vec(harm, 0..4)
}

fn harm(folder: &Path, files: &Files, harm: Harm) {
    let path = folder.join(files.keys().nth(harm.file.index(files.len())).unwrap());
    let Ok(mut content) = fs_err::read(&path) else {
        return;
    };
    let at = harm.at.index(content.len().max(1));
    match harm.how {
        0 => fs_err::remove_file(&path).unwrap(),
        1 => fs_err::write(&path, &content[..at.min(content.len())]).unwrap(),
        2 => fs_err::write(&path, [&content[..], b"more"].concat()).unwrap(),
        _ => {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= 1;
            }
            fs_err::write(&path, content).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_rebuilt_tree_is_the_signed_one(
        old in files(),
        kept in proptest::collection::vec(any::<bool>(), 12),
        new in files(),
        harms in harms(),
        recipes in any::<bool>(),
        mistakes in any::<bool>(),
        cuts in proptest::collection::vec(0usize..1500, 0..3),
    ) {
        let host = Host::new();
        let mut files = new;
        for ((path, file), kept) in old.iter().zip(kept) {
            if kept {
                files.insert(path.clone(), file.clone());
            }
        }
        let mut bases = vec![host.base("old", &old)];
        let mut harms = harms.into_iter();
        for one in harms.by_ref().take(2) {
            harm(&host.folder.path().join("old"), &old, one);
        }
        for (number, cut) in cuts.into_iter().enumerate() {
            let (attempt, rebuilt, _) = host.rebuild(&bases, &files, recipes, Other::LeavesAfter(cut));
            if rebuilt.is_ok() {
                assert_is(&attempt, &files);
            }
            // What broke off last comes first, and what did before comes last.
            let part = host.part(&attempt, &files, number);
            bases.insert(number % 2 * bases.len(), part);
            if let Some(one) = harms.next() {
                harm(&host.folder.path().join(format!("part-{number}")), &files, one);
            }
        }
        let other = if mistakes { Other::Mistakes } else { Other::Answers };
        let (attempt, rebuilt, _) = host.rebuild(&bases, &files, recipes, other);
        prop_assert!(rebuilt.is_ok(), "{:?}", rebuilt);
        assert_is(&attempt, &files);
    }
}

/// Files of lines that are like no others.
fn noise() -> impl FnMut(u32) -> Vec<u32> {
    let mut noise = 1u32;
    let mut line = move || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise
    };
    move |lines| (0..lines).map(|_| line()).collect()
}

#[test]
fn a_try_that_brought_nothing_takes_nothing_from_the_one_before() {
    let files: Files = [("large".to_owned(), (false, noise()(60_000)))].into();
    let before: Files = [("large".to_owned(), (false, vec![1, 2, 3]))].into();
    let host = Host::new();
    let (attempt, whole, all) = host.rebuild(&[], &files, true, Other::Answers);
    whole.unwrap();
    host.part(&attempt, &files, 0);
    let old = host.base("old", &before);
    let (attempt, broken, _) = host.rebuild(
        std::slice::from_ref(&old),
        &files,
        true,
        Other::LeavesAfter(all / 2),
    );
    assert!(broken.unwrap_err().broke_off());
    let first = host.part(&attempt, &files, 1);
    let (attempt, broken, _) = host.rebuild(&[], &files, true, Other::LeavesAfter(1));
    assert!(broken.unwrap_err().broke_off());
    let bases = [host.part(&attempt, &files, 2), old, first];
    let (attempt, rebuilt, rest) = host.rebuild(&bases, &files, true, Other::Answers);
    rebuilt.unwrap();
    assert_is(&attempt, &files);
    assert!(rest < all * 6 / 10, "{rest} of {all}");
}

#[test]
fn what_came_before_a_cut_is_not_sent_again() {
    let mut file = noise();
    // Many small ones, and a large one at the end.
    let mut files: Files = (0..20u32)
        .map(|number| (format!("file-{number:02}"), (false, file(1000))))
        .collect();
    files.insert("large".to_owned(), (false, file(60_000)));
    let host = Host::new();
    let (_, whole, all) = host.rebuild(&[], &files, true, Other::Answers);
    whole.unwrap();
    // A release before is nothing like it, but makes both ends speak of pieces.
    let before: Files = [("large".to_owned(), (false, vec![1, 2, 3]))].into();
    for (percent, recipes) in [(1, false), (50, false), (99, false), (50, true), (99, true)] {
        let host = Host::new();
        let old = recipes.then(|| host.base("old", &before));
        let cut = Other::LeavesAfter(all * percent / 100);
        let (attempt, broken, _) = host.rebuild(old.as_slice(), &files, true, cut);
        assert!(broken.unwrap_err().broke_off());
        let part = host.part(&attempt, &files, 0);
        let bases: Vec<Base> = [part].into_iter().chain(old).collect();
        let (attempt, rebuilt, rest) = host.rebuild(&bases, &files, true, Other::Answers);
        rebuilt.unwrap();
        assert_is(&attempt, &files);
        // Whole blocks of the compression are lost with a cut, and no more.
        let most = all * (100 - percent) / 100 + 100_000;
        assert!(rest < most, "{percent} %: {rest} of {all}");
    }
}
