//! The values that a person gives: in words, from files, or from standard input.

use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use longshore_shared::settings::{
    MOST_BYTES, SettingName, SettingNameError, SettingValue, Settings, parse, weight,
};

use super::SetArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::ui::Ui;

/// More than this is read of nothing: it could not be a setting anyway.
const MOST_READ: u64 = 2 * MOST_BYTES as u64;

/// All that is to be set; what is given twice is a mistake.
pub(super) fn given(args: &SetArgs, context: &Context) -> Result<Settings, CommandError> {
    let mut settings = Settings::new();
    if let Some(file) = &args.env_file {
        let text = read(open(file)?, &file.display().to_string())?;
        settings = parse(&text).map_err(|error| {
            CommandError::usage(format!("{} holds no settings", file.display())).caused_by(error)
        })?;
    }
    let mut also = |name: SettingName, value: SettingValue| {
        let what = format!("{name} is given twice");
        match settings.insert(name, value) {
            Some(_) => Err(CommandError::usage(what)),
            None => Ok(()),
        }
    };
    for word in &args.file {
        let (name, file) = word.split_once('=').ok_or_else(|| {
            CommandError::usage(format!("--file takes NAME=FILE, and not {word:?}"))
        })?;
        let name = named(name)?;
        let text = read(open(Path::new(file))?, file)?;
        let value = value(&name, without_last_newline(text))?;
        also(name, value)?;
    }
    let mut asked = Vec::new();
    for word in &args.set {
        match word.split_once('=') {
            Some((name, text)) => {
                let name = named(name)?;
                let value = value(&name, text.to_owned())?;
                also(name, value)?;
            }
            None => asked.push(named(word)?),
        }
    }
    let several = asked.len() > 1;
    for name in asked {
        let text = ask(&name, several, &context.ui)?;
        let value = value(&name, text)?;
        also(name, value)?;
    }
    if settings.is_empty() {
        return Err(CommandError::usage("nothing is given to be set")
            .hint("Name it: longshore settings set ENV NAME=VALUE"));
    }
    if let Some(name) = settings.keys().find(|name| name.is_systemds()) {
        return Err(CommandError::usage(format!(
            "{name} is systemd's own to set: the app would not find what systemd tells it"
        )));
    }
    let bytes = weight(&settings);
    if bytes > MOST_BYTES {
        return Err(CommandError::usage(format!(
            "these settings take {bytes} bytes, and all of an app together take {MOST_BYTES} at most"
        )));
    }
    Ok(settings)
}

fn ask(name: &SettingName, several: bool, ui: &Ui) -> Result<String, CommandError> {
    // A pipe that broke, or a variable of CI that is not there, is not to blank a secret.
    let not_empty = |text: String| match text.is_empty() {
        true => Err(CommandError::usage(format!("no value of {name} was given"))
            .hint(format!("An empty one is set by {name}="))),
        false => Ok(text),
    };
    if io::stdin().is_terminal() {
        let typed = ui.ask_secret(&format!("Value of {name}"));
        return not_empty(typed.unwrap_or_default());
    }
    if several {
        return Err(CommandError::usage(
            "standard input can hold one value only, and more than one name has none",
        )
        .hint("Give each by a file: --file NAME=FILE"));
    }
    not_empty(without_last_newline(read(io::stdin(), "standard input")?))
}

fn open(file: &Path) -> Result<fs_err::File, CommandError> {
    fs_err::File::open(file)
        .map_err(|error| CommandError::usage("cannot read the value").caused_by(error))
}

fn read(from: impl Read, what: &str) -> Result<String, CommandError> {
    let mut text = Vec::new();
    from.take(MOST_READ + 1)
        .read_to_end(&mut text)
        .map_err(|error| CommandError::usage(format!("cannot read {what}")).caused_by(error))?;
    if text.len() as u64 > MOST_READ {
        return Err(CommandError::usage(format!(
            "{what} is larger than {MOST_BYTES} bytes, which is what all settings of an app together may take"
        ))
        .hint("Put what is large into a file of the app's shared folder, and its path into the setting."));
    }
    String::from_utf8(text).map_err(|_| {
        CommandError::usage(format!("{what} is not UTF-8 text"))
            .hint("Encode it, for instance with base64, and decode it in the app.")
    })
}

fn without_last_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

/// A value never gets into a message, also where somebody took it for a name.
fn named(text: &str) -> Result<SettingName, CommandError> {
    SettingName::new(text).map_err(|error| match error {
        SettingNameError::NoName(_) => CommandError::usage(
            "what stands before the first '=' is no name of a setting: a name takes letters, digits and '_', and begins with no digit",
        ),
        other => CommandError::usage(other.to_string()),
    })
}

fn value(name: &SettingName, text: String) -> Result<SettingValue, CommandError> {
    SettingValue::new(text)
        .map_err(|error| CommandError::usage(format!("{name} cannot be set")).caused_by(error))
}
