//! Reads the TOML files that people write, and says where and what is wrong when one is.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::did_you_mean;

/// Why a file could not be used.
#[derive(Debug, Error)]
pub enum TomlFileError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Wrong(#[from] Complaint),
}

/// One thing that is wrong in a file: where, what, and what was probably meant.
#[derive(Debug, Error)]
pub struct Complaint {
    path: PathBuf,
    line: usize,
    what: String,
    meant: Option<String>,
    excerpt: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)?;
        if let Some(meant) = &self.meant {
            write!(f, "; did you mean `{meant}`?")?;
        }
        if !self.excerpt.is_empty() {
            write!(f, "\n  {} | {}", self.line, self.excerpt)?;
        }
        Ok(())
    }
}

/// The text of a file, kept so that later checks can point into it too.
#[derive(Debug)]
pub struct SourceText {
    path: PathBuf,
    text: String,
}

impl SourceText {
    pub fn open(path: &Path) -> Result<Self, TomlFileError> {
        // The error names the path itself, which fs_err would say once more.
        let text = std::fs::read_to_string(path).map_err(|source| TomlFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::from_text(path, text))
    }

    pub fn from_text(path: &Path, text: impl Into<String>) -> Self {
        SourceText {
            path: path.to_owned(),
            text: text.into(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Complaint> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let (what, meant) = explain(error.message());
            self.complain(span, what, meant)
        })
    }

    /// A complaint about the bytes at `span`.
    pub fn complain(
        &self,
        span: Range<usize>,
        what: impl Into<String>,
        meant: Option<String>,
    ) -> Complaint {
        // A span may end beyond the text, or begin at the newline after what it means.
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let excerpt = self
            .text
            .lines()
            .nth(line - 1)
            .unwrap_or_default()
            .trim()
            .to_owned();
        Complaint {
            path: self.path.clone(),
            line,
            what: what.into(),
            meant,
            excerpt: shorten(excerpt),
        }
    }
}

/// Reads a file into its checked shape.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, TomlFileError> {
    Ok(SourceText::open(path)?.parse()?)
}

fn shorten(line: String) -> String {
    const WIDEST: usize = 100;
    if line.chars().count() <= WIDEST {
        return line;
    }
    line.chars().take(WIDEST - 1).chain(['…']).collect()
}

/// Turns serde's sentence about an unknown key into ours, and finds the nearest known key.
fn explain(message: &str) -> (String, Option<String>) {
    let message = message.trim();
    for (start, what) in [("unknown field", "key"), ("unknown variant", "value")] {
        let Some(rest) = message.strip_prefix(start) else {
            continue;
        };
        let mut quoted = rest.split('`').skip(1).step_by(2);
        let Some(unknown) = quoted.next() else {
            continue;
        };
        let known: Vec<&str> = quoted.collect();
        let meant = did_you_mean::nearest(unknown, known.iter().copied());
        let mut sentence = format!("unknown {what} `{unknown}`");
        if !known.is_empty() && meant.is_none() {
            sentence.push_str("; known here: ");
            sentence.push_str(&known.join(", "));
        }
        return (sentence, meant);
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return (format!("{field} is missing here"), None);
    }
    for wrong in ["invalid type: ", "invalid value: "] {
        let parts = message.strip_prefix(wrong);
        if let Some((found, expected)) = parts.and_then(|rest| rest.split_once(", expected ")) {
            let what = format!("{} is meant here, not {found}", in_words(expected));
            return (what, None);
        }
    }
    (message.replace('\n', ", "), None)
}

/// What serde calls a type, as people who write TOML call it.
fn in_words(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list, as in [\"a\", \"b\"],",
        "a map" => "a table",
        "a boolean" => "true or false",
        "a string" => "text in quotes",
        "u8" => "a whole number up to 255",
        "u16" => "a whole number up to 65535",
        "u32" | "u64" | "usize" => "a whole number",
        "path string" => "a path in quotes",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the reading is tested")]
    struct Sample {
        name: String,
        #[serde(default)]
        workers: u32,
    }

    fn complaint(text: &str) -> String {
        SourceText::from_text(Path::new("x.toml"), text)
            .parse::<Sample>()
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_unknown_key_names_file_line_and_the_likely_key() {
        assert_eq!(
            complaint("name = \"a\"\nworker = 3\n"),
            "x.toml:2: unknown key `worker`; did you mean `workers`?\n  2 | worker = 3"
        );
    }

    #[test]
    fn an_unknown_key_that_is_like_nothing_lists_the_known_ones() {
        let text = complaint("name = \"a\"\nzzz = 3\n");
        assert!(text.contains("known here: name, workers"), "{text}");
    }

    #[test]
    fn a_wrong_type_names_its_line() {
        let text = complaint("name = \"a\"\nworkers = \"three\"\n");
        let told = "x.toml:2: a whole number is meant here, not string \"three\"";
        assert!(text.starts_with(told), "{text}");
    }

    #[test]
    fn a_missing_key_and_broken_syntax_are_told() {
        assert!(complaint("workers = 1\n").contains("`name` is missing"));
        assert!(complaint("name = \n").starts_with("x.toml:1: "));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read::<Sample>(Path::new("/nowhere/at/all.toml")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all.toml"));
    }
}
