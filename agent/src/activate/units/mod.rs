//! Units of an app, made from fixed forms: an app chooses what runs, never how it is confined.

mod process;
mod slot;
mod timer;

use std::path::{Path, PathBuf};

use longshore_shared::app_file::{AppFile, Limits};

use crate::layout::{AppLayout, ReleaseFiles};
use crate::settings::{self, files};

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
    file: &'a AppFile,
}

impl Confined<'_> {
    fn lines(&self) -> String {
        let layout = self.layout;
        let (user, home, shared) = (layout.user(), layout.app_mount(), layout.shared());
        let (home, shared, link) = (home.display(), shared.display(), self.release.display());
        let release = ReleaseFiles::of(self.release).environment();
        let release = release.display();
        let settings: String = settings::environment_files(layout)
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        let slice = layout.slice().map(|slice| format!("Slice={slice}\n"));
        let slice = slice.unwrap_or_default();
        let writable = match &self.writable {
            Some(folder) => format!(" {}", folder.display()),
            None => String::new(),
        };
        let limits = limits(&self.file.limits);
        let files = files::properties(layout, &self.file.settings.files);
        let files: String = files.iter().map(|line| format!("{line}\n")).collect();
        format!(
            "User={user}
Group={user}
WorkingDirectory={home}
BindReadOnlyPaths={link}:{home}
{settings}EnvironmentFile={release}
Environment=HOME=/tmp PYTHONUNBUFFERED=1
KillMode=mixed
UMask=0007
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths={shared}{writable}
{slice}{files}{limits}"
        )
    }
}

fn limits(limits: &Limits) -> String {
    let line = |name: &str, value: Option<u32>| {
        value.map_or(String::new(), |value| format!("{name}={value}\n"))
    };
    line("LimitNOFILE", limits.open_files) + &line("TasksMax", limits.processes)
}

/// A line for the shell, as a unit's command. What is asked to end is the program, and not a shell
/// around it.
fn program(line: &str) -> String {
    let (settings, program) = leading_settings(line);
    shell(&format!("{settings}exec {program}"))
}

fn shell(line: &str) -> String {
    command(&["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()])
}

/// `A=1 B=2 ` of `A=1 B=2 program`, and the rest.
fn leading_settings(line: &str) -> (&str, &str) {
    let mut at = 0;
    for word in line.split_inclusive(' ') {
        let name = word.split_once('=').map(|(name, _)| name);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_setting = name.is_some_and(|name| !name.is_empty() && name.chars().all(plain));
        if !is_setting || word.contains(['"', '\'']) {
            break;
        }
        at += word.len();
    }
    line.split_at(at)
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

    #[test]
    fn a_program_is_the_units_own_process() {
        assert_eq!(program("a --b"), "/bin/sh -c \"exec a --b\"");
        assert_eq!(
            program("A=1 B_2=x run --c=d"),
            "/bin/sh -c \"A=1 B_2=x exec run --c=d\""
        );
    }
}
