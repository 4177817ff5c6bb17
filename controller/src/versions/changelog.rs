//! A release's section of CHANGELOG.md, in the way of keepachangelog.com, and its place in the file.

use semver::Version;

use super::conventional::{Change, Effect};
use super::history::CommitMessage;
use crate::terminal_text::one_line;

/// Kinds of commits that change nothing for those who use the app.
const INTERNAL: [&str; 6] = ["build", "chore", "ci", "docs", "style", "test"];
const BEGINNING: &str = "# Changelog\n\nWhat changed in each release, the newest first.\n\n";

/// What is told about one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) heading: String,
    /// Without the heading; ends with a newline.
    pub(super) body: String,
    /// Commits that are of no interest to those who use the app.
    pub(super) left_out: usize,
}

impl Section {
    /// From commits as git lists them, the newest first.
    pub(super) fn new(version: &Version, date: &str, commits: &[CommitMessage]) -> Self {
        let mut kept: [(&str, Vec<String>); 3] =
            ["Added", "Changed", "Fixed"].map(|name| (name, Vec::new()));
        let mut left_out = 0;
        for commit in commits.iter().rev() {
            let Some(name) = place(commit) else {
                left_out += usize::from(!commit.merge);
                continue;
            };
            let entry = entry(&commit.change);
            for (section, entries) in &mut kept {
                if *section == name && !entries.contains(&entry) {
                    entries.push(entry.clone());
                }
            }
        }
        let sections = kept.iter().filter(|(_, entries)| !entries.is_empty());
        let sections =
            sections.map(|(name, entries)| format!("### {name}\n\n{}", entries.concat()));
        let mut body = sections.collect::<Vec<_>>().join("\n");
        if body.is_empty() {
            "Nothing changes for those who use it.\n".clone_into(&mut body);
        }
        Self {
            heading: format!("## [{version}] - {date}"),
            body,
            left_out,
        }
    }

    fn text(&self) -> String {
        format!("{}\n\n{}", self.heading, self.body)
    }
}

/// The section that a commit belongs to, if it is worth telling.
fn place(commit: &CommitMessage) -> Option<&'static str> {
    let change = &commit.change;
    match change.kind.as_deref() {
        // Whatever it adds, it is what readers have to act on.
        _ if change.effect == Effect::Major => Some("Changed"),
        Some("feat") => Some("Added"),
        Some("fix") => Some("Fixed"),
        Some(kind) if INTERNAL.contains(&kind) => None,
        None if commit.merge || change.summary.is_empty() => None,
        _ => Some("Changed"),
    }
}

fn entry(change: &Change) -> String {
    let mut line = "- ".to_owned();
    if change.effect == Effect::Major {
        line.push_str("**Breaking:** ");
    }
    if let Some(scope) = &change.scope {
        line.push_str(&format!("{}: ", one_line(scope)));
    }
    line.push_str(&one_line(&change.summary));
    line.push('\n');
    if let Some(breaks) = change.breaks.as_deref().filter(|text| !text.is_empty()) {
        line.push_str(&format!("  {}\n", one_line(breaks)));
    }
    line
}

/// The file with the section above the older ones, everything else byte for byte as it was.
pub(super) fn with_section(before: Option<&[u8]>, section: &Section) -> Vec<u8> {
    let Some(before) = before.filter(|text| !text.trim_ascii().is_empty()) else {
        return format!("{BEGINNING}{}", section.text()).into_bytes();
    };
    let at = place_in(before);
    let (above, below) = before.split_at(at);
    let windows = before.windows(2).any(|pair| pair == b"\r\n");
    let newline = if windows { "\r\n" } else { "\n" };
    let mut text = section.text();
    if windows {
        text = text.replace('\n', newline);
    }
    let mut after = above.to_vec();
    // An empty line around the section, where there is none yet.
    if !above.is_empty() && !above.ends_with(b"\n") {
        after.extend_from_slice(newline.as_bytes());
    }
    let apart = above.is_empty() || after.ends_with(b"\n\n") || after.ends_with(b"\n\r\n");
    if !apart {
        after.extend_from_slice(newline.as_bytes());
    }
    after.extend_from_slice(text.as_bytes());
    if !below.is_empty() {
        after.extend_from_slice(newline.as_bytes());
    }
    after.extend_from_slice(below);
    after
}

/// Whether the file tells of this version already.
pub(super) fn tells_of(text: &[u8], version: &Version) -> bool {
    let version = version.to_string();
    headings(text).any(|(_, heading)| heading_version(heading) == version)
}

/// `1.5.0` of `## [v1.5.0] - 2026-01-02`.
fn heading_version(heading: &str) -> &str {
    let rest = heading.trim_start_matches(['#', ' ', '[']);
    let end = rest.find(|c: char| c == ']' || c.is_whitespace());
    let word = end.map_or(rest, |end| &rest[..end]);
    word.strip_prefix('v').unwrap_or(word)
}

