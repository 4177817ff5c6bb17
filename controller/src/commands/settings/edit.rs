//! `longshore settings edit`: the settings in an editor, in a file that nobody else can read.

use std::fs::Permissions;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use longshore_shared::settings::{SettingName, Settings, parse, render};

use super::EditArgs;
use super::ask::{ask, values};
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::rollout::Interrupts;

/// What was changed: set, and taken away. Nothing if nothing was.
pub(super) async fn edit(
    args: &EditArgs,
    context: &Context,
) -> Result<Option<(Settings, Vec<SettingName>)>, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let app = context.app(environment)?;
    let asked = ask(environment, &app, &args.when.hosts, true, context).await?;
    let mut all = Vec::new();
    for one in asked {
        let host = one.host;
        let state = one.said.map_err(|failure| {
            CommandError::new(
                ErrorKind::Failed,
                format!(
                    "{host} did not tell its settings: {}",
                    failure.in_one_line()
                ),
            )
        })?;
        all.push((host, values(&state)));
    }
    let Some((first, before)) = all.first() else {
        return Ok(None);
    };
    if let Some((other, _)) = all.iter().find(|(_, settings)| settings != before) {
        return Err(CommandError::new(
            ErrorKind::Refused,
            format!("{first} and {other} have different settings, so there is no one text to edit"),
        )
        .hint(format!(
            "Compare them: longshore settings list {}",
            environment.name
        ))
        .hint("Then edit those of one host: --on NAME"));
    }
    let after = in_editor(before, context)?;
    let set: Settings = after
        .iter()
        .filter(|(name, value)| before.get(name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let unset: Vec<SettingName> = before
        .keys()
        .filter(|name| !after.contains_key(name))
        .cloned()
        .collect();
    Ok((!set.is_empty() || !unset.is_empty()).then_some((set, unset)))
}

/// Until it can be read, or the person gives up.
fn in_editor(before: &Settings, context: &Context) -> Result<Settings, CommandError> {
    let failed = |error: io::Error| {
        CommandError::failed("the settings cannot be put into a file to edit").caused_by(error)
    };
    // A folder that is ours alone, with whatever an editor leaves beside the file.
    let folder = tempfile::Builder::new()
        .prefix("longshore-settings-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(private_folder())
        .map_err(failed)?;
    let file = folder.path().join("settings.env");
    fs_err::write(&file, render(before)).map_err(failed)?;
    // Ctrl-C is for the editor; ours would leave the file.
    let _listening = Interrupts::leave_to_another();
    loop {
        open_editor(&file)?;
        let text = fs_err::read_to_string(&file).map_err(failed)?;
        match parse(&text) {
            Ok(settings) => return Ok(settings),
            Err(error) => {
                let error = CommandError::usage("the text holds no settings").caused_by(error);
                context.ui.error(&error);
                if !context.ui.confirm("Edit it again?") {
                    return Err(CommandError::usage("nothing was changed"));
                }
            }
        }
    }
}

/// One that is in memory, where there is one.
fn private_folder() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let memory = PathBuf::from("/dev/shm");
    own.filter(|folder| folder.is_dir())
        .or_else(|| memory.is_dir().then_some(memory))
        .unwrap_or_else(std::env::temp_dir)
}

fn open_editor(file: &std::path::Path) -> Result<(), CommandError> {
    let named = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let editor = match named {
        Some(editor) => editor,
        None if io::stdin().is_terminal() => "vi".to_owned(),
        None => {
            return Err(CommandError::usage("nobody is there to edit them")
                .hint("Set them: longshore settings set ENV NAME=VALUE"));
        }
    };
    // It may come with words of its own, which are the shell's to take apart.
    let status = Command::new("/bin/sh")
        .args(["-c", "exec $0 \"$1\"", &editor])
        .arg(file)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(CommandError::failed(format!(
            "the editor ({editor}) ended with {status}; nothing was changed"
        ))),
        Err(error) => Err(CommandError::failed("no editor can be started").caused_by(error)),
    }
}
