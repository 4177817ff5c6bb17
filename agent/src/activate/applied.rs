//! Which migrations are in the database: as `[migrate] check` of a release says it.

use longshore_shared::manifest::Manifest;

use crate::layout::AppLayout;
use crate::operation::{Operation, Trouble};
use crate::step_unit::StepUnit;

const LONGEST_NAME: usize = 200;

/// The migrations of this release that are in the database, the oldest first; nothing where it
/// cannot tell.
pub(super) fn applied(
    layout: &AppLayout,
    manifest: &Manifest,
    operation: &Operation,
) -> Result<Option<Vec<String>>, Trouble> {
    let Some(check) = &manifest.app_file.migrate.check else {
        return Ok(None);
    };
    let unit = StepUnit::of_kept(layout, manifest, manifest.app_file.migrate.timeout);
    let said = unit.ask(operation, check.as_str())?;
    Ok(Some(names(&said)))
}

/// Django marks what is applied and what is not; others say only names. Whatever else is said, such as
/// a warning, is no name.
fn names(said: &[String]) -> Vec<String> {
    let marked = |line: &&String| {
        let line = line.trim_start();
        line.starts_with("[X] ") || line.starts_with("[ ] ")
    };
    let is_name = |word: &&str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-:/+@".contains(c);
        !word.is_empty() && word.len() <= LONGEST_NAME && word.chars().all(fits)
    };
    let of_django = said.iter().any(|line| marked(&line));
    let name = |line: &String| {
        let line = line.trim();
        let word = match line.strip_prefix("[X] ") {
            Some(rest) => rest.split_whitespace().next()?,
            None if of_django => return None,
            None => line,
        };
        Some(word).filter(is_name).map(str::to_owned)
    };
    said.iter().filter_map(name).collect()
}

/// Those of `all` that are not in `known`, in order.
pub(super) fn without(all: &[String], known: &[String]) -> Vec<String> {
    all.iter()
        .filter(|name| !known.contains(name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_noise_is_not() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let django = lines(
            "System check identified some issues:\nnoise\n[X]  board.0001_initial\n[ ]  board.0002_title\n[X]  auth.0001 (2 squashed migrations)\n",
        );
        assert_eq!(names(&django), ["board.0001_initial", "auth.0001"]);
        let plain = lines("20260101-users\n a1b2c3 \nWarning: something\n\n$(reboot)\n");
        assert_eq!(names(&plain), ["20260101-users", "a1b2c3"]);
        assert_eq!(
            without(&names(&django), &names(&lines("auth.0001"))),
            ["board.0001_initial"]
        );
    }
}
