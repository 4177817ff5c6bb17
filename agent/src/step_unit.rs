//! One command of a release in its own transient unit, as the app's user.

use std::path::PathBuf;
use std::time::Instant;

use longshore_shared::manifest::Manifest;
use longshore_shared::settings::SettingName;
use longshore_shared::span::Span;

use crate::command::{self, Output, Outputs, Said};
use crate::journal;
use crate::layout::AppLayout;
use crate::operation::{Operation, Trouble, chain};
use crate::settings::{self, files};

/// As many of the last lines are kept for the message of a failure.
const LINES_KEPT: usize = 30;
/// More than that many migrations nobody has.
const MOST_ANSWERS: usize = 20_000;

/// What every step and every slot is told of its release.
pub(crate) fn release_environment(
    layout: &AppLayout,
    manifest: &Manifest,
) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("LONGSHORE_APP", manifest.app.to_string()),
        ("LONGSHORE_VERSION", manifest.version.to_string()),
        ("LONGSHORE_COMMIT", manifest.commit.clone()),
    ];
    if let Some(preview) = layout.app.preview() {
        let id = layout.app.as_str().replace('-', "_");
        environment.push(("LONGSHORE_PREVIEW", preview.to_string()));
        environment.push(("LONGSHORE_PREVIEW_ID", id));
    }
    environment
}

/// Whether a step may change the release that it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mount {
    Writable,
    ReadOnly,
}

/// Where and for which release commands run.
#[derive(Debug)]
pub(crate) struct StepUnit<'a> {
    pub(crate) layout: &'a AppLayout,
    pub(crate) release: PathBuf,
    pub(crate) mount: Mount,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Settings that it takes as files.
    pub(crate) files: Vec<SettingName>,
    /// How long a command may take.
    pub(crate) longest: Span,
}

impl<'a> StepUnit<'a> {
    /// In a release that is kept, and as it is.
    pub(crate) fn of_kept(layout: &'a AppLayout, manifest: &'a Manifest, longest: Span) -> Self {
        Self {
            layout,
            release: layout.release(&manifest.version),
            mount: Mount::ReadOnly,
            environment: release_environment(layout, manifest),
            files: files::for_step(layout, &manifest.app_file.settings.files),
            longest,
        }
    }

    /// Runs one command line to its end, and passes its output on as notes of `step`.
    pub(crate) fn run(&self, operation: &Operation, step: &str, line: &str) -> Result<(), Trouble> {
        self.run_hiding(operation, step, line, Outputs::Together, |_| false)
    }

    /// The same but for those lines that `hides` keeps to itself, which are told nowhere.
    pub(crate) fn run_hiding(
        &self,
        operation: &Operation,
        step: &str,
        line: &str,
        outputs: Outputs,
        mut hides: impl FnMut(&Said) -> bool,
    ) -> Result<(), Trouble> {
        let mut kept = journal::Steps::of(self.layout);
        self.follow(operation, line, outputs, |said| {
            let told = !hides(said);
            if told {
                operation.note(step, &said.text);
                kept.say(&said.text);
            }
            told
        })
    }

    /// Runs one command line to its end, and gives back what it said; a warning is no answer.
    pub(crate) fn ask(&self, operation: &Operation, line: &str) -> Result<Vec<String>, Trouble> {
        let mut said = Vec::new();
        self.follow(operation, line, Outputs::Apart, |line| {
            if line.output == Output::Standard && said.len() < MOST_ANSWERS {
                said.push(line.text.clone());
            }
            true
        })?;
        Ok(said)
    }

    fn follow(
        &self,
        operation: &Operation,
        line: &str,
        outputs: Outputs,
        mut hear: impl FnMut(&Said) -> bool,
    ) -> Result<(), Trouble> {
        if operation.is_cancelled() {
            return Err(Trouble::cancelled());
        }
        let mut last: Vec<String> = Vec::new();
        files::lay_out(self.layout, &self.files)?;
        operation.set_unit(Some(self.layout.step_unit()));
        let begun = Instant::now();
        let words = self.arguments(line);
        let done = command::follow_pieces("systemd-run", &words, outputs, |said| {
            if !hear(said) {
                return;
            }
            if last.len() == LINES_KEPT {
                last.remove(0);
            }
            last.push(said.text.clone());
        });
        operation.set_unit(None);
        match done {
            Ok(true) => Ok(()),
            Ok(false) if operation.is_cancelled() => Err(Trouble::cancelled()),
            Ok(false) => Err(Trouble::failed(
                match begun.elapsed() < self.longest.duration() {
                    true => format!("`{line}` failed"),
                    false => format!(
                        "`{line}` did not end within {}, and was ended",
                        self.longest
                    ),
                },
                "read its output, correct the app or its longshore.toml, then deploy again",
            )
            .with_log(last)),
            Err(error) => Err(Trouble::failed(
                chain(&error),
                "systemd has to run on this host",
            )),
        }
    }

    fn arguments(&self, line: &str) -> Vec<String> {
        let layout = self.layout;
        let (home, mount) = (layout.app_mount(), self.release.display());
        let bind = match self.mount {
            Mount::Writable => "BindPaths",
            Mount::ReadOnly => "BindReadOnlyPaths",
        };
        let mut properties = vec![
            format!("User={}", layout.user()),
            format!("Group={}", layout.user()),
            format!("{bind}={mount}:{}", home.display()),
            format!("WorkingDirectory={}", home.display()),
            format!("ReadWritePaths={}", layout.shared().display()),
            "ProtectSystem=strict".to_owned(),
            "ProtectHome=yes".to_owned(),
            "PrivateTmp=yes".to_owned(),
            "NoNewPrivileges=yes".to_owned(),
            "UMask=0022".to_owned(),
            format!("RuntimeMaxSec={}ms", self.longest.duration().as_millis()),
        ];
        properties.extend(settings::environment_files(layout));
        properties.extend(layout.slice().map(|slice| format!("Slice={slice}")));
        properties.extend(files::properties(layout, &self.files));
        if self.mount == Mount::Writable {
            properties.push(format!("ReadWritePaths={}", home.display()));
        }
        let mut words: Vec<String> = [
            "--quiet",
            "--wait",
            "--pipe",
            "--collect",
            "--service-type=exec",
        ]
        .map(str::to_owned)
        .to_vec();
        words.push(format!("--unit={}", layout.step_unit()));
        words.extend(
            properties
                .into_iter()
                .map(|property| format!("--property={property}")),
        );
        words.push("--setenv=HOME=/tmp".to_owned());
        words.extend(
            self.environment
                .iter()
                .map(|(name, value)| format!("--setenv={name}={value}")),
        );
        words.extend(["--", "/bin/sh", "-c"].map(str::to_owned));
        // systemd expands variables in the words it is given; the shell is to see them.
        words.push(line.replace('$', "$$"));
        words
    }
}
