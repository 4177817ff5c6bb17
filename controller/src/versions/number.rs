//! The arithmetic: from the last release and what came since to a version.

use semver::{BuildMetadata, Prerelease, Version};

use super::conventional::Effect;
use super::history::History;
use super::slug::slug;

/// As the manifest bounds a version, which ends up in paths.
pub(super) const LONGEST: usize = 100;
const LONGEST_SLUG: usize = 40;
/// Kept free for the number of commits, so that a branch's name is cut alike in all its builds.
const COUNT_DIGITS: usize = 10;
const HASH_DIGITS: usize = 7;
/// What comes before the first release.
const NOTHING: Version = Version::new(0, 0, 0);
const FIRST: Version = Version::new(0, 1, 0);

/// The release after `version`. While major is 0 nothing is promised, so what breaks is a minor.
pub(super) fn after(version: &Version, effect: Effect) -> Option<Version> {
    let (major, minor, patch) = (version.major, version.minor, version.patch);
    Some(match effect {
        Effect::Major if major > 0 => Version::new(major.checked_add(1)?, 0, 0),
        Effect::Major | Effect::Minor => Version::new(major, minor.checked_add(1)?, 0),
        Effect::Patch => Version::new(major, minor, patch.checked_add(1)?),
    })
}

/// The release that the commits since the last one lead to.
pub(super) fn base(history: &History) -> Option<Version> {
    let computed = match &history.release {
        Some(tag) => after(&tag.version, history.effect())?,
        None => FIRST,
    };
    // `v2.0.0-rc.1` announces 2.0.0, whatever the commits say.
    let announced = history.pre_release.as_ref().map(|tag| core(&tag.version));
    Some(announced.map_or(computed.clone(), |announced| announced.max(computed)))
}

/// The release that a person asks for by its kind; 1.0.0 comes when somebody says so.
pub(super) fn asked_for(history: &History, effect: Effect) -> Option<Version> {
    let last = history
        .release
        .as_ref()
        .map_or(NOTHING, |tag| core(&tag.version));
    let version = match effect {
        Effect::Major => Version::new(last.major.checked_add(1)?, 0, 0),
        effect => after(&last, effect)?,
    };
    // Builds before the first release are called as if they led to 0.1.0: it comes after them.
    let first = history.release.is_none();
    Some(if first { version.max(FIRST) } else { version })
}

fn core(version: &Version) -> Version {
    Version::new(version.major, version.minor, version.patch)
}

/// What the version of a build is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Build<'a> {
    pub(super) base: &'a Version,
    /// The newest one that the commit comes after.
    pub(super) pre_release: Option<&'a Version>,
    pub(super) branch: &'a str,
    pub(super) commits: u64,
    pub(super) hash: &'a str,
    /// A few digits that tell this dirty tree from others.
    pub(super) dirty: Option<&'a str>,
}