/// Where the newest release begins; what is unreleased stays above. Without a release, before the
/// links at the end.
fn place_in(text: &[u8]) -> usize {
    let older =
        headings(text).find(|(_, heading)| !heading.to_ascii_lowercase().contains("unreleased"));
    if let Some((at, _)) = older {
        return at;
    }
    let mut at = text.len();
    for (begin, line) in lines(text).collect::<Vec<_>>().into_iter().rev() {
        if line.starts_with('[') && line.contains("]: ") {
            at = begin;
        } else if !line.trim().is_empty() {
            break;
        }
    }
    at
}

/// Headings of the second level, with the place of each; not those in blocks of code.
fn headings(text: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    lines(text).filter(move |(_, line)| {
        let marker = ["```", "~~~"]
            .into_iter()
            .find(|marker| line.trim_start().starts_with(marker));
        match (fence, marker) {
            (None, Some(_)) => fence = marker,
            (Some(open), Some(marker)) if open == marker => fence = None,
            _ => {}
        }
        fence.is_none() && line.starts_with("## ")
    })
}

/// Lines with their places; what is no UTF-8 counts as an empty line.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive(|byte| *byte == b'\n')
        .map(move |line| {
            let begin = at;
            at += line.len();
            let line = std::str::from_utf8(line).unwrap_or_default();
            (begin, line.trim_end())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn section(messages: &[&str]) -> Section {
        let commits: Vec<CommitMessage> = messages
            .iter()
            .rev()
            .map(|message| CommitMessage {
                hash: String::new(),
                merge: message.starts_with("Merge"),
                change: Change::read(message),
            })
            .collect();
        Section::new(&Version::new(1, 5, 0), "2026-01-02", &commits)
    }

    #[test]
    fn commits_are_told_in_their_sections() {
        let found = section(&[
            "feat(mail): log in by mail",
            "fix: a crash",
            "Tidy the menu",
            "fix: a crash",
            "chore: new formatter",
            "Merge branch 'x'",
            "perf!: drop the old cache\n\nBREAKING CHANGE: clear it\nby hand",
            "ci: \u{1b}[31m",
        ]);
        assert_eq!(
            found.text(),
            "## [1.5.0] - 2026-01-02\n\n### Added\n\n- mail: log in by mail\n\n### Changed\n\n- Tidy the menu\n- **Breaking:** drop the old cache\n  clear it by hand\n\n### Fixed\n\n- a crash\n"
        );
        assert_eq!(found.left_out, 2);
        assert!(section(&["chore: a"]).body.contains("Nothing changes"));
        assert!(section(&["fix: \u{1b}[31m"]).body.contains("\\u{1b}"));
    }

    #[test]
    fn the_section_goes_above_older_ones() {
        let new = section(&["fix: a"]);
        let text = new.text();
        for (above, below) in [
            ("# Changelog\n\n", "## [1.4.0] - 2025-01-01\n\n- x\n"),
            (
                "# Changelog\n\n## [Unreleased]\n\n- y\n\n",
                "## 1.4.0\n\n[1.4.0]: https://x\n",
            ),
            (
                "# Changelog\n\n## Unreleased\n\n- y\n\n",
                "[unreleased]: https://x\n",
            ),
            ("```\n## no heading\n```\n\n", "## 1.4.0\n"),
            ("", "## 1.4.0\n"),
        ] {
            let found = with_section(Some(format!("{above}{below}").as_bytes()), &new);
            assert_eq!(
                String::from_utf8(found).unwrap(),
                format!("{above}{text}\n{below}")
            );
        }
        let end = with_section(Some(b"# Changes"), &new);
        assert_eq!(
            String::from_utf8(end).unwrap(),
            format!("# Changes\n\n{text}")
        );
        let made = String::from_utf8(with_section(None, &new)).unwrap();
        assert!(
            made.starts_with("# Changelog\n") && made.ends_with(&text),
            "{made}"
        );
    }

    #[test]
    fn windows_lines_stay_and_so_do_ours() {
        let found = with_section(Some(b"# C\r\n\r\n## 1.0.0\r\n"), &section(&["fix: a"]));
        let text = String::from_utf8(found).unwrap();
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        assert!(text.ends_with("- a\r\n\r\n## 1.0.0\r\n"), "{text:?}");
    }

    #[test]
    fn a_version_that_is_told_already_is_found() {
        for text in ["## [1.5.0] - x\n", "## 1.5.0\n", "a\n## v1.5.0 (x)\r\n"] {
            assert!(tells_of(text.as_bytes(), &Version::new(1, 5, 0)), "{text}");
        }
        assert!(!tells_of(
            b"## [1.5.0-rc.1]\n### 1.5.0\n",
            &Version::new(1, 5, 0)
        ));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(before in prop::collection::vec(prop::sample::select(vec![
            "## 1.0.0", "# C", "\n", "\r\n", "```", "[x]: y", "text", "\u{fffd}", " ", "## Unreleased",
        ]), 0..20)) {
            let before = before.concat().into_bytes();
            let new = section(&["fix: a"]);
            let after = with_section(Some(&before), &new);
            let at = if before.trim_ascii().is_empty() { return Ok(()) } else { place_in(&before) };
            prop_assert!(after.starts_with(&before[..at]));
            prop_assert!(after.ends_with(&before[at..]));
        }
    }
}
