//! The release that is measured: a tree of the size and shape of a grown Django site, the same on
//! every machine, and later versions of it in which one file of a hundred changed each time.

use std::fs::FileTimes;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How many files a release has, its own application and version among them.
pub(super) const FILES: usize = 5_600;
/// Of so many files one is changed by a later version.
const CHANGED_EVERY: usize = 100;
/// Of so many lines of a changed file one is written anew.
const CHANGED_LINES: u64 = 7;
/// 56 of these make up the 0.87 MB that a change touches.
const CHANGED_SIZE: usize = 15_500;
const WORDS: u64 = 6_000;
const KINDS: [&str; 5] = ["js", "html", "css", "json", "txt"];
/// rsync takes a file for unchanged by its size and time, so both have to be told.
const WRITTEN: Duration = Duration::from_secs(1_700_000_000);
const CHANGED_LATER: Duration = Duration::from_secs(100_000);

const APPLICATION: &str = r#""""Answers with the version that its own release names."""

from pathlib import Path

VERSION = (Path(__file__).parent / "VERSION").read_bytes()


def application(environ, start_response):
    body = b"ok\n" if environ["PATH_INFO"] == "/healthz" else VERSION
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"#;

/// One version of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) version: &'static str,
    /// Which of every hundred files differ from the first version; the last of them are what is
    /// new since the version before.
    changed: &'static [usize],
}

pub(super) const FIRST: Release = Release {
    version: "1.0.0",
    changed: &[],
};
/// One per cent away from the first.
pub(super) const SECOND: Release = Release {
    version: "1.1.0",
    changed: &[40],
};
/// One per cent away from the second.
pub(super) const THIRD: Release = Release {
    version: "1.2.0",
    changed: &[40, 80],
};
/// One per cent away from the second too, in other files.
pub(super) const FOURTH: Release = Release {
    version: "1.3.0",
    changed: &[40, 20],
};
pub(super) const ALL: [Release; 4] = [FIRST, SECOND, THIRD, FOURTH];

/// What a written release weighs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) files: usize,
    pub(super) bytes: u64,
    /// In files that are not those of the version before.
    pub(super) changed_bytes: u64,
}

/// Writes a version into a folder, over another one if it is there.
pub(super) fn write(folder: &Path, release: Release) -> Result<Weight, io::Error> {
    let mut weight = Weight::default();
    let vocabulary = vocabulary();
    let mut put = |path: &str, content: &[u8], since: Option<usize>| -> Result<(), io::Error> {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::write(&path, content)?;
        // A time for each change, so that a file is as old as its content.
        let time = WRITTEN + CHANGED_LATER * since.map_or(0, |since| since as u32 + 1);
        fs_err::File::options()
            .write(true)
            .open(&path)?
            .set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + time))?;
        weight.files += 1;
        weight.bytes += content.len() as u64;
        if since.is_some() && since == release.changed.last().copied() {
            weight.changed_bytes += content.len() as u64;
        }
        Ok(())
    };
    put("app.py", APPLICATION.as_bytes(), None)?;
    let version = format!("{}\n", release.version);
    put(
        "VERSION",
        version.as_bytes(),
        release.changed.last().copied(),
    )?;
    for index in 2..FILES {
        let residue = index % CHANGED_EVERY;
        let since = release.changed.contains(&residue).then_some(residue);
        let text = text(index, since.is_some(), &vocabulary);
        put(&path(index), text.as_bytes(), since)?;
    }
    Ok(weight)
}

fn path(index: usize) -> String {
    let kind = KINDS[index % KINDS.len()];
    format!("site/part-{:02}/file-{index:04}.{kind}", index % 70)
}

fn size(index: usize) -> usize {
    if ALL
        .iter()
        .any(|release| release.changed.contains(&(index % CHANGED_EVERY)))
    {
        return CHANGED_SIZE;
    }
    let draw = mixed(index as u64);
    let within = |low: u64, high: u64| low + (draw >> 8) % (high - low);
    // Many small files and a few large ones, as in most trees.
    let size = match draw % 100 {
        0..50 => within(800, 5_500),
        50..85 => within(5_500, 18_000),
        _ => within(18_000, 47_000),
    };
    usize::try_from(size).unwrap_or(CHANGED_SIZE)
}

/// Lines of words that gzip brings to a bit more than a quarter, as it does with source code.
fn text(index: usize, changed: bool, vocabulary: &[String]) -> String {
    let size = size(index);
    let mut text = String::with_capacity(size + 200);
    let mut lines: Vec<(usize, usize)> = Vec::new();
    for line in 0u64.. {
        if text.len() >= size {
            break;
        }
        let anew = changed && line % CHANGED_LINES == 3;
        let mut dice = mixed(((index as u64) << 24) ^ (line << 1) ^ u64::from(anew));
        let begin = text.len();
        if dice % 100 < 54 && !anew && !lines.is_empty() {
            let (from, to) = lines[(dice >> 32) as usize % lines.len()];
            text.extend_from_within(from..to);
        } else {
            text.push_str(&"    "[..(dice >> 16) as usize % 5]);
            for _ in 0..4 + (dice >> 40) % 7 {
                dice = mixed(dice);
                // The product of two draws prefers the front, as languages prefer a few words.
                let (one, two) = (dice % WORDS, (dice >> 32) % WORDS);
                text.push_str(&vocabulary[(one * two / WORDS) as usize]);
                text.push(match (dice >> 58) % 8 {
                    0 => '.',
                    1 => '(',
                    2 => '=',
                    _ => ' ',
                });
            }
            text.push('\n');
        }
        lines.push((begin, text.len()));
    }
    text.truncate(size.saturating_sub(1));
    text.push('\n');
    text
}

fn vocabulary() -> Vec<String> {
    (0..WORDS)
        .map(|index| {
            let mut dice = mixed(index ^ 0x5eed);
            let letters = 2 + dice % 9;
            (0..letters)
                .map(|_| {
                    dice = mixed(dice);
                    char::from(b'a' + (dice % 26) as u8)
                })
                .collect()
        })
        .collect()
}

/// The step of splitmix64: every input gives another, well mixed output.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_payload_has_the_size_and_the_change_that_the_figures_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path(), FIRST).unwrap();
        assert_eq!(first.files, FILES);
        assert!((58_000_000..62_000_000).contains(&first.bytes), "{first:?}");
        let mut pack = Command::new("sh");
        pack.args(["-c", "tar cz . | wc -c"])
            .current_dir(folder.path());
        let packed = crate::process::run(&mut pack).unwrap();
        let packed: u64 = packed.trim().parse().unwrap();
        assert!((15_500_000..18_500_000).contains(&packed), "{packed}");
        for later in [SECOND, THIRD, FOURTH] {
            let changed = write(folder.path(), later).unwrap().changed_bytes;
            assert!((820_000..920_000).contains(&changed), "{changed}");
        }
    }

    #[test]
    fn a_change_leaves_most_lines_of_a_file_as_they_were() {
        let vocabulary = vocabulary();
        let (old, new) = (text(140, false, &vocabulary), text(140, true, &vocabulary));
        assert_ne!(old, new);
        assert_eq!(old, text(140, false, &vocabulary));
        let kept = new.lines().filter(|line| old.contains(line)).count();
        assert!(kept * 10 > new.lines().count() * 7, "{kept}");
    }
}
