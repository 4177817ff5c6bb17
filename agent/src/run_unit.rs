//! A command of a person, in the environment of the release that serves, as the app's user.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use longshore_shared::settings::SettingName;

use crate::activate::live::{self, Live};
use crate::command::CommandError;
use crate::layout::{AppLayout, ReleaseFiles};
use crate::settings::{self, files};

/// What the shell is told that runs it: the words are the program's, and its path is looked for in the
/// app's environment. It stays, since systemd takes the end by most signals for a good one, and bears
/// those that are meant for the program.
const AS_WORDS: &str = "trap : HUP INT PIPE TERM; \"$0\" \"$@\"";

/// One that runs in a unit of its own, on handles that somebody brought.
pub(crate) struct RunUnit {
    pub(crate) name: String,
    runner: Child,
}

impl RunUnit {
    pub(crate) fn start(
        layout: &AppLayout,
        live: &Live,
        command: &[String],
        terminal: Option<&str>,
        handles: [OwnedFd; 3],
    ) -> Result<Self, CommandError> {
        let program = "systemd-run";
        let manifest = live::manifest(layout, &live.version).ok();
        let as_files = manifest.map(|manifest| manifest.app_file.settings.files);
        let as_files = as_files.unwrap_or_default();
        let name = format!(
            "longshore-{}-run-{}.service",
            layout.app,
            Timestamp::now().as_microsecond()
        );
        let [input, output, errors] = handles.map(Stdio::from);
        let runner = Command::new(program)
            .args(words(layout, live, &name, command, terminal, &as_files))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NOTIFY_SOCKET")
            .stdin(input)
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| CommandError::Start {
                program: program.to_owned(),
                source,
            })?;
        Ok(Self { name, runner })
    }

    /// How it ended, as a shell says it.
    pub(crate) fn wait(&mut self) -> u8 {
        let ended = self.runner.wait().ok().and_then(|status| status.code());
        ended
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(u8::MAX)
    }
}

fn words(
    layout: &AppLayout,
    live: &Live,
    name: &str,
    command: &[String],
    terminal: Option<&str>,
    as_files: &[SettingName],
) -> Vec<String> {
    let home = layout.app_mount();
    let release = layout.slot(live.slot);
    let own = home.join(".venv/bin");
    let mut words = vec![
        "--quiet".to_owned(),
        "--wait".to_owned(),
        "--collect".to_owned(),
        "--service-type=exec".to_owned(),
        format!("--unit={name}"),
        format!(
            "--setenv=PATH={}:/usr/local/bin:/usr/bin:/bin",
            own.display()
        ),
        "--setenv=HOME=/tmp".to_owned(),
    ];
    match terminal {
        Some(kind) => words.extend(["--pty".to_owned(), format!("--setenv=TERM={}", plain(kind))]),
        None => words.push("--pipe".to_owned()),
    }
    let properties = [
        format!("User={}", layout.user()),
        format!("Group={}", layout.user()),
        format!("BindReadOnlyPaths={}:{}", release.display(), home.display()),
        format!("WorkingDirectory={}", home.display()),
        format!(
            "EnvironmentFile={}",
            ReleaseFiles::of(&release).environment().display()
        ),
        format!("ReadWritePaths={}", layout.shared().display()),
        "ProtectSystem=strict".to_owned(),
        "ProtectHome=yes".to_owned(),
        "PrivateTmp=yes".to_owned(),
        "NoNewPrivileges=yes".to_owned(),
        "UMask=0007".to_owned(),
        "TimeoutStopSec=5s".to_owned(),
    ];
    let environment = settings::environment_files(layout).into_iter();
    let slice = layout.slice().map(|slice| format!("Slice={slice}"));
    let as_files = files::properties(layout, as_files);
    // The release's own environment comes last, as in its slots.
    let properties = environment.chain(properties).chain(slice).chain(as_files);
    words.extend(properties.map(|property| format!("--property={property}")));
    words.extend(["--", "/bin/sh", "-c"].map(str::to_owned));
    let mut program = vec![AS_WORDS.to_owned()];
    if let [_line] = command {
        program.extend(["/bin/sh", "-c"].map(str::to_owned));
    }
    program.extend(command.iter().cloned());
    // systemd expands variables in the words that it is given; whoever wrote them did not mean that.
    words.extend(program.iter().map(|word| word.replace('$', "$$")));
    words
}

/// A kind of terminal is a short name.
fn plain(kind: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    kind.chars().filter(fits).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_shared::wire::latest::Slot;
    use semver::Version;

    #[test]
    fn words_stay_words_and_a_line_is_the_shells() {
        let layout = AppLayout::new(&"cortico".parse().unwrap());
        let live = Live {
            slot: Slot::Green,
            version: Version::new(1, 0, 0),
        };
        let words = |command: &[&str], terminal| {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            words(&layout, &live, "x.service", &command, terminal, &[])
        };
        let plain = words(&["python", "-c", "print($HOME)"], None);
        let end: Vec<&str> = plain
            .iter()
            .rev()
            .take(4)
            .rev()
            .map(String::as_str)
            .collect();
        assert_eq!(
            end,
            [
                "trap : HUP INT PIPE TERM; \"$$0\" \"$$@\"",
                "python",
                "-c",
                "print($$HOME)"
            ]
        );
        assert!(plain.contains(&"--pipe".to_owned()));
        let line = words(&["env | sort"], Some("xterm-256color;x"));
        let end: Vec<&str> = line[line.len() - 3..].iter().map(String::as_str).collect();
        assert_eq!(end, ["/bin/sh", "-c", "env | sort"]);
        assert!(
            line.contains(&"--setenv=TERM=xterm-256colorx".to_owned()),
            "{line:?}"
        );
    }
}
