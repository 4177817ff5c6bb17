//! The machine lines of `--json`.

use serde::Serialize;

use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::terminal_text::one_line;

/// The last line of every `--json` run.
#[derive(Debug, Serialize)]
pub(crate) struct ResultLine {
    event: &'static str,
    verb: &'static str,
    ok: bool,
    exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

impl ResultLine {
    pub(crate) fn of_error(verb: &'static str, error: &CommandError) -> Self {
        let exit = error.kind().exit();
        let mut message = error.message().to_owned();
        for cause in error.causes() {
            message.push_str(": ");
            message.push_str(&cause);
        }
        ResultLine {
            event: "result",
            verb,
            ok: exit == Exit::Done,
            exit: exit.code(),
            error: Some(one_line(&message).into_owned()),
            hints: error.all_hints().to_vec(),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        // Strings and numbers always serialise; an empty line would be worse than none.
        serde_json::to_string(self).unwrap_or_default()
    }
}
