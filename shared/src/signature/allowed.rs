//! `allowed_signers`, in the format of OpenSSH.
//!
//! A line that is not understood in full trusts nobody: an option that would have narrowed a key's
//! rights must never be passed over.

use std::borrow::Cow;

use jiff::Timestamp;
use thiserror::Error;

use super::SIGNERS_NAMESPACE;
use super::certificate::Certificate;
use super::listed_key::ListedKey;
use super::principals::list_matches;
use super::revoked::Revoked;
use super::validity::{Outside, Validity, parse_time};

/// Who may sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Line>);

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) principals: String,
    options: Options,
    key: Vec<u8>,
    /// Whether the key is of a kind that can sign here.
    signs: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Options {
    /// Patterns. Nothing means any.
    namespaces: Option<String>,
    validity: Validity,
    /// The key signs no releases, but certificates of those who do.
    authority: bool,
}

/// Why a list of signers is refused as a whole.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AllowedSignersError {
    #[error("it names no signer, so nothing could be accepted")]
    Empty,
    #[error("line {0} is not `principals [options] key-type key [comment]`")]
    Line(usize),
    #[error("line {0} has a key that was cut off or spoiled, or is of a kind that is not known")]
    Key(usize),
    #[error("line {line} has the option {option:?}, which is not understood")]
    Option { line: usize, option: String },
}

/// Why a key may not sign, from what says least to what says most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lack<'a> {
    NotListed,
    /// It is listed for other namespaces.
    Namespace,
    Outside(Cow<'a, str>, Outside),
    /// It may sign, but none of its names is among those who are wanted.
    NotWanted(Cow<'a, str>),
}

impl Lack<'_> {
    fn rank(&self) -> u8 {
        match self {
            Self::NotListed => 0,
            Self::Namespace => 1,
            Self::Outside(..) => 2,
            Self::NotWanted(_) => 3,
        }
    }
}

impl AllowedSigners {
    /// Reads the whole list, or refuses it.
    pub fn parse(text: &str) -> Result<Self, AllowedSignersError> {
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_matches(is_gap);
            if !line.is_empty() && !line.starts_with('#') {
                lines.push(parse_line(at + 1, line)?);
            }
        }
        if lines.is_empty() {
            Err(AllowedSignersError::Empty)
        } else {
            Ok(Self(lines))
        }
    }

    /// The line by which a key may sign in `namespace` now, as somebody who is wanted.
    pub(super) fn line_for(
        &self,
        key: &[u8],
        namespace: &str,
        now: Timestamp,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<&Line, Lack<'_>> {
        let mut most = Lack::NotListed;
        let listed = self.0.iter().filter(|line| line.key == key);
        for line in listed.filter(|line| !line.options.authority) {
            let lack = if !line.may(namespace) {
                Lack::Namespace
            } else if let Some(outside) = line.options.validity.outside(now) {
                Lack::Outside(Cow::Borrowed(&line.principals), outside)
            } else if !wanted(&line.principals) {
                Lack::NotWanted(Cow::Borrowed(&line.principals))
            } else {
                return Ok(line);
            };
            if lack.rank() > most.rank() {
                most = lack;
            }
        }
        Err(most)
    }

    /// The names by which a certificate's holder may sign in `namespace` now, as somebody who is
    /// wanted: those of the certificate that its authority may certify.
    pub(super) fn names_by_authority(
        &self,
        certificate: &Certificate,
        namespace: &str,
        now: Timestamp,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String, Lack<'static>> {
        let mut most = Lack::NotListed;
        let listed = self
            .0
            .iter()
            .filter(|line| line.key == certificate.authority);
        for line in listed.filter(|line| line.options.authority) {
            let names = certificate.principals.iter().map(String::as_str);
            let names: Vec<&str> = names
                .filter(|name| list_matches(&line.principals, name))
                .collect();
            let outside = line.options.validity.outside(now);
            let lack = if !line.may(namespace) {
                Lack::Namespace
            } else if names.is_empty() {
                Lack::NotListed
            } else if let Some(outside) = outside.or(certificate.validity.outside(now)) {
                Lack::Outside(Cow::Owned(names.join(",")), outside)
            } else if !names.iter().any(|name| wanted(name)) {
                Lack::NotWanted(Cow::Owned(names.join(",")))
            } else {
                return Ok(names.join(","));
            };
            if lack.rank() > most.rank() {
                most = lack;
            }
        }
        Err(most)
    }

    /// Everyone who may sign in `namespace`, for a message.
    pub fn names(&self, namespace: &str) -> String {
        let trusted = self.0.iter();
        let trusted = trusted.filter(|line| line.signs && line.may(namespace));
        let names: Vec<&str> = trusted.map(|line| line.principals.as_str()).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }

    /// Whether there is anybody at all who may sign in `namespace` now.
    pub fn anyone_may(&self, namespace: &str, revoked: &Revoked, now: Timestamp) -> bool {
        self.0.iter().any(|line| {
            line.signs
                && line.may(namespace)
                && line.options.validity.outside(now).is_none()
                && !revoked.holds(&line.key)
        })
    }
}

