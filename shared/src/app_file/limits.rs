//! `[limits]`: what the app asks of the system beyond its defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AppFileError, unique_map};

/// The whole section. What is left out is left out of the manifest, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Files and sockets that each process may have open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u32>,
    /// Processes and threads of a slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// Settings of the kernel that have to be at least so high. A release does not set them: they are
    /// the whole host's, so the inventory does.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_map::deserialize"
    )]
    pub sysctl: BTreeMap<KernelSetting, u64>,
}

impl Limits {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), AppFileError> {
        let within = |name, value: Option<u32>, most| match value {
            Some(value) if !(64..=most).contains(&value) => {
                Err(AppFileError::Limit { name, value, most })
            }
            _ => Ok(()),
        };
        within("open_files", self.open_files, 1 << 20)?;
        within("processes", self.processes, 1 << 16)
    }
}

/// A name such as `net.core.somaxconn`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelSetting(String);

impl KernelSetting {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KernelSetting {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        // It becomes a path below /proc/sys.
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
        };
        if text.len() <= 100 && text.contains('.') && text.split('.').all(plain) {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is no setting of the kernel: they are called as net.core.somaxconn is"
            ))
        }
    }
}

impl From<KernelSetting> for String {
    fn from(name: KernelSetting) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_kernels_folder() {
        let name = |text: &str| KernelSetting::try_from(text.to_owned());
        assert!(name("net.core.somaxconn").is_ok() && name("fs.inotify.max_user_watches").is_ok());
        for bad in [
            "",
            "somaxconn",
            "net..core",
            ".net.a",
            "net/core.a",
            "Net.a",
            "a.b\n",
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_within_reason() {
        let limits = |open_files, processes| Limits {
            open_files,
            processes,
            ..Limits::default()
        };
        assert!(limits(Some(65_536), Some(512)).check().is_ok());
        assert!(limits(Some(3), None).check().is_err());
        assert!(limits(None, Some(u32::MAX)).check().is_err());
    }
}
