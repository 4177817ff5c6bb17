//! What this host is and whom it trusts: `host.toml` and `allowed_signers`.
//!
//! Both decide what root runs here, so both are read only when nobody but root could have written
//! them, and are read again for every order: a key that was taken out is out at once.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use longshore_shared::name::{AppName, EnvironmentName, HostName};
use longshore_shared::signature::{AllowedSigners, AllowedSignersError};
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use thiserror::Error;

use crate::layout::{ALLOWED_SIGNERS, CONFIG};
use crate::names::Person;

const LARGEST: u64 = 1024 * 1024;

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
}

impl Default for Access {
    fn default() -> Self {
        Self {
            read: group_longshore(),
            deploy: group_longshore(),
        }
    }
}

fn group_longshore() -> Vec<String> {
    vec!["@longshore".to_owned()]
}

/// An app that may live here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostedApp {
    /// Without one the app gets no site in nginx.
    #[serde(default)]
    pub(crate) domain: Option<Domain>,
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
}

/// Why a file of trust is not used. Nothing is accepted then.
#[derive(Debug, Error)]
pub(crate) enum HostError {
    #[error("{path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{path} is not a plain file that only root can write ({found}): mend it with `chown root:root` and `chmod go-w`"
    )]
    Trust { path: PathBuf, found: String },
    #[error("{path} is larger than a megabyte")]
    Size { path: PathBuf },
    #[error("{path} is not as it should be")]
    Toml {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{path} is refused: nothing can be accepted until it is mended")]
    Signers {
        path: PathBuf,
        #[source]
        source: AllowedSignersError,
    },
}

impl Host {
    /// Reads the host's own `host.toml`.
    pub(crate) fn load() -> Result<Self, HostError> {
        let path = Path::new(CONFIG);
        toml::from_str(&read_trusted(path)?).map_err(|source| HostError::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Whether `person` may do what `right` says.
    pub(crate) fn allows(&self, person: &Person, right: Right) -> bool {
        let list = match right {
            Right::Read => &self.access.read,
            Right::Deploy => &self.access.deploy,
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

/// Reads the signers that this host trusts.
pub(crate) fn allowed_signers() -> Result<AllowedSigners, HostError> {
    let path = Path::new(ALLOWED_SIGNERS);
    AllowedSigners::parse(&read_trusted(path)?).map_err(|source| HostError::Signers {
        path: path.to_owned(),
        source,
    })
}

/// Reads a file whose owner and mode are checked on the very file that is read.
fn read_trusted(path: &Path) -> Result<String, HostError> {
    let failed = |source: std::io::Error| HostError::Read {
        path: path.to_owned(),
        source,
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let file = std::fs::File::from(fd);
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() || about.uid() != 0 || about.mode() & 0o022 != 0 {
        let found = format!("owner {}, mode {:04o}", about.uid(), about.mode() & 0o7777);
        return Err(HostError::Trust {
            path: path.to_owned(),
            found,
        });
    }
    if about.len() > LARGEST {
        return Err(HostError::Size {
            path: path.to_owned(),
        });
    }
    let mut text = String::new();
    file.take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
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
        assert!(host("[apps.\"../a\"]\n").is_err());
    }

    #[test]
    fn trust_files_that_others_could_write_are_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("allowed_signers");
        assert!(matches!(read_trusted(&path), Err(HostError::Read { .. })));
        std::fs::write(&path, "text").unwrap();
        let own_is_root = std::fs::metadata(&path).unwrap().uid() == 0;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read_trusted(&path).is_ok(), own_is_root);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
        assert!(matches!(read_trusted(&path), Err(HostError::Trust { .. })));
        let link = folder.path().join("link");
        crate::links::make_in_private(&link, &path).unwrap();
        assert!(matches!(read_trusted(&link), Err(HostError::Read { .. })));
    }
}
