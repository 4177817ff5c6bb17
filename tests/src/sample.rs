//! Git repositories of the sample apps, and releases of them that are good or broken on purpose.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::provision::App;
use crate::{binaries, process};

/// Why a sample repository could not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// git failed.
    #[error("could not make the sample repository {folder}")]
    Git {
        /// Where.
        folder: PathBuf,
        /// What git said.
        #[source]
        source: process::Error,
    },
    /// A file could not be copied or written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Which app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// The Django project.
    Cortico,
    /// The one without dependencies.
    Tiny,
}

impl Sample {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cortico => "cortico",
            Self::Tiny => "tiny",
        }
    }

    /// Its domain on the lab's hosts.
    pub fn domain(self) -> String {
        format!("{}.test", self.name())
    }

    /// The Python file that holds `application`.
    fn wsgi(self) -> &'static str {
        match self {
            Self::Cortico => "config/wsgi.py",
            Self::Tiny => "app.py",
        }
    }
}

/// Both, as a host's `host.toml` names them.
pub fn apps() -> Vec<App> {
    let app = |sample: Sample| App {
        name: sample.name().to_owned(),
        domain: sample.domain(),
    };
    [Sample::Cortico, Sample::Tiny].map(app).into()
}

/// How a release behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// As it should.
    Good,
    /// Ends while it starts.
    ExitsAtImport,
    /// Takes requests and never answers.
    NeverAnswers,
    /// Answers 500 to everything.
    Answers500,
    /// Answers, but says on `/version` that it is this other release.
    ClaimsVersion(String),
}

impl Behaviour {
    fn python(&self) -> String {
        match self {
            Self::Good => String::new(),
            Self::ExitsAtImport => {
                String::from("\nraise SystemExit(\"this release cannot start: on purpose\")\n")
            }
            Self::NeverAnswers => String::from(
                "\nimport time\n\n\ndef application(environ, start_response):\n    time.sleep(3600)\n",
            ),
            Self::Answers500 => String::from(
                "\n\ndef application(environ, start_response):\n    \
                 start_response(\"500 Internal Server Error\", [(\"Content-Type\", \"text/plain\")])\n    \
                 return [b\"broken on purpose\\n\"]\n",
            ),
            Self::ClaimsVersion(version) => format!(
                "\n\nhonest = application\n\n\ndef application(environ, start_response):\n    \
                 if environ[\"PATH_INFO\"] != \"/version\":\n        \
                 return honest(environ, start_response)\n    \
                 start_response(\"200 OK\", [(\"Content-Type\", \"text/plain\")])\n    \
                 return [b\"{version}\\n\"]\n"
            ),
        }
    }
}

/// A repository of one sample app.
#[derive(Debug, Clone)]
pub struct Repository {
    sample: Sample,
    folder: PathBuf,
}

impl Repository {
    /// Copies the app into a new folder and makes it a repository.
    pub fn create(sample: Sample, folder: &Path) -> Result<Self, Error> {
        copy(
            &binaries::workspace().join("tests/apps").join(sample.name()),
            folder,
        )?;
        let repository = Self {
            sample,
            folder: folder.to_path_buf(),
        };
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        Ok(repository)
    }

    /// Which app it holds.
    pub fn sample(&self) -> Sample {
        self.sample
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lays what is below `tests/apps/<name>` over it.
    pub fn grow(&self, name: &str) -> Result<(), Error> {
        Ok(copy(
            &binaries::workspace().join("tests/apps").join(name),
            &self.folder,
        )?)
    }

    /// Changes the app file, for tests that need another one.
    pub fn change_app_file(&self, change: impl Fn(&str) -> String) -> Result<(), Error> {
        let path = self.folder.join("longshore.toml");
        let text = fs_err::read_to_string(&path)?;
        Ok(fs_err::write(path, change(&text))?)
    }

    /// Commits a version that behaves so, and tags it `v<version>`.
    pub fn commit(&self, version: &str, behaviour: &Behaviour) -> Result<(), Error> {
        let wsgi = self.folder.join(self.sample.wsgi());
        let good = binaries::workspace()
            .join("tests/apps")
            .join(self.sample.name());
        let mut python = fs_err::read_to_string(good.join(self.sample.wsgi()))?;
        python.push_str(&behaviour.python());
        fs_err::write(wsgi, python)?;
        fs_err::write(
            self.folder.join("motto.txt"),
            format!("This is {version}.\n"),
        )?;
        self.git(&["add", "--all"])?;
        self.git(&[
            "commit",
            "--quiet",
            "--message",
            &format!("Release {version}"),
        ])?;
        self.git(&["tag", &format!("v{version}")])
    }

    /// The tarball that `longshore build` makes of a version.
    pub fn tarball(&self, version: &str) -> PathBuf {
        self.folder
            .join("dist")
            .join(format!("{}-{version}.tar.gz", self.sample.name()))
    }

    fn git(&self, words: &[&str]) -> Result<(), Error> {
        let mut git = Command::new("git");
        git.current_dir(&self.folder);
        // What the person at this machine configured must not change the commits.
        git.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "Lab");
            git.env(format!("GIT_{who}_EMAIL"), "lab@example.com");
        }
        process::run(git.args(words)).map_err(|source| Error::Git {
            folder: self.folder.clone(),
            source,
        })?;
        Ok(())
    }
}

/// Eight hexadecimal digits that stand for some content.
pub(crate) fn digest(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Copies a folder with all below it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), io::Error> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_name() == "__pycache__" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs_err::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_is_python_that_compiles() {
        let folder = tempfile::tempdir().unwrap();
        let behaviours = [
            Behaviour::Good,
            Behaviour::ExitsAtImport,
            Behaviour::NeverAnswers,
            Behaviour::Answers500,
            Behaviour::ClaimsVersion(String::from("1.0.0")),
        ];
        for sample in [Sample::Cortico, Sample::Tiny] {
            let repository =
                Repository::create(sample, &folder.path().join(sample.name())).unwrap();
            for (minor, behaviour) in behaviours.iter().enumerate() {
                repository
                    .commit(&format!("1.{minor}.0"), behaviour)
                    .unwrap();
                let wsgi = repository.folder().join(sample.wsgi());
                let mut python = Command::new("python3");
                python.args(["-c", "import ast,sys; ast.parse(open(sys.argv[1]).read())"]);
                process::run(python.arg(wsgi)).unwrap();
            }
        }
    }
}