impl Line {
    fn may(&self, namespace: &str) -> bool {
        match &self.options.namespaces {
            Some(list) => list_matches(list, namespace),
            // A line that says nothing is for releases: whoever changes the list itself is named for it.
            None => namespace != SIGNERS_NAMESPACE,
        }
    }
}

fn parse_line(line: usize, text: &str) -> Result<Line, AllowedSignersError> {
    let wrong = || AllowedSignersError::Line(line);
    // OpenSSH would end the line at some of them, and a terminal obeys others.
    if text.contains(|letter: char| letter.is_control() && letter != '\t') {
        return Err(wrong());
    }
    let (principals, rest) = word(text).ok_or_else(wrong)?;
    let (next, after) = word(rest).ok_or_else(wrong)?;
    let (options, kind, rest) = if is_key_type(next) {
        (Options::default(), next, after)
    } else {
        let options = parse_options(line, next)?;
        let (kind, rest) = word(after).ok_or_else(wrong)?;
        (options, kind, rest)
    };
    let (key, _comment) = word(rest).ok_or_else(wrong)?;
    let key = ListedKey::parse(kind, key)
        .filter(|key| !key.certified)
        .ok_or(AllowedSignersError::Key(line))?;
    let principals = unquoted(principals).ok_or_else(wrong)?.to_owned();
    Ok(Line {
        principals,
        options,
        key: key.plain,
        signs: key.signs,
    })
}

/// Reads `cert-authority,namespaces="a,b",valid-before="20301231Z"`.
fn parse_options(line: usize, text: &str) -> Result<Options, AllowedSignersError> {
    let mut options = Options::default();
    for option in split_outside_quotes(text) {
        let wrong = || AllowedSignersError::Option {
            line,
            option: option.chars().take(80).collect(),
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        let value = value.map(|value| {
            let inner = value.strip_prefix('"')?.strip_suffix('"')?;
            (!inner.is_empty() && !inner.contains(['"', '\\'])).then_some(inner)
        });
        let time = |time: &mut Option<Timestamp>, text| {
            let read = parse_time(text).filter(|_| time.is_none());
            *time = Some(read.ok_or_else(wrong)?);
            Ok(())
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            ("cert-authority", None) if !options.authority => options.authority = true,
            ("namespaces", Some(Some(list))) if options.namespaces.is_none() => {
                options.namespaces = Some(list.to_owned());
            }
            ("valid-after", Some(Some(text))) => time(&mut options.validity.after, text)?,
            ("valid-before", Some(Some(text))) => time(&mut options.validity.before, text)?,
            _ => return Err(wrong()),
        }
    }
    let Validity { after, before } = options.validity;
    match after.zip(before) {
        Some((after, before)) if after >= before => Err(AllowedSignersError::Option {
            line,
            option: "valid-before, which is not after valid-after".to_owned(),
        }),
        _ => Ok(options),
    }
}

fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
}

/// What is between quotes, or a word without any.
fn unquoted(word: &str) -> Option<&str> {
    let inner = match word.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => word,
    };
    (!inner.is_empty() && !inner.contains('"')).then_some(inner)
}

/// The next word, in which quotes may hold spaces, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_gap);
    let mut quoted = false;
    let end = text
        .find(|c: char| {
            quoted ^= c == '"';
            is_gap(c) && !quoted
        })
        .unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    (!word.is_empty() && !quoted).then_some((word, rest))
}

