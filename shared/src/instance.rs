//! An app as it lives on a host: itself, or the preview of one of its branches.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Sha256Digest;
use crate::name::{AppName, NameError};

/// Between an app's name and a preview's. No name of an app holds it.
const BETWEEN: &str = "--";
/// A part of a domain takes 63, and the unit and the socket of a preview hold its app's name, too.
const LONGEST: usize = 30;
/// So many digits of a digest stand in for what a name had to lose.
const DIGITS: usize = 6;

/// The name of a preview, made from a branch's: a part of a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

/// A text that names no preview.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no name of a preview: it takes 1 to {LONGEST} of a-z, 0-9 and single '-', and neither begins nor ends with '-'"
)]
pub struct SlugError(String);

impl Slug {
    pub fn new(text: impl Into<String>) -> Result<Self, SlugError> {
        let text = text.into();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
        let apart = text.contains(BETWEEN) || text.starts_with('-') || text.ends_with('-');
        if fits && !apart {
            Ok(Self(text))
        } else {
            Err(SlugError(text))
        }
    }

    /// What a branch's preview is called. A name that has to lose something keeps apart from others by
    /// the digest of all of it, unless only capitals and separators are lost.
    pub fn of_branch(branch: &str) -> Self {
        let mut words = String::new();
        let mut loses = false;
        for c in branch.chars() {
            match c {
                'a'..='z' | '0'..='9' => words.push(c),
                'A'..='Z' => words.push(c.to_ascii_lowercase()),
                _ => {
                    loses |= !c.is_ascii();
                    if !words.is_empty() && !words.ends_with('-') {
                        words.push('-');
                    }
                }
            }
        }
        let whole = words.trim_end_matches('-');
        if !loses && (1..=LONGEST).contains(&whole.len()) {
            return Self(whole.to_owned());
        }
        let digest = Sha256Digest::of(branch.as_bytes()).to_string();
        let kept: String = whole.chars().take(LONGEST - DIGITS - 1).collect();
        let kept = match kept.trim_end_matches('-') {
            "" => "branch",
            kept => kept,
        };
        let digits: String = digest.chars().take(DIGITS).collect();
        Self(format!("{kept}-{digits}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for Slug {
    type Error = SlugError;
    fn try_from(text: String) -> Result<Self, SlugError> {
        Self::new(text)
    }
}

impl FromStr for Slug {
    type Err = SlugError;
    fn from_str(text: &str) -> Result<Self, SlugError> {
        Self::new(text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> String {
        slug.0
    }
}

/// An app on a host, such as `cortico`, or a preview of it, such as `cortico--login-form`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Instance {
    text: String,
    app: AppName,
    preview: Option<Slug>,
}

/// A text that is neither.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InstanceError {
    #[error(transparent)]
    App(#[from] NameError),
    #[error(transparent)]
    Preview(#[from] SlugError),
}

impl Instance {
    pub fn preview_of(app: &AppName, preview: Slug) -> Self {
        Self {
            text: format!("{app}{BETWEEN}{preview}"),
            app: app.clone(),
            preview: Some(preview),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whose releases it runs.
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// Nothing where it is the app itself.
    pub fn preview(&self) -> Option<&Slug> {
        self.preview.as_ref()
    }
}

impl From<AppName> for Instance {
    fn from(app: AppName) -> Self {
        Self {
            text: app.to_string(),
            app,
            preview: None,
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for Instance {
    type Err = InstanceError;

    fn from_str(text: &str) -> Result<Self, InstanceError> {
        match text.split_once(BETWEEN) {
            Some((app, preview)) => Ok(Self::preview_of(&AppName::new(app)?, Slug::new(preview)?)),
            None => Ok(AppName::new(text)?.into()),
        }
    }
}

impl TryFrom<String> for Instance {
    type Error = InstanceError;
    fn try_from(text: String) -> Result<Self, InstanceError> {
        text.parse()
    }
}

impl From<Instance> for String {
    fn from(instance: Instance) -> String {
        instance.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_get_names_that_are_safe_and_bounded() {
        for (branch, slug) in [
            ("login-form", "login-form"),
            ("feature/Login_Form", "feature-login-form"),
            ("123-fix", "123-fix"),
            ("../x", "x"),
            ("a--b", "a-b"),
        ] {
            assert_eq!(Slug::of_branch(branch).as_str(), slug);
        }
        let long = "a".repeat(200);
        let (one, other) = (Slug::of_branch(&long), Slug::of_branch(&format!("{long}b")));
        assert_eq!(one.as_str().len(), 30);
        assert_ne!(one, other);
        for odd in ["ветка", "///", "über-uns", "x;y`z", long.as_str(), "-"] {
            let slug = Slug::of_branch(odd);
            assert_eq!(Slug::new(slug.as_str()), Ok(slug.clone()), "{odd}");
        }
        assert_ne!(Slug::of_branch("ветка"), Slug::of_branch("дерево"));
    }

    #[test]
    fn an_instance_reads_as_it_is_written() {
        for text in ["cortico", "cortico--login-form", "a--1"] {
            let instance: Instance = text.parse().unwrap();
            assert_eq!(instance.as_str(), text);
            assert_eq!(
                instance.preview().is_some(),
                text.contains("--"),
                "{instance:?}"
            );
        }
        for text in [
            "", "--", "a--", "--a", "a---b", "a--b--c", "a--B", "a--../b", "a--b;", "a--b%",
            "a--b@", "A--b", "..", "a/b", "a--b\n",
        ] {
            assert!(text.parse::<Instance>().is_err(), "{text:?} passed");
            assert!(serde_json::from_value::<Instance>(text.into()).is_err());
        }
    }
}
