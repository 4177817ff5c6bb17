//! Settings as systemd's `EnvironmentFile=` reads them: what is written here is read back by it to
//! the byte, and what people wrote by hand is read here as it reads it.

use std::iter::Peekable;
use std::str::Chars;

use thiserror::Error;

use super::{SettingName, SettingNameError, SettingValue, SettingValueError, Settings};

/// Why a text is not a file of settings. Says nothing of any value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FileError {
    /// Something else than `NAME=value`.
    #[error("line {line} is no NAME=value")]
    NoSetting {
        /// Which one, from 1.
        line: usize,
    },
    /// What stands before `=` is no name; it may be a part of a secret, so it is not shown.
    #[error("line {line} has no name of a setting before its `=`")]
    Name {
        /// Which one, from 1.
        line: usize,
    },
    /// Longshore's own to set.
    #[error("line {line} sets {name}, which is Longshore's own")]
    Ours {
        /// Which one, from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// Some versions of systemd take the next line for a part of it, and others do not.
    #[error("line {line} is a comment that ends with a backslash")]
    Comment {
        /// Which one, from 1.
        line: usize,
    },
    /// A value that cannot be one.
    #[error("line {line}: {name}")]
    Value {
        /// Which one, from 1.
        line: usize,
        /// Whose value it is.
        name: SettingName,
        /// What is wrong with it.
        #[source]
        source: SettingValueError,
    },
    /// A quote that is never closed.
    #[error("line {line}: the quote that begins in the value of {name} has no end")]
    Open {
        /// Which one, from 1.
        line: usize,
        /// Whose value it is.
        name: SettingName,
    },
}

