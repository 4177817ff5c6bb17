//! Who may see a site that is not for everybody: nginx asks a file, which is made of a setting.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use longshore_shared::manifest::Manifest;

use super::{SiteError, nginx_group};
use crate::layout::AppLayout;
use crate::names;
use crate::settings;
use crate::system_file::put_for_group;

/// How hashes begin that nginx can check.
const SCHEMES: [&str; 9] = [
    "$2a$", "$2b$", "$2y$", "$apr1$", "$1$", "$5$", "$6$", "$y$", "{SSHA}",
];
/// A setting that says that everybody may.
const OFF: &str = "off";

pub(super) enum Users {
    Everybody,
    /// The setting says that everybody may, which another one may change.
    Off,
    /// As nginx reads them.
    These(String),
    /// Whoever may by now: the setting that says who was taken away meanwhile.
    AsBefore,
}

impl Users {
    /// Nobody is let in because a setting was forgotten.
    pub(super) fn of(layout: &AppLayout, manifest: &Manifest) -> Result<Self, SiteError> {
        let Some(name) = &manifest.app_file.site.basic_auth else {
            return Ok(Self::Everybody);
        };
        let value =
            settings::value(layout, name).map_err(|trouble| SiteError::Users(trouble.message()))?;
        match value.as_deref().map(str::trim) {
            None => Err(SiteError::Users(format!(
                "[site] `basic_auth` names the setting {name}, which is not set here"
            ))),
            Some(OFF) => Ok(Self::Off),
            Some(text) if fits(text) => Ok(Self::These(format!("{text}\n"))),
            Some(_) => Err(SiteError::Users(format!(
                "the setting {name} is no list of users with hashes of their passwords"
            ))),
        }
    }

    pub(super) fn directives(&self, layout: &AppLayout) -> String {
        match self {
            Self::Everybody | Self::Off => String::new(),
            Self::These(_) | Self::AsBefore => format!(
                "    auth_basic \"{}\";\n    auth_basic_user_file {};\n    proxy_set_header Authorization \"\";\n",
                layout.app,
                layout.site_users().display()
            ),
        }
    }

    pub(super) fn are_installed(&self, layout: &AppLayout) -> bool {
        match self {
            Self::Everybody | Self::AsBefore => true,
            Self::Off => !layout.site_users().exists(),
            Self::These(text) => {
                let file = layout.site_users();
                let group = fs_err::metadata(&file).ok().map(|about| about.gid());
                group == names::group(&nginx_group())
                    && fs_err::read_to_string(&file).is_ok_and(|there| there == *text)
            }
        }
    }

    /// Readable by nginx, which asks it for each request.
    pub(super) fn install(&self, layout: &AppLayout) -> io::Result<()> {
        let text = match self {
            Self::Everybody | Self::AsBefore => return Ok(()),
            Self::Off => return remove(&layout.site_users()),
            Self::These(text) => text,
        };
        if self.are_installed(layout) {
            return Ok(());
        }
        let group = names::group(&nginx_group());
        put_for_group(&layout.site_users(), text.as_bytes(), 0o640, group)
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs_err::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Hashes alone: a password as it is would be read by nginx, too, and by whoever reads the file.
fn fits(text: &str) -> bool {
    let line = |line: &str| {
        line.trim_end().split_once(':').is_some_and(|(name, hash)| {
            !name.is_empty() && SCHEMES.iter().any(|scheme| hash.starts_with(scheme))
        })
    };
    !text.is_empty() && text.lines().all(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_taken_as_hashes_alone() {
        for text in [
            "ann:$2y$05$abc",
            "ann:$apr1$x$y\nbob:{SSHA}xyz",
            "a:$6$x$y\r",
        ] {
            assert!(fits(text), "{text:?}");
        }
        for text in [
            "",
            "ann",
            "ann:secret",
            ":$2y$05$abc",
            "ann:$2y$a\n\nbob:$2y$b",
            "ann:$ecret",
            "on",
        ] {
            assert!(!fits(text), "{text:?}");
        }
    }
}