impl Build<'_> {
    /// `1.5.0-feature-login.7+g1a2b3c4`; nothing where that would be too long.
    pub(super) fn version(&self) -> Option<Version> {
        let plain = self.with_prefix("")?;
        match self.pre_release {
            // `1.5.0-main.9` would come before `1.5.0-rc.1`, which it was built after.
            Some(tag) if core(tag) == *self.base && plain.cmp_precedence(tag).is_le() => {
                self.with_prefix(&format!("{}.", tag.pre))
            }
            _ => Some(plain),
        }
    }

    fn with_prefix(&self, prefix: &str) -> Option<Version> {
        let hash: String = self.hash.chars().take(HASH_DIGITS).collect();
        let dirty = self.dirty.map(|mark| format!(".dirty-{mark}"));
        let build = format!("g{hash}{}", dirty.unwrap_or_default());
        let rest = format!("{}-{prefix}.+{build}", self.base).len() + COUNT_DIGITS;
        let room = LONGEST.checked_sub(rest).filter(|room| *room > 0)?;
        let slug = slug(self.branch, room.min(LONGEST_SLUG));
        let mut version = self.base.clone();
        version.pre = Prerelease::new(&format!("{prefix}{slug}.{}", self.commits)).ok()?;
        version.build = BuildMetadata::new(&build).ok()?;
        Some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::Change;
    use crate::versions::history::{CommitMessage, Tag};
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn history(release: Option<&str>, pre_release: Option<&str>, messages: &[&str]) -> History {
        let tag = |text: &str| Tag {
            name: format!("v{text}"),
            version: version(text),
        };
        let commit = |message: &&str| CommitMessage {
            hash: String::new(),
            merge: false,
            change: Change::read(message),
        };
        History {
            release: release.map(tag),
            pre_release: pre_release.map(tag),
            commits: messages.iter().map(commit).collect(),
        }
    }

    fn built(history: &History, branch: &str) -> Version {
        let base = base(history).unwrap();
        let build = Build {
            base: &base,
            pre_release: history.pre_release.as_ref().map(|tag| &tag.version),
            branch,
            commits: history.commits.len() as u64,
            hash: "1a2b3c4d5e6f",
            dirty: None,
        };
        build.version().unwrap()
    }

    #[test]
    fn commits_decide_which_release_comes_next() {
        for (release, messages, expected) in [
            (Some("1.4.0"), vec!["fix: a"], "1.4.1"),
            (Some("1.4.0"), vec!["tidy up"], "1.4.1"),
            (Some("1.4.0"), vec!["fix: a", "feat: b"], "1.5.0"),
            (Some("1.4.2"), vec!["feat: b", "fix!: c"], "2.0.0"),
            (Some("0.4.2"), vec!["fix: a"], "0.4.3"),
            (Some("0.4.2"), vec!["feat: a"], "0.5.0"),
            (Some("0.4.2"), vec!["feat!: a"], "0.5.0"),
            (Some("1.4.0"), vec![], "1.4.1"),
            (None, vec!["feat!: a"], "0.1.0"),
        ] {
            let found = base(&history(release, None, &messages)).unwrap();
            assert_eq!(found, version(expected), "{release:?} {messages:?}");
        }
    }

    #[test]
    fn a_pre_release_announces_its_release_and_comes_before_later_builds() {
        let announced = history(Some("1.4.0"), Some("1.5.0-rc.1"), &["fix: a", "fix: b"]);
        let main = built(&announced, "main");
        assert_eq!(main.to_string(), "1.5.0-rc.1.main.2+g1a2b3c4");
        assert!(main > version("1.5.0-rc.1") && main < version("1.5.0-rc.2"));
        // A name that comes after `rc` anyway stays as it is.
        assert_eq!(
            built(&announced, "topic").to_string(),
            "1.5.0-topic.2+g1a2b3c4"
        );
        let beyond = history(Some("1.4.0"), Some("1.4.1-rc.1"), &["feat: a"]);
        assert_eq!(built(&beyond, "main").to_string(), "1.5.0-main.1+g1a2b3c4");
        let first = history(None, Some("0.1.0-alpha.1"), &["a"]);
        assert_eq!(built(&first, "main").to_string(), "0.1.0-main.1+g1a2b3c4");
    }

    #[test]
    fn a_person_may_ask_for_more() {
        let early = history(Some("0.4.2"), None, &["fix: a"]);
        assert_eq!(asked_for(&early, Effect::Major), Some(version("1.0.0")));
        assert_eq!(asked_for(&early, Effect::Minor), Some(version("0.5.0")));
        assert_eq!(asked_for(&early, Effect::Patch), Some(version("0.4.3")));
        let none = history(None, None, &["a"]);
        assert_eq!(asked_for(&none, Effect::Minor), Some(version("0.1.0")));
    }

    #[test]
    fn what_cannot_be_counted_is_not_wrapped() {
        let last = format!("1.{}.0", u64::MAX);
        assert_eq!(base(&history(Some(&last), None, &["feat: a"])), None);
    }

    #[test]
    fn a_dirty_build_is_never_called_as_the_clean_one() {
        let base = version("1.4.1");
        let build = |dirty| Build {
            base: &base,
            pre_release: None,
            branch: "main",
            commits: 0,
            hash: "1a2b3c4d",
            dirty,
        };
        let dirty = build(Some("0badcaf")).version().unwrap();
        assert_eq!(dirty.to_string(), "1.4.1-main.0+g1a2b3c4.dirty-0badcaf");
        assert_ne!(build(None).version().unwrap(), dirty);
    }

    fn a_message() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "fix: a",
            "feat: b",
            "feat!: c",
            "tidy up",
            "x\n\nBREAKING CHANGE: y",
        ])
    }

    fn a_pre_release() -> impl Strategy<Value = Option<&'static str>> {
        prop::option::of(prop::sample::select(vec![
            "alpha.1", "beta", "rc.1", "rc.12", "1",
        ]))
    }

    proptest! {
        /// Commits are added one by one, and at one of them a pre-release may be tagged.
        #[test]
        fn later_builds_of_a_branch_come_later(
            branch in ".{0,60}",
            (major, minor, patch) in (0..3_u64, 0..20_u64, 0..20_u64),
            messages in prop::collection::vec(a_message(), 1..30),
            pre_release in a_pre_release(),
            tagged_at in 0_usize..30,
        ) {
            let release = Version::new(major, minor, patch).to_string();
            let mut tag: Option<String> = None;
            let mut last: Option<Version> = None;
            for count in 1..=messages.len() {
                // git lists the newest first.
                let newest_first: Vec<&str> = messages[..count].iter().rev().copied().collect();
                if count > tagged_at && tag.is_none() && let Some(word) = pre_release {
                    let at_tag = history(Some(&release), None, &newest_first);
                    tag = Some(format!("{}-{word}", base(&at_tag).unwrap()));
                }
                let history = history(Some(&release), tag.as_deref(), &newest_first);
                let next = built(&history, &branch);
                prop_assert!(next > version(&release));
                if let Some(tag) = &tag {
                    prop_assert!(next.cmp_precedence(&version(tag)).is_gt(), "{next} {tag}");
                }
                // The tag itself may come before builds that are older: `rc.1` and `topic.4`.
                if let Some(last) = &last {
                    prop_assert!(next.cmp_precedence(last).is_gt(), "{last} then {next}");
                }
                prop_assert!(next < base(&history).unwrap());
                last = Some(next);
            }
        }

        /// Of some commits a release is made, as `bump` makes it.
        #[test]
        fn builds_and_releases_of_a_branch_come_in_order(
            branch in ".{0,60}",
            steps in prop::collection::vec((a_message(), prop::bool::weighted(0.3)), 1..40),
        ) {
            let mut release: Option<String> = None;
            let mut newest_first: Vec<&str> = Vec::new();
            let mut last = NOTHING;
            for (message, is_release) in steps {
                newest_first.insert(0, message);
                let history = history(release.as_deref(), None, &newest_first);
                let next = built(&history, &branch);
                prop_assert!(next.cmp_precedence(&last).is_gt(), "{last} then {next}");
                last = next;
                if is_release {
                    let tag = base(&history).unwrap();
                    prop_assert!(tag.cmp_precedence(&last).is_gt(), "{last} then {tag}");
                    release = Some(tag.to_string());
                    last = tag;
                    newest_first.clear();
                }
            }
        }

        #[test]
        fn any_version_is_short_and_safe_in_a_path(
            (major, minor, patch) in (0..u64::MAX, 0..u64::MAX, 0..u64::MAX),
            branch in ".*",
            commits in 0..10_000_000_000_u64,
            hash in "[0-9a-f]{40}",
            dirty in prop::option::of("[0-9a-f]{7}"),
            pre_release in prop::option::of("[a-z]{1,60}\\.[1-9]"),
        ) {
            for base in [Version::new(major, minor, patch), Version::new(1, 5, 0)] {
                let tag = pre_release.as_ref().map(|pre| version(&format!("{base}-{pre}")));
                let build = Build {
                    base: &base,
                    pre_release: tag.as_ref(),
                    branch: &branch,
                    commits,
                    hash: &hash,
                    dirty: dirty.as_deref(),
                };
                let Some(found) = build.version() else { continue };
                let text = found.to_string();
                prop_assert!(text.len() <= LONGEST, "{text}");
                prop_assert_eq!(version(&text), found);
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+');
                prop_assert!(text.chars().all(plain) && !text.contains(".."), "{text}");
            }
        }
    }
}
