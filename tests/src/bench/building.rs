//! How long a release takes to be built and signed, beside `git archive | gzip` of the same tree.

use std::path::Path;
use std::process::Command;

use super::Error;
use super::figures::Build;
use super::measure::{self, Cables};
use super::payload;
use super::product::{self, Releases};

/// Both once, in turns.
pub(super) fn measure(releases: &Releases, scratch: &Path, run: usize) -> Result<Build, Error> {
    let none = Cables::none();
    let (app, release) = (product::app_name(run), payload::FIRST);
    let tag = product::tag(&app, release);
    // It is made anew, not found.
    fs_err::remove_file(releases.tarball(&app, release))?;
    let longshore = measure::run(&mut releases.build_again(&app, release), &none)?.seconds;
    let words = ["archive", "--format=tar", &tag];
    let mut plain = Command::new("sh");
    plain.current_dir(releases.folder());
    plain.args(["-c", "git \"$@\" | gzip > \"$0\""]);
    plain.arg(scratch.join("plain.tar.gz")).args(words);
    let git_archive = measure::run(&mut plain, &none)?.seconds;
    Ok(Build {
        run,
        longshore,
        git_archive,
    })
}
