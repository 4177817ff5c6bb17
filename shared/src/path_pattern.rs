//! Patterns over the paths of a release: `*.map`, `static/**`, `node_modules/`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A pattern over paths inside a release.
///
/// It begins at the release's root. `*` stands for any run of characters within one name, `?` for
/// one character, and a part `**` for any number of folders, none among them. What names a folder
/// names everything in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
}

/// A text that is no pattern.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no pattern of paths: write it relative to the release's root, without \".\", \"..\" and control characters, such as \"static/**\", \"**/*.map\" or \"node_modules/\""
)]
pub struct PathPatternError(String);

const LONGEST: usize = 1024;
/// Each one can be tried at every folder of a path.
const MOST_DOUBLE_STARS: usize = 4;

impl PathPattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PathPatternError;

    fn try_from(text: String) -> Result<Self, PathPatternError> {
        let inner = text.strip_suffix('/').unwrap_or(&text);
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        let stars = inner.split('/').filter(|part| *part == "**").count();
        let good = text.len() <= LONGEST
            && !text.contains(char::is_control)
            && !text.contains('\\')
            && inner.split('/').all(plain)
            && stars <= MOST_DOUBLE_STARS;
        if good {
            Ok(Self { text })
        } else {
            Err(PathPatternError(text))
        }
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> String {
        pattern.text
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_leave_the_release_are_refused() {
        for text in [
            "",
            "/",
            "/a",
            "../a",
            "a/../b",
            "./a",
            "a//b",
            "a\nb",
            "a\\b",
            "**/**/**/**/**/a",
        ] {
            assert!(
                PathPattern::try_from(text.to_owned()).is_err(),
                "{text:?} passed"
            );
        }
    }
}
