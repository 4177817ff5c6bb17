//! Lines of many hosts in one stream: each begins with its host, in a colour of its own where there is
//! a terminal.

use std::io::IsTerminal as _;

use longshore_shared::name::HostName;

use crate::terminal_text::one_line;
use crate::ui::Ui;

/// Of the terminal's own sixteen, those that are read on dark and on light.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];
/// More of one line says nothing to a person.
const LONGEST_SHOWN: usize = 8 * 1024;

/// How lines of these hosts are shown.
pub(crate) struct ByHost {
    names: Vec<HostName>,
    width: usize,
    coloured: bool,
}

impl ByHost {
    pub(crate) fn new(names: Vec<HostName>, ui: &Ui) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            width: names
                .iter()
                .map(|name| name.as_str().len())
                .max()
                .unwrap_or(0),
            names,
            coloured: std::io::stdout().is_terminal() && !plain && !ui.is_json(),
        }
    }

    /// One line of a host.
    pub(crate) fn line(&self, host: &HostName, text: &str) -> String {
        let text = shown(text);
        let Some(index) = self.names.iter().position(|name| name == host) else {
            return format!("{host} | {text}");
        };
        let name = format!("{:<width$} |", host.as_str(), width = self.width);
        if !self.coloured {
            return format!("{name} {text}");
        }
        let colour = COLOURS
            .get(index % COLOURS.len())
            .copied()
            .unwrap_or_default();
        format!("\u{1b}[{colour}m{name}\u{1b}[0m {text}")
    }
}

/// What a host printed, on one line and within bounds.
fn shown(text: &str) -> String {
    if text.len() <= LONGEST_SHOWN {
        return one_line(text).into_owned();
    }
    let cut = text.floor_char_boundary(LONGEST_SHOWN);
    let start = text.get(..cut).unwrap_or_default();
    format!("{}… ({} bytes)", one_line(start), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_and_cannot_harm_a_terminal() {
        let name = |text: &str| HostName::new(text).unwrap();
        let hosts = ByHost {
            names: vec![name("web-1"), name("cortico-2")],
            width: 9,
            coloured: false,
        };
        assert_eq!(hosts.line(&name("web-1"), "a\tb"), "web-1     | a b");
        let painted = ByHost {
            names: hosts.names.clone(),
            coloured: true,
            ..hosts
        };
        let line = |host: &str| painted.line(&name(host), "\u{1b}[2J");
        let (one, other) = (line("web-1"), line("cortico-2"));
        for (line, colour) in [(&one, COLOURS[0]), (&other, COLOURS[1])] {
            assert!(line.starts_with(&format!("\u{1b}[{colour}m")), "{line:?}");
            assert!(line.ends_with("|\u{1b}[0m \\u{1b}[2J"), "{line:?}");
        }
        assert_ne!(COLOURS[0], COLOURS[1]);
        let hosts = ByHost {
            coloured: false,
            ..painted
        };
        let odd = hosts.line(&name("cortico-2"), "\u{1b}[2Jgone");
        assert_eq!(odd, "cortico-2 | \\u{1b}[2Jgone");
        let long = hosts.line(&name("web-1"), &"ä".repeat(1 << 19));
        assert!(
            long.len() < 9000 && long.ends_with("(1048576 bytes)"),
            "{}",
            long.len()
        );
    }
}
