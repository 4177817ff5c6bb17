//! Units of an app, made from fixed forms: an app chooses what runs, never how it is confined.

mod process;
mod slot;
mod timer;

use std::path::{Path, PathBuf};

use longshore_shared::app_file::Limits;

use crate::layout::{AppLayout, ReleaseFiles};

pub(super) use process::render as process;
pub(super) use slot::render as slot;
pub(super) use timer::render as timer;

/// What every unit of an app has in common: whose it is, which release it sees, and where it may write.
struct Confined<'a> {
    layout: &'a AppLayout,
    /// A link to the release.
    release: &'a Path,
    /// Beside what is shared.
    writable: Option<PathBuf>,
    limits: &'a Limits,
}

impl Confined<'_> {
    fn lines(&self) -> String {
        let layout = self.layout;
        let (user, home, shared) = (layout.user(), layout.app_mount(), layout.shared());
        let (home, shared, link) = (home.display(), shared.display(), self.release.display());
        let release = ReleaseFiles::of(self.release).environment();
        let (release, settings) = (release.display(), layout.settings());
        let settings = settings.display();
        let writable = match &self.writable {
            Some(folder) => format!(" {}", folder.display()),
            None => String::new(),
        };
        let limits = limits(self.limits);
        format!(
            "User={user}
Group={user}
WorkingDirectory={home}
BindReadOnlyPaths={link}:{home}
EnvironmentFile=-{settings}
EnvironmentFile={release}
Environment=HOME=/tmp PYTHONUNBUFFERED=1
KillMode=mixed
UMask=0007
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths={shared}{writable}
{limits}"
        )
    }
}

fn limits(limits: &Limits) -> String {
    let line = |name: &str, value: Option<u32>| {
        value.map_or(String::new(), |value| format!("{name}={value}\n"))
    };
    line("LimitNOFILE", limits.open_files) + &line("TasksMax", limits.processes)
}

/// A line for the shell, as a unit's command.
fn shell(line: &str) -> String {
    command(&[
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        format!("exec {line}"),
    ])
}

fn command(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// One word of a unit file, in which nothing has a meaning for systemd.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_means_anything_to_systemd() {
        assert_eq!(quoted("config.wsgi:application"), "config.wsgi:application");
        assert_eq!(
            quoted("exec a $B %h \"c\" \\"),
            "\"exec a $$B %%h \\\"c\\\" \\\\\""
        );
        assert_eq!(quoted(""), "\"\"");
    }
}
