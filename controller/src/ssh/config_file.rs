//! Reads `~/.ssh/config`, as far as Longshore follows it, into what holds for one host.
//!
//! The first value that is found for a keyword wins, as in OpenSSH; identity files add up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use thiserror::Error;

use super::config_line;
use crate::inventory::glob;

/// Includes inside includes: deep enough for people, shallow enough for a loop to be noticed.
const DEEPEST_INCLUDE: usize = 16;

/// What the configuration says about one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HostSettings {
    pub(super) host_name: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) identity_files: Vec<String>,
    pub(super) identities_only: Option<bool>,
    /// A socket path, `SSH_AUTH_SOCK`, or `none`.
    pub(super) identity_agent: Option<String>,
    pub(super) proxy_jump: Option<String>,
    pub(super) user_known_hosts_files: Option<Vec<String>>,
    pub(super) host_key_alias: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    proxy_command: Option<(PathBuf, usize)>,
    /// What was passed over, for `-v`.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}:{line}: {what}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        what: String,
    },
    #[error(
        "{}:{line}: Longshore does not run a ProxyCommand: use ProxyJump, or `ProxyCommand none` for this host",
        path.display()
    )]
    ProxyCommand { path: PathBuf, line: usize },
}

/// What `alias`, the word that a person would give to `ssh`, means. A missing file says nothing.
pub(super) fn settings_for(
    alias: &str,
    config: &Path,
    home: &Path,
) -> Result<HostSettings, ConfigError> {
    let mut reader = Reader {
        alias,
        home,
        settings: HostSettings::default(),
    };
    reader.file(config, true, 0)?;
    if let Some((path, line)) = reader.settings.proxy_command.clone() {
        return Err(ConfigError::ProxyCommand { path, line });
    }
    Ok(reader.settings)
}

