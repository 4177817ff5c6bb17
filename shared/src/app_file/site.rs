//! `[site]`: what nginx does for the app beside passing requests on. A fixed schema, of which no
//! text can end a directive, open a block or name a variable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::text::checked_text;
use super::{AppFileError, InnerPath, SitePath, unique_map};
use crate::settings::SettingName;

/// Below it the agent asks nginx, and an authority asks for what it gave.
const OWN: &str = "/.well-known/";
/// They are for a connection, or for one answer, and never for all.
const NOT_TO_ADD: [&str; 10] = [
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "set-cookie",
    "transfer-encoding",
    "upgrade",
];

/// The whole section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Added to every answer.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_map::deserialize"
    )]
    pub headers: BTreeMap<HeaderName, HeaderValue>,
    /// From one path, exactly, to another or to another site; for good.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_map::deserialize"
    )]
    pub redirects: BTreeMap<SitePath, RedirectTarget>,
    /// Below these paths a connection may be silent for an hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub websockets: Vec<SitePath>,
    /// The setting that has the users who may see the site: a line `NAME:HASH` for each, as `htpasswd`
    /// writes them, or `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<SettingName>,
    /// The page of the release that is shown instead of the app during maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<InnerPath>,
}

impl Site {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check<V>(
        &self,
        static_files: &BTreeMap<SitePath, V>,
    ) -> Result<(), AppFileError> {
        let paths = || self.redirects.keys().chain(&self.websockets);
        if let Some(path) = paths().find(|path| path.as_str().starts_with(OWN)) {
            return Err(AppFileError::OwnPath(path.to_string()));
        }
        // A redirect is of one path exactly, and a place with and without a slash are two of them.
        let bare = |path: &SitePath| path.as_str().trim_end_matches('/').to_owned();
        let mut places: Vec<String> = self.websockets.iter().map(bare).collect();
        places.extend(static_files.keys().map(bare));
        places.sort_unstable();
        if let Some(twice) = places.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(AppFileError::PathTwice(twice[0].clone()));
        }
        if places.iter().any(String::is_empty) {
            return Err(AppFileError::PathTwice("/".to_owned()));
        }
        let mut redirects = self.redirects.keys();
        if let Some(path) = redirects.find(|path| places.contains(&bare(path))) {
            return Err(AppFileError::PathTwice(path.to_string()));
        }
        let mut names: Vec<String> = self
            .headers
            .keys()
            .map(|name| name.as_str().to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(AppFileError::HeaderTwice(twice[0].clone()));
        }
        let own = |(from, to): &(&SitePath, &RedirectTarget)| from.as_str() == to.as_str();
        match self.redirects.iter().find(own) {
            Some((from, _)) => Err(AppFileError::RedirectsToItself(from.to_string())),
            None => Ok(()),
        }
    }
}

checked_text!(
    /// Such as `X-Frame-Options`.
    HeaderName,
    |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(plain)
            && !NOT_TO_ADD.contains(&text.to_ascii_lowercase().as_str());
        fits.then(|| text.to_owned())
    }
);
checked_text!(
    /// It is written between quotes, where nginx still sees variables.
    HeaderValue,
    |text| {
        let plain = |b: u8| (b' '..=b'~').contains(&b) && !b"\"\\${}".contains(&b);
        let fits = (1..=2048).contains(&text.len()) && text.bytes().all(plain);
        fits.then(|| text.to_owned())
    }
);
checked_text!(
    /// A path of the site, or an address of the web.
    RedirectTarget,
    |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:%?=&+,@#!".contains(&b);
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let is_address = rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        let fits = text.len() <= 2048 && text.bytes().all(plain) && (is_path || is_address);
        fits.then(|| text.to_owned())
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> Result<Site, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn checked(text: &str) -> Result<(), AppFileError> {
        let files = BTreeMap::from([(SitePath::try_from("/static/".to_owned()).unwrap(), ())]);
        site(text).unwrap().check(&files)
    }

    #[test]
    fn nothing_breaks_out_of_its_directive() {
        for text in [
            r#"{"headers":{"X-A":"a\"; return 200"}}"#,
            r#"{"headers":{"X-A":"$http_cookie"}}"#,
            r#"{"headers":{"X-A":"a\nb"}}"#,
            r#"{"headers":{"X-A":"{app}"}}"#,
            r#"{"headers":{"X A":"a"}}"#,
            r#"{"headers":{"Content-Length":"0"}}"#,
            r#"{"redirects":{"/a":"/b; }"}}"#,
            r#"{"redirects":{"/a":"/$host"}}"#,
            r#"{"redirects":{"/a":"//evil.example"}}"#,
            r#"{"redirects":{"/a":"javascript:x"}}"#,
            r#"{"redirects":{"/a b":"/c"}}"#,
            r#"{"websockets":["ws"]}"#,
            r#"{"basic_auth":"a b"}"#,
            r#"{"maintenance":"../page.html"}"#,
            r#"{"snippet":"x"}"#,
        ] {
            assert!(site(text).is_err(), "{text} passed");
        }
        let fine = r#"{"headers":{"Content-Security-Policy":"default-src 'self'; img-src *"},
            "redirects":{"/a":"https://example.com/x?y=1","/b/":"/c/"},"websockets":["/ws/"],
            "basic_auth":"SITE_USERS","maintenance":"maintenance.html"}"#;
        assert!(checked(fine).is_ok());
    }

    #[test]
    fn a_path_has_one_meaning() {
        assert!(checked(r#"{"redirects":{"/static":"/x"}}"#).is_err());
        assert!(checked(r#"{"redirects":{"/ws/":"/x"},"websockets":["/ws/"]}"#).is_err());
        assert!(checked(r#"{"redirects":{"/.well-known/longshore-site":"/x"}}"#).is_err());
        assert!(checked(r#"{"redirects":{"/a":"/a"}}"#).is_err());
        assert!(checked(r#"{"redirects":{"/a":"/b","/a/":"/b"}}"#).is_ok());
        assert!(checked(r#"{"websockets":["/"]}"#).is_err());
        assert!(checked(r#"{"headers":{"X-A":"1","x-a":"2"}}"#).is_err());
    }
}
