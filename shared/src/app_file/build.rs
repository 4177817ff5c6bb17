//! `[build]`: what happens on the controller's machine, in a clean export of the commit.

use serde::{Deserialize, Serialize};

use super::{AppFileError, Command, InnerPath};
use crate::path_pattern::PathPattern;
use crate::span::Span;

const DEFAULT_TIMEOUT: Span = Span::seconds(3600);

/// The whole section. What is left out is left out of the manifest, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    #[serde(default)]
    pub run: Vec<Command>,
    /// How long one step may take.
    #[serde(default = "default_timeout", skip_serializing_if = "is_default")]
    pub timeout: Span,
    /// What is kept between builds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cache: Vec<Cache>,
    /// What of the built folder goes into the release; without a pattern, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<PathPattern>,
    /// What stays out, even where `include` names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<PathPattern>,
}

/// A file or folder that a build finds again as an earlier one with the same key left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    pub path: InnerPath,
    /// Files and folders of the commit, whose content is the key.
    pub key: Vec<InnerPath>,
}

const fn default_timeout() -> Span {
    DEFAULT_TIMEOUT
}

fn is_default(timeout: &Span) -> bool {
    *timeout == DEFAULT_TIMEOUT
}

impl Default for Build {
    fn default() -> Self {
        Self {
            run: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            cache: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

impl Build {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), AppFileError> {
        if self.timeout == Span::seconds(0) {
            return Err(AppFileError::BuildTimeout);
        }
        for (at, cache) in self.cache.iter().enumerate() {
            let path = cache.path.as_str();
            if cache.key.is_empty() {
                return Err(AppFileError::CacheKey(path.to_owned()));
            }
            if cache.key.iter().any(|key| overlap(path, key.as_str())) {
                return Err(AppFileError::CacheInKey(path.to_owned()));
            }
            let mut others = self.cache.iter().take(at);
            if others.any(|other| overlap(path, other.path.as_str())) {
                return Err(AppFileError::CacheTwice(path.to_owned()));
            }
        }
        Ok(())
    }
}

/// Whether both are one path, or one is inside the other.
fn overlap(one: &str, other: &str) -> bool {
    let inside = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    inside(one, other) || inside(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Build {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_left_out_is_not_written_down() {
        let build = read(r#"{"run":["make"]}"#);
        assert_eq!(build.timeout, Span::seconds(3600));
        assert_eq!(
            serde_json::to_string(&build).unwrap(),
            r#"{"run":["make"]}"#
        );
        assert!(read("{}").is_empty());
        assert!(!read(r#"{"exclude":["*.map"]}"#).is_empty());
    }

    #[test]
    fn caches_have_a_key_and_a_place_of_their_own() {
        let good = r#"{"cache":[{"path":"node_modules/","key":["package-lock.json"]},{"path":"node","key":["x"]}]}"#;
        read(good).check().unwrap();
        for (bad, expected) in [
            (
                r#"{"cache":[{"path":"a","key":[]}]}"#,
                AppFileError::CacheKey("a".to_owned()),
            ),
            (
                r#"{"cache":[{"path":"a","key":["a/lock"]}]}"#,
                AppFileError::CacheInKey("a".to_owned()),
            ),
            (
                r#"{"cache":[{"path":"a","key":["x"]},{"path":"a/b","key":["x"]}]}"#,
                AppFileError::CacheTwice("a/b".to_owned()),
            ),
            (r#"{"timeout":"0s"}"#, AppFileError::BuildTimeout),
        ] {
            assert_eq!(read(bad).check(), Err(expected), "{bad}");
        }
    }
}