struct Reader<'a> {
    alias: &'a str,
    home: &'a Path,
    settings: HostSettings,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, outer: bool, depth: usize) -> Result<(), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => {
                let path = path.to_owned();
                return Err(ConfigError::Read { path, source });
            }
        };
        let mut active = outer;
        for (index, line) in text.lines().enumerate() {
            let here = Place {
                path,
                line: index + 1,
            };
            let Some((keyword, words)) =
                config_line::split(line).map_err(|what| here.wrong(what))?
            else {
                continue;
            };
            match keyword.as_str() {
                "host" => active = outer && matches_host(&words, self.alias),
                "match" => {
                    active = outer && words.iter().map(|w| w.to_ascii_lowercase()).eq(["all"]);
                    if !active {
                        self.note(&here, "a Match block is passed over");
                    }
                }
                "include" if active => self.include(&words, path, &here, depth)?,
                _ if active => self.keyword(&keyword, &words, &here)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        words: &[String],
        from: &Path,
        here: &Place<'_>,
        depth: usize,
    ) -> Result<(), ConfigError> {
        if depth >= DEEPEST_INCLUDE {
            return Err(here.wrong("files include each other too deeply"));
        }
        for word in words {
            let path = expand_home(word, self.home);
            // A relative name is meant from ~/.ssh, where the first file lives.
            let path = match from.parent() {
                Some(folder) if path.is_relative() => folder.join(path),
                _ => path,
            };
            for file in glob_files(&path) {
                self.file(&file, true, depth + 1)?;
            }
        }
        Ok(())
    }

    fn keyword(
        &mut self,
        keyword: &str,
        words: &[String],
        here: &Place<'_>,
    ) -> Result<(), ConfigError> {
        let one = || match words {
            [one] => Ok(one.clone()),
            _ => Err(here.wrong(&format!("{keyword} takes one word"))),
        };
        let settings = &mut self.settings;
        match keyword {
            "hostname" => first(&mut settings.host_name, one()?),
            "user" => first(&mut settings.user, one()?),
            "port" => match one()?.parse() {
                Ok(port) if port > 0 => first(&mut settings.port, port),
                _ => return Err(here.wrong("this is not a port between 1 and 65535")),
            },
            "identityfile" => settings.identity_files.push(one()?),
            "identitiesonly" => match one()?.to_ascii_lowercase().as_str() {
                "yes" | "true" => first(&mut settings.identities_only, true),
                "no" | "false" => first(&mut settings.identities_only, false),
                _ => return Err(here.wrong("write yes or no")),
            },
            "identityagent" => first(&mut settings.identity_agent, one()?),
            "proxyjump" => first(&mut settings.proxy_jump, one()?),
            // Whichever of the two comes first holds, and `none` takes the other one's place too.
            "proxycommand" => {
                let none = words
                    .first()
                    .is_some_and(|w| w.eq_ignore_ascii_case("none"));
                if none {
                    first(&mut settings.proxy_jump, "none".to_owned());
                } else if settings.proxy_jump.is_none() && settings.proxy_command.is_none() {
                    settings.proxy_command = Some((here.path.to_owned(), here.line));
                }
            }
            "userknownhostsfile" => first(&mut settings.user_known_hosts_files, words.to_vec()),
            "hostkeyalias" => first(&mut settings.host_key_alias, one()?),
            "connecttimeout" => {
                let word = one()?;
                if !word.eq_ignore_ascii_case("none") {
                    let seconds = word
                        .trim_end_matches('s')
                        .parse()
                        .map_err(|_| here.wrong("write a number of seconds"))?;
                    first(&mut settings.connect_timeout, Duration::from_secs(seconds));
                }
            }
            "stricthostkeychecking" => {
                let relaxed = words.iter().any(|w| {
                    matches!(w.to_ascii_lowercase().as_str(), "no" | "off" | "accept-new")
                });
                if relaxed {
                    self.note(here, "StrictHostKeyChecking is always yes for Longshore");
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, here: &Place<'_>, what: &str) {
        let note = format!("{}:{}: {what}", here.path.display(), here.line);
        self.settings.notes.push(note);
    }
}

struct Place<'a> {
    path: &'a Path,
    line: usize,
}

impl Place<'_> {
    fn wrong(&self, what: &str) -> ConfigError {
        ConfigError::Line {
            path: self.path.to_owned(),
            line: self.line,
            what: what.to_owned(),
        }
    }
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

/// At least one pattern matches and no negated one does.
fn matches_host(patterns: &[String], alias: &str) -> bool {
    let mut matched = false;
    for pattern in patterns.iter().flat_map(|word| word.split(',')) {
        match pattern.strip_prefix('!') {
            Some(negated) if glob(negated, alias) => return false,
            Some(_) => {}
            None => matched |= glob(pattern, alias),
        }
    }
    matched
}

/// `~/x` in the person's own folder; other people's (`~name/x`) are left as they are.
pub(super) fn expand_home(text: &str, home: &Path) -> PathBuf {
    match text.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if text == "~" => home.to_owned(),
        None => PathBuf::from(text),
    }
}

/// The files that a name with `*` or `?` in its last part stands for, in order.
fn glob_files(path: &Path) -> Vec<PathBuf> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let (Some(name), Some(folder)) = (name, path.parent()) else {
        return vec![path.to_owned()];
    };
    if !name.contains(['*', '?']) {
        return vec![path.to_owned()];
    }
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| glob(&name, &entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(alias: &str, text: &str) -> Result<HostSettings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        std::fs::write(&config, text).unwrap();
        std::fs::write(
            folder.path().join("extra_1"),
            "User included\nHost other\nPort 9\n",
        )
        .unwrap();
        settings_for(alias, &config, folder.path())
    }

    const CONFIG: &str = "
Host web-* !web-9
    HostName 10.0.0.1
    User deploy
    IdentityFile ~/.ssh/one
    ProxyJump me@jump:2222,inner
Host web-1
    Port 2022
    User ignored
    IdentityFile %d/.ssh/two
Host *
    IdentitiesOnly yes
    ConnectTimeout 3
    UserKnownHostsFile /a /b
";

    #[test]
    fn the_first_value_wins_and_identities_add_up() {
        let web = settings("web-1", CONFIG).unwrap();
        assert_eq!(web.host_name.as_deref(), Some("10.0.0.1"));
        assert_eq!(web.user.as_deref(), Some("deploy"));
        assert_eq!(web.port, Some(2022));
        assert_eq!(web.identity_files, ["~/.ssh/one", "%d/.ssh/two"]);
        assert_eq!(web.identities_only, Some(true));
        assert_eq!(web.proxy_jump.as_deref(), Some("me@jump:2222,inner"));
        assert_eq!(web.connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(web.user_known_hosts_files.unwrap(), ["/a", "/b"]);
    }

    #[test]
    fn a_negated_pattern_keeps_its_host_out() {
        assert_eq!(settings("web-9", CONFIG).unwrap().user, None);
        assert_eq!(settings("db", CONFIG).unwrap().identities_only, Some(true));
    }

    #[test]
    fn includes_are_read_in_place_and_end_with_their_file() {
        let text = "Include extra_*\nPort 7\nUser late\n";
        let found = settings("x", text).unwrap();
        assert_eq!(
            (found.user.as_deref(), found.port),
            (Some("included"), Some(7))
        );
    }

    #[test]
    fn match_blocks_are_passed_over_with_a_note() {
        let found = settings("x", "Match exec \"true\"\nPort 7\nHost *\nPort 8\n").unwrap();
        assert_eq!(found.port, Some(8));
        assert!(found.notes[0].contains("config:1: a Match block"));
        assert_eq!(settings("x", "Match all\nPort 7\n").unwrap().port, Some(7));
    }

    #[test]
    fn what_would_be_misunderstood_is_an_error_with_its_line() {
        for text in [
            "Port x",
            "Port 0",
            "Host \"a",
            "User a b",
            "ConnectTimeout soon",
            "ProxyCommand nc %h %p",
        ] {
            let error = settings("x", text).unwrap_err().to_string();
            assert!(error.contains("config:1: "), "{error}");
        }
        assert!(settings("x", "ProxyCommand none\nProxyCommand nc").is_ok());
        assert!(settings("x", "ProxyJump j\nProxyCommand nc").is_ok());
    }

    #[test]
    fn a_loop_of_includes_ends() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        std::fs::write(&config, "Include config").unwrap();
        assert!(settings_for("x", &config, folder.path()).is_err());
    }
}
