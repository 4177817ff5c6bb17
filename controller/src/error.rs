//! The one error that a command ends with: a kind that decides the exit code, a message, the
//! chain of causes, and hints that say what to do next.

use std::error::Error;

use crate::exit_code::Exit;
use crate::inventory::{LocateError, LookupError, SelectionError};
use crate::toml_file::TomlFileError;

type Source = Box<dyn Error + Send + Sync + 'static>;

/// Why a command did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The words on the command line do not make sense, or not with this inventory.
    Usage,
    /// A file that people write is missing, unreadable or wrong.
    Configuration,
    /// Something failed on the way; every host serves what it served before.
    Failed,
    /// A host or a rule said no before anything was changed.
    Refused,
    /// The person pressed Ctrl-C.
    Interrupted,
}

impl ErrorKind {
    /// The one place where errors become exit codes.
    pub fn exit(self) -> Exit {
        match self {
            ErrorKind::Usage | ErrorKind::Configuration => Exit::Usage,
            ErrorKind::Failed => Exit::Failed,
            ErrorKind::Refused => Exit::Refused,
            ErrorKind::Interrupted => Exit::Interrupted,
        }
    }
}

/// What a failed command tells the person: printed once, by `ui`.
#[derive(Debug)]
pub struct CommandError {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
    hints: Vec<String>,
}

impl CommandError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        CommandError {
            kind,
            message: message.into(),
            source: None,
            hints: Vec::new(),
        }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// The messages of all causes, the nearest first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next: Option<&(dyn Error + 'static)> = match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        };
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }

    pub fn all_hints(&self) -> &[String] {
        &self.hints
    }
}

impl From<TomlFileError> for CommandError {
    fn from(error: TomlFileError) -> Self {
        match error {
            TomlFileError::Read { path, source } => {
                Self::configuration(format!("cannot read {}", path.display())).caused_by(source)
            }
            TomlFileError::Wrong(complaint) => Self::configuration(complaint.to_string()),
        }
    }
}

impl From<LocateError> for CommandError {
    fn from(error: LocateError) -> Self {
        Self::configuration(error.to_string()).hints(error.hints())
    }
}

impl From<LookupError> for CommandError {
    fn from(error: LookupError) -> Self {
        Self::usage(error.to_string()).hints(error.hints())
    }
}

impl From<SelectionError> for CommandError {
    fn from(error: SelectionError) -> Self {
        Self::usage(error.to_string()).hints(error.hints())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_exit_code() {
        assert_eq!(ErrorKind::Usage.exit(), Exit::Usage);
        assert_eq!(ErrorKind::Configuration.exit(), Exit::Usage);
        assert_eq!(ErrorKind::Failed.exit(), Exit::Failed);
        assert_eq!(ErrorKind::Refused.exit(), Exit::Refused);
        assert_eq!(ErrorKind::Interrupted.exit(), Exit::Interrupted);
    }

    #[test]
    fn causes_are_listed_once_each_and_in_order() {
        let inner = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let error = CommandError::configuration("cannot read the inventory").caused_by(inner);
        assert_eq!(error.causes(), vec!["no such file".to_owned()]);
    }
}