/// What parts words for OpenSSH; any other space is a letter of a name.
fn is_gap(letter: char) -> bool {
    matches!(letter, ' ' | '\t')
}

fn is_key_type(word: &str) -> bool {
    word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key() -> Vec<u8> {
        BASE64_STANDARD
            .decode(KEY.split(' ').nth(1).unwrap())
            .unwrap()
    }

    #[test]
    fn comments_options_and_comments_behind_keys() {
        let list = AllowedSigners::parse(&format!(
            "# who may release\n\nrelease@example.com namespaces=\"longshore-release,git\" {KEY} a laptop\n"
        ))
        .unwrap();
        assert_eq!(list.names("longshore-release"), "release@example.com");
        assert_eq!(list.names("file"), "none");
        let line = |key: &[u8], namespace| list.line_for(key, namespace, at(0), |_| true);
        assert!(line(&key(), "git").is_ok());
        assert_eq!(line(&key(), "file"), Err(Lack::Namespace));
        assert_eq!(line(b"x", "git"), Err(Lack::NotListed));
    }

    #[test]
    fn options_narrow_what_a_key_may() {
        let list = AllowedSigners::parse(&format!(
            "\"a@x,b@x\" Namespaces=\"longshore-*\",valid-after=\"20240101Z\",valid-before=\"20240102\" {KEY}\n\
             ca@x cert-authority {KEY}\n"
        ))
        .unwrap();
        let (after, before) = (at(1_704_067_200), at(1_704_153_600));
        let line = |second, wanted: bool| {
            list.line_for(&key(), "longshore-signers", at(second), move |_| wanted)
        };
        assert_eq!(line(1_704_067_200, true).unwrap().principals, "a@x,b@x");
        assert_eq!(
            line(1_704_067_200, false),
            Err(Lack::NotWanted("a@x,b@x".into()))
        );
        assert_eq!(
            line(1_704_067_199, true),
            Err(Lack::Outside("a@x,b@x".into(), Outside::NotYet(after)))
        );
        assert_eq!(
            line(1_704_153_601, true),
            Err(Lack::Outside("a@x,b@x".into(), Outside::Expired(before)))
        );
    }

    #[test]
    fn somebody_is_left_only_where_they_may_sign_now() {
        let list = format!("a namespaces=\"longshore-signers\",valid-before=\"20240101\" {KEY}");
        let list = AllowedSigners::parse(&list).unwrap();
        let (nobody, gone) = (Revoked::default(), Revoked::parse(KEY.as_bytes()).unwrap());
        assert!(list.anyone_may("longshore-signers", &nobody, at(0)));
        assert!(!list.anyone_may("longshore-signers", &gone, at(0)));
        assert!(!list.anyone_may("longshore-release", &nobody, at(0)));
        assert!(!list.anyone_may("longshore-signers", &nobody, at(1_800_000_000)));
    }

    #[test]
    fn what_is_not_understood_trusts_nobody() {
        for text in [
            String::new(),
            "# nobody\n".to_owned(),
            format!("a cert-authorit {KEY}"),
            format!("a cert-authority=\"x\" {KEY}"),
            format!("a valid-before=\"2020\" {KEY}"),
            format!("a valid-before=20200101 {KEY}"),
            format!("a valid-after=\"20200102\",valid-before=\"20200101\" {KEY}"),
            format!("a valid-before=\"20200101\",valid-before=\"20300101\" {KEY}"),
            format!("a namespaces {KEY}"),
            format!("a namespaces=\"\" {KEY}"),
            format!("a namespaces=\"x\",namespaces=\"longshore-release\" {KEY}"),
            format!("a namespaces=\"x\" namespaces=\"longshore-release\" {KEY}"),
            format!("a namespaces=\"longshore-release {KEY}"),
            format!("a namespaces=\"x\",, {KEY}"),
            format!("\"a {KEY}"),
            format!("\"\" {KEY}"),
            "a ssh-ed25519".to_owned(),
            "a ssh-ed25519 AAAA".to_owned(),
            KEY.to_owned(),
            format!("a {}", KEY.replace("ssh-ed25519 ", "ssh-rsa ")),
            format!("good {KEY}\nbad line\n"),
        ] {
            assert!(AllowedSigners::parse(&text).is_err(), "{text:?} passed");
        }
    }
}
