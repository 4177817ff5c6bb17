//! The shape of `inventory.toml`, as written: nothing here is checked beyond its type.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use longshore_shared::setup::{OnLeave, PreviewRules};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::setup::SetupFile;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InventoryFile {
    #[serde(default)]
    pub(super) fleet: FleetFile,
    #[serde(default)]
    pub(super) people: BTreeMap<Spanned<String>, PersonFile>,
    #[serde(default)]
    pub(super) setup: SetupFile,
    #[serde(default)]
    pub(super) environments: BTreeMap<Spanned<String>, EnvironmentFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FleetFile {
    pub(super) signers: Option<PathBuf>,
    pub(super) revoked: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonFile {
    #[serde(default)]
    pub(super) keys: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) groups: Vec<Spanned<String>>,
    /// What their signatures are known by.
    pub(super) principal: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) signing_keys: Vec<Spanned<String>>,
    /// A repository that is cloned into their new home.
    pub(super) dotfiles: Option<Spanned<String>>,
    /// Take over an account of that name that was there before.
    #[serde(default)]
    pub(super) adopt: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentFile {
    pub(super) release_by: Option<Vec<Spanned<String>>>,
    /// Who may let a release serve whose key was revoked: names and `@groups`.
    pub(super) overrule: Option<Vec<Spanned<String>>>,
    /// Who may see and change settings, in the same way.
    pub(super) settings_by: Option<Vec<Spanned<String>>>,
    pub(super) forward_only: Option<bool>,
    /// Who gets an account: names and `@groups`. Nothing means everyone.
    pub(super) people: Option<Vec<Spanned<String>>>,
    /// Keys of CI that may do nothing but deploy.
    #[serde(default)]
    pub(super) deploy_keys: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) setup: SetupFile,
    #[serde(default)]
    pub(super) hosts: Vec<HostFile>,
    #[serde(default)]
    pub(super) apps: BTreeMap<Spanned<String>, AppFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostFile {
    pub(super) name: Spanned<String>,
    pub(super) address: Spanned<String>,
    pub(super) port: Option<Spanned<u16>>,
    pub(super) user: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) roles: Vec<Spanned<String>>,
    pub(super) host_key: Option<Spanned<OneOrMany>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppFile {
    pub(super) hosts: Vec<Spanned<String>>,
    pub(super) domain: Option<Spanned<String>>,
    pub(super) tls: Option<Spanned<TlsFile>>,
    pub(super) branch: Option<String>,
    #[serde(default)]
    pub(super) on_leave: OnLeave,
    pub(super) preview: Option<Spanned<PreviewRules>>,
}

/// `"acme"` or `{ certificate = "…", key = "…" }`.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"acme\", or { certificate = \"FILE\", key = \"FILE\" }"
)]
pub(super) enum TlsFile {
    Word(String),
    Files(CertificateFiles),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// `"a"` or `["a", "b"]`.
#[derive(Debug)]
pub(super) struct OneOrMany(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, one: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![one.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut many = Vec::new();
                while let Some(next) = list.next_element()? {
                    many.push(next);
                }
                Ok(OneOrMany(many))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
