//! A swap file for hosts with little memory.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use longshore_shared::setup::{DesiredSystem, SetupFailure};

use super::facts::Facts;
use super::plan::{Planned, failed};
use crate::command::{self, CommandError};
use crate::system_file;

const FILE: &str = "/swapfile";
/// One that is being made: what is left of it is ours to take away.
const FRESH: &str = "/swapfile.longshore-new";
const FSTAB: &str = "/etc/fstab";
const LINE: &str = "/swapfile none swap sw 0 0";
/// By this name in its head a swap file is known as ours.
const LABEL: &str = "longshore";
/// Where the name stands.
const LABEL_AT: u64 = 1024 + 28;
/// So much of the disk stays free, or a tenth of it where that is less.
const KEPT_FREE: u64 = 1 << 30;

pub(super) fn plan(system: &DesiredSystem, facts: &Facts, planned: &mut Planned) {
    let Some(size) = system.swap else { return };
    if facts.memory >= size.saturating_mul(2) {
        return;
    }
    if facts.container {
        planned.note("no swap file: this host is a container, whose memory is the machine's");
        return;
    }
    let swaps = fs_err::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() > 1 {
        if swaps.lines().any(names_file) && !in_fstab() {
            planned.change_apart("~ swap file after a reboot too (/etc/fstab)", |_| enter());
        }
    } else if fs_err::symlink_metadata(FILE).is_ok() {
        if in_fstab() || is_ours() {
            planned.change_apart(format!("~ swap file in use again ({FILE})"), |_| {
                command::run("swapon", &[FILE]).map_err(failed)?;
                enter()
            });
        } else {
            planned.lack(format!(
                "no swap file: {FILE} is there, is not in use, and was not made by bootstrap. Remove it, or use it (`swapon {FILE}` and a line in {FSTAB}), then bootstrap again"
            ));
        }
    } else if let Some(short) = too_big(size) {
        planned.lack(short);
    } else {
        let words = format!("+ swap file of {} MiB", size >> 20);
        planned.change_apart(words, move |_| make(size));
    }
}

/// A full disk is worse than little memory.
fn too_big(size: u64) -> Option<String> {
    // Where that cannot be told, the one who makes it will tell.
    let disk = rustix::fs::statvfs("/").ok()?;
    let left = fs_err::metadata(FRESH).map_or(0, |about| about.len());
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) + left;
    let whole = disk.f_blocks.saturating_mul(disk.f_frsize);
    let most = room(free, whole);
    (size > most).then(|| {
        format!(
            "no swap file: {} MiB do not fit, {} MiB may be taken of this disk. Make room, or set a smaller `swap` in the inventory, then bootstrap again",
            size >> 20,
            most >> 20
        )
    })
}

fn room(free: u64, whole: u64) -> u64 {
    free.saturating_sub(KEPT_FREE.min(whole / 10))
}

fn make(size: u64) -> Result<(), SetupFailure> {
    remove(FRESH)?;
    prepare(size).inspect_err(|_| drop(remove(FRESH)))?;
    let used = command::run("swapon", &[FILE])
        .map_err(failed)
        .and_then(|_| enter());
    used.inspect_err(|_| {
        let _was_not_in_use = command::ask("swapoff", &[FILE]);
        drop(remove(FILE));
    })
}

fn prepare(size: u64) -> Result<(), SetupFailure> {
    let size = size.to_string();
    let all = || -> Result<(), CommandError> {
        // Its content is the memory of others: it is made for root alone from its first byte on.
        command::run("install", &["-m", "600", "/dev/null", FRESH])?;
        command::run("fallocate", &["-l", &size, FRESH])?;
        command::run("mkswap", &["--label", LABEL, FRESH]).map(drop)
    };
    all().map_err(failed)?;
    fs_err::rename(FRESH, FILE).map_err(failed)
}

fn remove(path: &str) -> Result<(), SetupFailure> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// One that a run made which was cut short before it was in use.
fn is_ours() -> bool {
    let label = || -> io::Result<Vec<u8>> {
        let mut file = fs_err::File::open(FILE)?;
        file.seek(SeekFrom::Start(LABEL_AT))?;
        let mut label = Vec::new();
        file.take(LABEL.len() as u64).read_to_end(&mut label)?;
        Ok(label)
    };
    label().is_ok_and(|label| label == LABEL.as_bytes())
}

fn in_fstab() -> bool {
    let text = fs_err::read(FSTAB).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().any(names_file)
}

fn names_file(line: &str) -> bool {
    line.split_whitespace().next() == Some(FILE)
}

fn enter() -> Result<(), SetupFailure> {
    if in_fstab() {
        return Ok(());
    }
    let text = match fs_err::read(FSTAB) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        // Whatever is in there mounts this host's disks.
        read => read.map_err(failed)?,
    };
    system_file::put(Path::new(FSTAB), with_line(text))
        .map(drop)
        .map_err(failed)
}

fn with_line(mut text: Vec<u8>) -> Vec<u8> {
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend_from_slice(LINE.as_bytes());
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fstab_keeps_every_byte_it_had() {
        let before = b"# na\xefve\nUUID=1 / ext4 defaults 0 1".to_vec();
        let after = with_line(before.clone());
        assert!(after.starts_with(&before));
        assert!(after.ends_with(b"\n/swapfile none swap sw 0 0\n"));
        assert_eq!(with_line(Vec::new()), b"/swapfile none swap sw 0 0\n");
    }

    #[test]
    fn a_line_that_is_no_comment_names_the_file() {
        assert!(names_file("/swapfile\tswap swap defaults 0 0"));
        assert!(!names_file("#/swapfile none swap sw 0 0"));
        assert!(!names_file("/swapfile2 none swap sw 0 0"));
    }

    #[test]
    fn the_disk_does_not_get_full() {
        let gibibyte = 1 << 30;
        assert_eq!(room(9 * gibibyte, 100 * gibibyte), 8 * gibibyte);
        assert_eq!(
            room(3 * gibibyte, 5 * gibibyte),
            2 * gibibyte + gibibyte / 2
        );
        assert_eq!(room(gibibyte / 2, 100 * gibibyte), 0);
    }

    #[test]
    fn our_name_stands_where_it_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("swap");
        fs_err::write(&file, vec![0; 1 << 20]).unwrap();
        let words = ["--label", LABEL, file.to_str().unwrap()];
        // A machine without mkswap cannot be asked.
        if command::run("mkswap", &words).is_ok() {
            let made = fs_err::read(&file).unwrap();
            assert!(
                made.split_at(LABEL_AT as usize)
                    .1
                    .starts_with(LABEL.as_bytes())
            );
        }
    }
}