/// The text of a file with these settings.
pub fn render(settings: &Settings) -> String {
    let mut text = String::new();
    for (name, value) in settings {
        text.push_str(name.as_str());
        text.push_str("=\"");
        for c in value.reveal().chars() {
            if matches!(c, '"' | '\\' | '`' | '$') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push_str("\"\n");
    }
    text
}

/// The settings in such a text; of a name that is there twice, the last.
pub fn parse(text: &str) -> Result<Settings, FileError> {
    let mut reader = Reader {
        text: text.chars().peekable(),
        line: 1,
    };
    let mut settings = Settings::new();
    while let Some((name, value)) = reader.next_setting()? {
        settings.insert(name, value);
    }
    Ok(settings)
}

struct Reader<'a> {
    text: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn next_setting(&mut self) -> Result<Option<(SettingName, SettingValue)>, FileError> {
        loop {
            match self.text.peek() {
                None => return Ok(None),
                Some(c) if c.is_ascii_whitespace() => drop(self.take()),
                Some('#' | ';') => self.skip_line()?,
                Some(_) => break,
            }
        }
        let line = self.line;
        let mut name = String::new();
        loop {
            match self.take() {
                Some('=') => break,
                None | Some('\n' | '\r') => return Err(FileError::NoSetting { line }),
                Some(c) => name.push(c),
            }
        }
        let name = SettingName::new(name.trim_end()).map_err(|error| match error {
            SettingNameError::NoName(_) => FileError::Name { line },
            SettingNameError::Ours(name) => FileError::Ours { line, name },
        })?;
        let value = self.value(line, &name)?;
        match SettingValue::new(value) {
            Ok(value) => Ok(Some((name, value))),
            Err(source) => Err(FileError::Value { line, name, source }),
        }
    }

    /// Quoted parts and bare ones follow each other; blanks at the end of a bare one do not count.
    fn value(&mut self, line: usize, name: &SettingName) -> Result<String, FileError> {
        let open = || FileError::Open {
            line,
            name: name.clone(),
        };
        let mut value = String::new();
        // How much of it stays when blanks at the end are taken away.
        let mut solid = 0;
        let mut begun = false;
        loop {
            match self.take() {
                None | Some('\n' | '\r') => break,
                Some('\'') if value.len() == solid && !begun => {
                    loop {
                        match self.take().ok_or_else(open)? {
                            '\'' => break,
                            c => value.push(c),
                        }
                    }
                    solid = value.len();
                }
                Some('"') if value.len() == solid && !begun => {
                    self.double_quoted(&mut value).ok_or_else(open)?;
                    solid = value.len();
                }
                Some('\\') => {
                    begun = true;
                    match self.take() {
                        None | Some('\n') => {}
                        Some(c) => value.push(c),
                    }
                    solid = value.len();
                }
                Some(' ' | '\t') if !begun => {}
                Some(c) => {
                    begun = true;
                    value.push(c);
                    if !matches!(c, ' ' | '\t') {
                        solid = value.len();
                    }
                }
            }
        }
        value.truncate(solid);
        Ok(value)
    }

    fn double_quoted(&mut self, value: &mut String) -> Option<()> {
        loop {
            match self.take()? {
                '"' => return Some(()),
                '\\' => match self.take()? {
                    c @ ('"' | '\\' | '`' | '$') => value.push(c),
                    '\n' => {}
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
    }

    fn skip_line(&mut self) -> Result<(), FileError> {
        let line = self.line;
        let mut last = None;
        while let Some(c) = self.take().filter(|c| !matches!(c, '\n' | '\r')) {
            last = Some(c);
        }
        match last {
            Some('\\') => Err(FileError::Comment { line }),
            _ => Ok(()),
        }
    }

    fn take(&mut self) -> Option<char> {
        let c = self.text.next();
        self.line += usize::from(c == Some('\n'));
        c
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(name: &str, value: &str) -> (SettingName, SettingValue) {
        let name = SettingName::new(name).unwrap();
        (name, SettingValue::new(value).unwrap())
    }

    #[test]
    fn what_people_write_is_read_as_systemd_reads_it() {
        let text = "# a comment\n; another\r\n\nA=1\n B = two words  \n\
                    C='single \"and\" $more'\nD=\"double \\\"and\\\" \\$more \\n\"\n\
                    E='a'\"b\"c\nF=a\\\nb\nG=\nA=2\nH=it's\nI=\"two\nlines\"\n";
        let settings = parse(text).unwrap();
        let wanted = [
            one("A", "2"),
            one("B", "two words"),
            one("C", "single \"and\" $more"),
            one("D", "double \"and\" $more \\n"),
            one("E", "abc"),
            one("F", "ab"),
            one("G", ""),
            one("H", "it's"),
            one("I", "two\nlines"),
        ];
        assert_eq!(settings, Settings::from(wanted));
    }

    #[test]
    fn what_is_none_is_told_by_its_line_and_never_by_its_value() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(error("A=1\nsecret\n"), "line 2 is no NAME=value");
        let no_name = "line 2 has no name of a setting before its `=`";
        assert_eq!(error("A=1\nexport secret=1"), no_name);
        assert!(error("LONGSHORE_SLOT=x").contains("LONGSHORE_SLOT"));
        assert_eq!(
            error("# x \\\nB=1"),
            "line 1 is a comment that ends with a backslash"
        );
        let deep = |error: FileError| std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(deep(parse("pg://app:secret@db?a=b").unwrap_err()), None);
        let open = error("A=1\n\nB=\"secret\nsecret");
        assert_eq!(
            open,
            "line 3: the quote that begins in the value of B has no end"
        );
        assert_eq!(error("A=sec\u{7}ret"), "line 1: A");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            values in proptest::collection::btree_map("[A-Z_][A-Z0-9_]{0,8}", "[ -~\\n\\t\u{e4}\u{1f600}]{0,40}", 0..6),
        ) {
            let settings: Settings = values.iter().map(|(name, value)| one(name, value)).collect();
            prop_assert_eq!(parse(&render(&settings)).unwrap(), settings);
        }
    }
}
