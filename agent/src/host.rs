//! What this host is: `host.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use longshore_shared::instance::{Instance, Slug};
use longshore_shared::name::{AppName, EnvironmentName, HostName};
use longshore_shared::setup::{OnLeave, PreviewRules};
use serde::Deserialize;

use crate::layout::CONFIG;
use crate::names::Person;
use crate::trusted_file::{self, TrustedFileError};

/// `host.toml`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    pub(crate) environment: EnvironmentName,
    pub(crate) host: HostName,
    #[serde(default)]
    access: Access,
    #[serde(default)]
    pub(crate) apps: BTreeMap<AppName, HostedApp>,
}

/// Who may do what, beside root. `@name` is a group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Access {
    #[serde(default = "group_longshore")]
    read: Vec<String>,
    #[serde(default = "group_longshore")]
    deploy: Vec<String>,
    /// Who may let a release serve whose key was revoked: nobody who only deploys.
    #[serde(default = "group_sudo")]
    overrule: Vec<String>,
    /// Who may see and change settings: they hold secrets, and decide what code does.
    #[serde(default = "group_sudo")]
    settings: Vec<String>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            read: group_longshore(),
            deploy: group_longshore(),
            overrule: group_sudo(),
            settings: group_sudo(),
        }
    }
}

fn group_longshore() -> Vec<String> {
    vec!["@longshore".to_owned()]
}

fn group_sudo() -> Vec<String> {
    vec!["@sudo".to_owned()]
}

/// An app that may live here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostedApp {
    /// Without one the app gets no site in nginx.
    #[serde(default)]
    pub(crate) domain: Option<Domain>,
    /// Without it the site is served over plain HTTP.
    #[serde(default)]
    tls: Option<Tls>,
    #[serde(default)]
    pub(crate) on_leave: OnLeave,
    /// Whether what is to run on one host of the environment runs on this one.
    #[serde(default)]
    pub(crate) single: bool,
    /// What previews of its branches may take; nothing where there are none.
    #[serde(default)]
    pub(crate) preview: Option<HostedPreviews>,
}

/// The rules of previews, with a domain that can be served.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PreviewRules")]
pub(crate) struct HostedPreviews {
    pub(crate) rules: PreviewRules,
    domain: Option<Domain>,
}

impl TryFrom<PreviewRules> for HostedPreviews {
    type Error = String;
    fn try_from(rules: PreviewRules) -> Result<Self, String> {
        let domain = rules.domain.clone().map(Domain::try_from).transpose()?;
        Ok(Self { rules, domain })
    }
}

impl HostedApp {
    /// A preview of it: alone here, and reached under a name of its own.
    fn preview_called(&self, slug: &Slug) -> Option<Self> {
        let previews = self.preview.as_ref()?;
        let domain = previews.domain.as_ref().or(self.domain.as_ref());
        let domain = domain.map(|domain| Domain(format!("{slug}.{}", domain.as_str())));
        Some(Self {
            domain,
            tls: self.tls.clone().filter(|_| previews.rules.https),
            single: true,
            ..self.clone()
        })
    }

    /// How the web reaches it, if it does.
    pub(crate) fn front(&self) -> Option<Front> {
        Some(Front {
            domain: self.domain.clone()?,
            tls: self.tls.clone(),
        })
    }
}

/// How an app is reached from the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Front {
    pub(crate) domain: Domain,
    pub(crate) tls: Option<Tls>,
}

/// Where a site's certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate: PlainPath,
    pub(crate) key: PlainPath,
}

/// An absolute path that is safe in nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PlainPath(String);

impl PlainPath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PlainPath {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_');
        if text.starts_with('/') && text.bytes().all(plain) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is no plain absolute path"))
        }
    }
}

/// A host name of the web, safe in nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Domain(String);

impl Domain {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Domain {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is no domain: write it in lower case, such as \"www.example.com\""
            ))
        }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Deploy,
    Overrule,
    Settings,
}

impl Host {
    /// Reads the host's own `host.toml`.
    pub(crate) fn load() -> Result<Self, TrustedFileError> {
        trusted_file::read_toml(Path::new(CONFIG))
    }

    /// An app, or a preview of one, that may live here.
    pub(crate) fn hosted(&self, instance: &Instance) -> Option<HostedApp> {
        let app = self.apps.get(instance.app())?;
        match instance.preview() {
            Some(slug) => app.preview_called(slug),
            None => Some(app.clone()),
        }
    }

    /// Whether `person` may do what `right` says.
    pub(crate) fn allows(&self, person: &Person, right: Right) -> bool {
        let list = match right {
            Right::Read => &self.access.read,
            Right::Deploy => &self.access.deploy,
            Right::Overrule => &self.access.overrule,
            Right::Settings => &self.access.settings,
        };
        let named = |entry: &String| match entry.strip_prefix('@') {
            Some(group) => person.groups.iter().any(|own| own == group),
            None => *entry == person.name,
        };
        // Whoever may deploy may also see what came of it.
        let reads_too = right == Right::Read && self.access.deploy.iter().any(named);
        person.name == "root" || reads_too || list.iter().any(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<Host, toml::de::Error> {
        toml::from_str(&format!("environment = \"demo\"\nhost = \"web-1\"\n{text}"))
    }

    fn person(name: &str, groups: &[&str]) -> Person {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Person {
            name: name.to_owned(),
            groups,
        }
    }

    #[test]
    fn rights_follow_names_and_groups() {
        let host = host("[access]\nread = [\"@ops\"]\ndeploy = [\"ci\", \"@leads\"]\n").unwrap();
        for (who, read, deploy) in [
            (person("root", &[]), true, true),
            (person("ci", &[]), true, true),
            (person("ann", &["leads"]), true, true),
            (person("bob", &["ops"]), true, false),
            (person("leads", &["longshore"]), false, false),
        ] {
            assert_eq!(host.allows(&who, Right::Read), read, "{who:?}");
            assert_eq!(host.allows(&who, Right::Deploy), deploy, "{who:?}");
            let root = who.name == "root";
            assert_eq!(host.allows(&who, Right::Overrule), root, "{who:?}");
        }
    }

    #[test]
    fn domains_cannot_carry_configuration() {
        for domain in [
            "a.b;",
            "a b",
            "a{",
            "A.example",
            "",
            "-a.example",
            "a..b",
            "a\n",
        ] {
            let text = format!("[apps.a]\ndomain = {domain:?}\n");
            assert!(host(&text).is_err(), "{domain:?} passed");
        }
        assert!(host("[apps.a]\ndomain = \"www.example.com\"\n").is_ok());
        for path in ["a.pem", "/a b", "/a;", "/a\n"] {
            let text = format!("[apps.a]\ntls = {{ certificate = {path:?}, key = \"/k\" }}\n");
            assert!(host(&text).is_err(), "{path:?} passed");
        }
        assert!(host("[apps.\"../a\"]\n").is_err());
    }
}
